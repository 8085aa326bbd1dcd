package client

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// deadAfter is how long what we have sent may stay without an answer of the
// peer's TCP before the connection counts as dead. Without it the kernel sends
// again for a quarter of an hour.
const deadAfter = 30 * time.Second

// setUserTimeout sets TCP_USER_TIMEOUT (tcp(7)) on a TCP connection. It does
// its best: the keep-alive of MQTT finds a dead peer too, later.
func setUserTimeout(nc net.Conn) {
	for {
		outer, ok := nc.(interface{ NetConn() net.Conn }) // TLS, or one that counts
		if !ok {
			break
		}
		nc = outer.NetConn()
	}
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deadAfter.Milliseconds()))
	})
}
