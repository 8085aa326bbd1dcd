package wire

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"
)

// udpConn carries RTU frames in datagrams.
//
// A network may deliver a datagram late, twice, or after its successor, and an
// RTU frame does not say which request it answers. So each request is sent
// from a port of its own (renew): an answer on its way to an earlier port
// cannot arrive at this one. What a serial server passes on late, to whoever
// asked last, is met by the habits that all lines without numbers have.
type udpConn struct {
	remote *net.UDPAddr

	mu     sync.Mutex
	now    *net.UDPConn
	closed bool
}

// dialUDP resolves the address; no packet is sent.
func dialUDP(ctx context.Context, address string, limit time.Duration) (Conn, error) {
	d := net.Dialer{Timeout: limit}
	c, err := d.DialContext(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	return &udpConn{remote: c.RemoteAddr().(*net.UDPAddr), now: c.(*net.UDPConn)}, nil
}

// renew takes another port. What arrives at the old one is lost.
func (c *udpConn) renew() error {
	fresh, err := net.DialUDP("udp", nil, c.remote)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = fresh.Close() // nothing was sent
		return net.ErrClosed
	}
	_ = c.now.Close()
	c.now = fresh
	return nil
}

func (c *udpConn) current() *net.UDPConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Read returns one datagram; what does not fit into b is cut off, and an empty
// one gives (0, nil).
func (c *udpConn) Read(b []byte) (int, error)         { return c.current().Read(b) }
func (c *udpConn) Write(b []byte) (int, error)        { return c.current().Write(b) }
func (c *udpConn) SetReadDeadline(t time.Time) error  { return c.current().SetReadDeadline(t) }
func (c *udpConn) SetWriteDeadline(t time.Time) error { return c.current().SetWriteDeadline(t) }

// SyscallConn lets Line.poll look without waiting.
func (c *udpConn) SyscallConn() (syscall.RawConn, error) { return c.current().SyscallConn() }

// Close ends a read that waits.
func (c *udpConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return c.now.Close()
}
