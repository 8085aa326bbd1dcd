package broker

import (
	"bytes"
	"net"
	"testing"
	"time"

	"fieldgate/mqtt"
)

// A client that asks and never reads the answers is not read any further: what
// waits for it is bounded. Others are served, and it gets all answers once it reads.
func TestProbe12AnswersThatNobodyReads(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MaxOutBuffer: 64 << 10}, nil)
	deaf := s.connect(mqtt.V5, "deaf")
	deaf.nc.(*net.TCPConn).SetReadBuffer(32 << 10)
	deaf.nc.(*net.TCPConn).SetWriteBuffer(32 << 10)
	pings := bytes.Repeat([]byte{0xC0, 0}, 4<<10)
	sent := 0
	for { // until nothing more is taken
		deaf.nc.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := deaf.nc.Write(pings)
		if sent += n; err != nil {
			break
		}
		if sent > 256<<20 {
			t.Fatal("the broker takes pings without end")
		}
	}
	sess := s.session("deaf")
	sess.mu.Lock()
	waiting := sess.conn.outLen()
	sess.mu.Unlock()
	if waiting > 256<<10 {
		t.Errorf("%d bytes wait for a client that does not read", waiting)
	}
	good := s.connect(mqtt.V5, "good")
	good.subscribe(sub("t", 1))
	good.send(pub("t", "x", 0, 0))
	good.receive()
	deaf.nc.SetReadDeadline(time.Now().Add(patience))
	for range sent / 2 {
		if h, _, err := deaf.r.Next(); err != nil || h != 0xD0 {
			t.Fatalf("answer %#x, %v", h, err)
		}
	}
}
