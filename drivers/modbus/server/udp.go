package server

import (
	"context"
	"errors"
	"net"
	"time"
)

// ServeRTUOverUDP answers RTU frames in datagrams, one request a datagram, to
// where they came from, until ctx ends; it closes the socket. A Fault cannot
// hang up here: there is no connection.
func (s *Server) ServeRTUOverUDP(ctx context.Context, conn net.PacketConn) error {
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	buf := make([]byte, maxRequest)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if s.Echo {
			if _, err := conn.WriteTo(buf[:n], from); err != nil {
				return err
			}
		}
		unit, function, data, end := rtuRequests{}.find(buf[:n])
		if end == 0 {
			continue
		}
		err = s.reply(ctx, time.Now(), datagrams{conn, from}, rtuRequests{}, unit, function, data, end)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, errHangUp):
			return err
		}
	}
}

// datagrams writes to one place.
type datagrams struct {
	conn net.PacketConn
	to   net.Addr
}

func (d datagrams) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	return d.conn.WriteTo(b, d.to)
}
