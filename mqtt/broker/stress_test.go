package broker

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// Take-overs, subscriptions that come and go, cut lines and publishers, all at
// once: for the race detector, and to see that nothing is left hanging.
func TestStress(t *testing.T) {
	s := start(t, Config{MaxClients: 1000, MaxQueued: 50, Listener: []Listener{{Name: "l", Bind: "127.0.0.1:0", AllowAnonymous: true, MaxConnects: 100_000}}}, newCrashing())
	stop := make(chan struct{})
	time.AfterFunc(1500*time.Millisecond, func() { close(stop) })
	running := func() bool {
		select {
		case <-stop:
			return false
		default:
			return true
		}
	}
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			for running() {
				jitter(s, rnd, fmt.Sprint("c", i/2), running)
			}
		}()
	}
	wg.Wait()
	waitFor(t, "those that still wait for their turn", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.claims) == 0
	})
	// All is well afterwards.
	r, w := s.connect(mqtt.V5, "after-r"), s.connect(mqtt.V5, "after-w")
	r.subscribe(sub("after", 2))
	w.publish("after", "x", 2, 1)
	r.receive()
	for i := range 3 {
		p := s.connect(mqtt.V5, fmt.Sprint("c", i)) // a clean start ends what is there
		p.leave()
	}
	waitFor(t, "the end of the sessions", func() bool { return len(s.Clients()) == 2 })
	if n := s.queuedBytes.Load(); n != 0 {
		t.Errorf("%d bytes still counted as queued", n)
	}
	if all, shared := s.tree.counts(); all != 1 || shared != 0 {
		t.Errorf("%d subscriptions, %d shared", all, shared)
	}
}

// jitter is the short life of a client that two goroutines fight for. Its
// connection may end at any point.
func jitter(s *server, rnd *rand.Rand, id string, running func() bool) {
	p := s.dial()
	defer p.nc.Close()
	p.v = versions[rnd.IntN(3)]
	write := func(k packet.Packet) bool {
		b, err := k.Append(nil, p.v)
		if err != nil {
			return true
		}
		p.nc.SetWriteDeadline(time.Now().Add(time.Second))
		_, err = p.nc.Write(b)
		return err == nil
	}
	c := &packet.Connect{Version: p.v, ClientID: id, CleanStart: rnd.IntN(3) == 0, KeepAlive: 5, Will: &mqtt.Will{Message: mqtt.Message{Topic: "t/will", QoS: 1}, Delay: uint32(rnd.IntN(2))}}
	c.Props.SessionExpiry = uint32(rnd.IntN(2) * 100)
	write(c)
	var acks sync.WaitGroup
	acks.Add(1)
	go func() {
		defer acks.Done()
		for {
			p.nc.SetReadDeadline(time.Now().Add(time.Second))
			h, body, err := p.r.Next()
			if err != nil {
				return
			}
			k, err := packet.Decode(h, body, p.v)
			if err != nil {
				s.t.Errorf("the broker sent something wrong: %v", err)
				return
			}
			switch k := k.(type) {
			case *packet.Publish:
				if k.QoS == 1 {
					write(&packet.Puback{PacketID: k.PacketID})
				} else if k.QoS == 2 {
					write(&packet.Pubrec{PacketID: k.PacketID})
				}
			case *packet.Pubrec:
				write(&packet.Pubrel{PacketID: k.PacketID})
			case *packet.Pubrel:
				write(&packet.Pubcomp{PacketID: k.PacketID})
			}
		}
	}()
	topics := []string{"t/1", "t/2", "t/#", "#", "+/1", "$share/g/t/#"}
	for i := 0; i < 40 && running(); i++ {
		ok := true
		switch rnd.IntN(4) {
		case 0:
			ok = write(&packet.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{sub(topics[rnd.IntN(len(topics))], mqtt.QoS(rnd.IntN(3)))}})
		case 1:
			ok = write(&packet.Unsubscribe{PacketID: 2, Filters: []string{topics[rnd.IntN(len(topics))]}})
		default:
			m := pub(topics[rnd.IntN(2)], "payload", mqtt.QoS(rnd.IntN(3)), uint16(rnd.IntN(50)+1))
			m.Retain = rnd.IntN(10) == 0
			ok = write(m)
		}
		if !ok {
			break
		}
	}
	if rnd.IntN(2) == 0 {
		write(&packet.Disconnect{})
	}
	p.nc.Close()
	acks.Wait()
}

// A delivered QoS 0 message allocates nothing.
func TestNoAllocationPerMessage(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		for qos, most := range []float64{0, 0.1} { // a window of 100 grows anew in each round
			bench := newBare(t, v, mqtt.QoS(qos), 10)
			per := testing.AllocsPerRun(20, func() { bench.round(100) }) / (100 * 10)
			if per > most+0.02 { // the pools may lose a buffer to the collector
				t.Errorf("version %d QoS %d: %.3f allocations per delivered message", v, qos, per)
			}
			bench.close()
		}
	}
}

// bare drives the path of a message without sockets: a publisher's batch and
// subscribers whose buffers are emptied, and acknowledged, by hand.
type bare struct {
	s       *server
	from    *conn
	to      []*conn
	packets []byte
	qos     mqtt.QoS
	undo    []func()
}

func newBare(t testing.TB, v mqtt.Version, qos mqtt.QoS, subscribers int) *bare {
	s := start(t, Config{MaxInflight: 1000}, nil)
	l := &bare{s: s, qos: qos}
	attach := func(id string) *conn {
		p := s.connect(v, id)
		if id != "from" {
			p.subscribe(sub("a/b", qos))
		}
		sess := s.session(id)
		c := &conn{b: s.Broker, l: s.listeners[0], s: sess, version: v, window: 1000, maxPacket: 1 << 20, maxOut: 1 << 20, writing: true, batch: &batch{b: s.Broker}}
		c.batch.conn = c
		sess.mu.Lock()
		real := sess.conn
		sess.conn = c
		sess.mu.Unlock()
		l.undo = append(l.undo, func() {
			sess.mu.Lock()
			defer sess.mu.Unlock()
			sess.conn = real
			p.nc.Close()
		})
		return c
	}
	l.from = attach("from")
	for i := range subscribers {
		l.to = append(l.to, attach(fmt.Sprint("to", i)))
	}
	id := uint16(0)
	if qos > 0 {
		id = 1
	}
	l.packets, _ = (&packet.Publish{Topic: "a/b", Payload: make([]byte, 64), QoS: qos, PacketID: id}).Append(nil, v)
	return l
}

// round publishes n messages and acknowledges their deliveries.
func (l *bare) round(n int) {
	for range n {
		h, body, _, _ := packet.Split(l.packets, 0)
		if err := l.from.onPublish(h, body); err != nil {
			panic(err)
		}
	}
	l.from.batch.finish(l.s.life)
	l.from.batch.reset()
	l.drain(l.from)
	for _, c := range l.to {
		l.drain(c)
		if l.qos == 0 {
			continue
		}
		for range n {
			c.onAck(packet.TypePuback, packetID(c.s.window.at(0).seq), mqtt.Success)
		}
		c.batch.finish(l.s.life)
		c.batch.reset()
	}
}

// drain is the writer: it has written everything.
func (l *bare) drain(c *conn) {
	c.s.mu.Lock()
	if c.out != nil {
		c.out.b = c.out.b[:0]
	}
	c.s.mu.Unlock()
}

// close gives the sessions their own connections back, to be ended with the broker.
func (l *bare) close() {
	for _, f := range l.undo {
		f()
	}
	l.s.stop()
}

func BenchmarkDeliver(b *testing.B) {
	for qos := range mqtt.QoS(2) {
		for _, n := range []int{1, 50} {
			b.Run(fmt.Sprintf("qos%d/subscribers%d", qos, n), func(b *testing.B) {
				l := newBare(b, mqtt.V311, qos, n)
				b.ReportAllocs()
				rounds := 0
				for b.Loop() {
					l.round(100)
					rounds++
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rounds*100*n), "ns/delivery")
				l.close()
			})
		}
	}
}
