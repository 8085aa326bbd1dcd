package client

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"fieldgate/mqtt/mqtttest"
)

// A connection has the time limit for data without an answer, and not the
// keep-alive of TCP, which a metered link would pay for.
func TestSocketOptions(t *testing.T) {
	s := mqtttest.Serve(t, func(p *mqtttest.Peer) {
		p.Accept(nil)
		swallow(p)
	})
	c := mustDial(t, Config{URL: s.URL()})
	raw, err := c.nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	option := func(level, name int) (v int) {
		if err := raw.Control(func(fd uintptr) { v, err = unix.GetsockoptInt(int(fd), level, name) }); err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := option(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); v != int(deadAfter.Milliseconds()) {
		t.Errorf("TCP_USER_TIMEOUT is %d ms", v)
	}
	if v := option(unix.SOL_SOCKET, unix.SO_KEEPALIVE); v != 0 {
		t.Error("SO_KEEPALIVE is on")
	}
	if v := option(unix.IPPROTO_TCP, unix.TCP_NODELAY); v == 0 {
		t.Error("TCP_NODELAY is off")
	}
}
