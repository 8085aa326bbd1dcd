package broker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// Data and the end of the stream that arrive together are one event. The data
// are handled, and the end is seen, although the client has no keep-alive.
func TestEndBehindData(t *testing.T) {
	s := start(t, Config{}, nil)
	watch := s.connect(mqtt.V5, "watch")
	watch.subscribe(sub("#", 1))
	for i := range 50 {
		c := s.connect(mqtt.V311, "c", func(c *packet.Connect) {
			c.Will = &mqtt.Will{Message: mqtt.Message{Topic: "will", QoS: 1}}
		})
		b, err := pub("data", fmt.Sprint(i), 1, 1).Append(nil, c.v)
		if err != nil {
			t.Fatal(err)
		}
		c.raw(b)
		if err := c.nc.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if m := watch.receive(); m.Topic != "data" || string(m.Payload) != fmt.Sprint(i) {
			t.Fatalf("round %d: got %s %s", i, m.Topic, m.Payload)
		}
		if m := watch.receive(); m.Topic != "will" {
			t.Fatalf("round %d: got %s, want the will", i, m.Topic)
		}
		expect[*packet.Puback](c)
		c.gone()
	}
}

// What a socket does not take at once goes out when it takes more, in order.
func TestSlowReader(t *testing.T) {
	s := start(t, Config{MaxInflight: 1000, MaxQueued: 1000}, nil)
	slow := s.dial()
	slow.connect(mqtt.V311, "slow")
	slow.subscribe(sub("a", 1))
	from := s.connect(mqtt.V311, "from")
	const messages, size = 300, 60 << 10
	payload := bytes.Repeat([]byte{'x'}, size)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range messages {
			binary.BigEndian.PutUint32(payload, uint32(i))
			b, err := (&packet.Publish{Topic: "a", QoS: 1, PacketID: uint16(i + 1), Payload: payload}).Append(nil, mqtt.V311)
			if err == nil {
				_, err = from.nc.Write(b)
			}
			if err != nil {
				t.Errorf("publish %d: %v", i, err)
				return
			}
		}
	}()
	sock := &connOf(s, "slow").sock
	waitFor(t, "the socket is full", sock.full.Load)
	for i := range messages {
		if m := slow.receive(); len(m.Payload) != size || binary.BigEndian.Uint32(m.Payload) != uint32(i) {
			t.Fatalf("message %d: %d bytes, number %d", i, len(m.Payload), binary.BigEndian.Uint32(m.Payload))
		}
	}
	<-sent
	slow.silent()
}

// A subscriber that takes nothing at all is given up.
func TestStuckWriter(t *testing.T) {
	s := start(t, Config{}, nil)
	stuck := s.connect(mqtt.V311, "stuck")
	stuck.subscribe(sub("a", 0))
	from := s.connect(mqtt.V311, "from")
	c := connOf(s, "stuck")
	payload := make([]byte, 64<<10)
	for !c.sock.full.Load() {
		from.send(&packet.Publish{Topic: "a", Payload: payload})
		from.ping()
	}
	from.send(&packet.Publish{Topic: "a", Payload: payload})
	from.ping()
	if !c.sock.full.Load() {
		t.Fatal("the socket takes more although nobody reads")
	}
	c.sock.stuck.Store(mono() - int64(writeTimeout))
	s.loop.dueBy(mono())
	s.offline("stuck")
	from.silent()
}

// The loop ends a silent client by its keep-alive, and no other.
func TestLoopKeepAlive(t *testing.T) {
	t.Parallel()
	s := start(t, Config{}, nil)
	s.connect(mqtt.V5, "patient", func(c *packet.Connect) { c.KeepAlive = 1000 })
	alive := s.connect(mqtt.V5, "alive", func(c *packet.Connect) { c.KeepAlive = 3 })
	begin := time.Now()
	silent := s.connect(mqtt.V5, "silent", func(c *packet.Connect) { c.KeepAlive = 1 })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		silent.ends(mqtt.KeepAliveTimeout)
	}()
	for open := true; open; {
		alive.ping()
		select {
		case <-ended:
			open = false
		case <-time.After(100 * time.Millisecond):
		}
	}
	if took := time.Since(begin); took < 1500*time.Millisecond {
		t.Errorf("closed after %v, before one and a half keep-alives", took)
	}
	alive.silent()
	for _, c := range s.Clients() {
		if c.Connected != (c.ID != "silent") {
			t.Errorf("client %s: connected %v", c.ID, c.Connected)
		}
	}
}

// An idle client has no goroutine, and the loop lets go of those that leave.
func TestIdleWithoutGoroutines(t *testing.T) {
	s := start(t, Config{}, nil)
	s.connect(mqtt.V5, "first")
	before := runtime.NumGoroutine()
	peers := make([]*peer, 50)
	for i := range peers {
		peers[i] = s.connect(mqtt.V5, fmt.Sprint("idle", i))
		peers[i].subscribe(sub("a", 1))
	}
	waitFor(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= before+5 })
	watched := func() (n int) {
		s.loop.mu.Lock()
		defer s.loop.mu.Unlock()
		for _, c := range s.loop.conns {
			if c != nil {
				n++
			}
		}
		return n
	}
	if n := watched(); n != len(peers)+1 {
		t.Errorf("the loop looks after %d connections, want %d", n, len(peers)+1)
	}
	for i, p := range peers {
		if i%2 == 0 {
			p.cut()
		} else {
			p.leave()
		}
	}
	waitFor(t, "all have left", func() bool { return watched() == 1 })
}

func connOf(s *server, id string) *conn {
	sess := s.session(id)
	sess.mu.Lock()
	defer sess.mu.Unlock()
	return sess.conn
}
