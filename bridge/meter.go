package bridge

import (
	"context"
	"net"
	"sync"

	"golang.org/x/sys/unix"
)

// headers of IPv4 and of TCP with its time stamps, on each segment.
const headers = 20 + 32

// meter counts what all connections of a bridge have carried, both ways, as
// the kernel knows it: payload of TCP, repeats and headers. TLS handshakes,
// keep-alives and attempts that failed are in it.
type meter struct {
	mu   sync.Mutex
	past uint64 // of connections that are closed
	open map[*metered]struct{}
}

// netDial makes a transport connection, as net.Dialer does.
type netDial func(ctx context.Context, network, address string) (net.Conn, error)

// over makes connections through next count. nil: a plain dialer.
func (m *meter) over(next netDial) netDial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := next(ctx, network, address)
		if err != nil {
			return nil, err
		}
		tcp, ok := nc.(*net.TCPConn)
		if !ok {
			return nc, nil
		}
		io, err := newStream(tcp)
		if err != nil {
			_ = nc.Close()
			return nil, err
		}
		c := &metered{TCPConn: tcp, stream: io, m: m}
		m.mu.Lock()
		if m.open == nil {
			m.open = make(map[*metered]struct{})
		}
		m.open[c] = struct{}{}
		m.mu.Unlock()
		return c, nil
	}
}

// total is what was carried so far, in bytes of IP packets.
func (m *meter) total() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum := m.past
	for c := range m.open {
		sum += c.carried()
	}
	return sum
}

// metered is a connection whose last count is kept when it closes.
type metered struct {
	*net.TCPConn
	stream *stream
	m      *meter
	last   uint64 // guarded by meter.mu
}

// Read implements net.Conn.
func (c *metered) Read(b []byte) (int, error) { return c.stream.Read(b) }

// Write implements net.Conn.
func (c *metered) Write(b []byte) (int, error) { return c.stream.Write(b) }

// NetConn is the connection itself, for those who set options on it.
func (c *metered) NetConn() net.Conn { return c.TCPConn }

// Close counts a last time.
func (c *metered) Close() error {
	c.m.mu.Lock()
	if _, open := c.m.open[c]; open {
		c.m.past += c.carried()
		delete(c.m.open, c)
	}
	c.m.mu.Unlock()
	return c.TCPConn.Close()
}

// carried reads tcp_info(7). The caller holds meter.mu.
func (c *metered) carried() uint64 {
	raw, err := c.SyscallConn()
	if err != nil {
		return c.last
	}
	var info *unix.TCPInfo
	if raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }) != nil || err != nil {
		return c.last // closed by its end
	}
	if n := info.Bytes_sent + info.Bytes_received + headers*(uint64(info.Segs_out)+uint64(info.Segs_in)); n > c.last {
		c.last = n
	}
	return c.last
}
