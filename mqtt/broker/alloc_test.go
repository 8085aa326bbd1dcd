package broker

import (
	"fmt"
	"runtime"
	"testing"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// A delivered QoS 0 message allocates nothing, and one of QoS 1 or 2 nothing
// either: its acknowledgements do not, and where a subscriber is behind, what
// waits for it is lent from a pool. Only rings grow anew in each round.
func TestNoAllocationPerMessage(t *testing.T) {
	const rounds, each = 20, 100
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		for _, c := range []struct {
			qos                 mqtt.QoS
			subscribers, window int
			most                float64
		}{
			{0, 10, 1000, 0}, {1, 10, 1000, 0.1}, {2, 10, 1000, 0.1},
			{1, 1, 10, 0.15}, {2, 1, 10, 0.15}, // nine of ten wait
			{1, 10, 10, 0.2}, // and are shared by ten subscribers
		} {
			bench := newBare(t, v, c.qos, c.subscribers, c.window)
			per := testing.AllocsPerRun(rounds, func() { bench.round(each) }) / float64(each*c.subscribers)
			most := c.most + 0.02 // the pools may lose a buffer to the collector
			if scribble && c.window < each {
				most = 1 // with the race detector a pool loses every fourth on purpose
			}
			if per > most {
				t.Errorf("version %d QoS %d, window %d of %d, %d subscribers: %.3f allocations per delivered message", v, c.qos, c.window, each, c.subscribers, per)
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
	publish []byte // encoded
	ack     []byte // to be used again
	qos     mqtt.QoS
	undo    []func()
}

func newBare(t testing.TB, v mqtt.Version, qos mqtt.QoS, subscribers, window int) *bare {
	s := start(t, Config{MaxInflight: 1000}, nil)
	l := &bare{s: s, qos: qos}
	attach := func(id string) *conn {
		p := s.connect(v, id)
		if id != "from" {
			p.subscribe(sub("a/b", qos))
		}
		sess := s.session(id)
		c := &conn{b: s.Broker, l: s.listeners[0], s: sess, version: v, window: window, maxPacket: 1 << 20, maxOut: 1 << 20, writing: true, batch: &batch{b: s.Broker}}
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
	l.publish, _ = (&packet.Publish{Topic: "a/b", Payload: make([]byte, 64), QoS: qos, PacketID: id}).Append(nil, v)
	return l
}

// round publishes n messages and acknowledges their deliveries.
func (l *bare) round(n int) {
	for range n {
		l.handle(l.from, l.publish)
		if l.qos == 2 {
			l.answer(l.from, packet.TypePubrel, 1)
		}
	}
	l.finish(l.from)
	for _, c := range l.to {
		l.drain(c)
		if l.qos == 0 {
			continue
		}
		for range n {
			id := packetID(c.s.window.at(0).seq)
			if l.qos == 2 {
				l.answer(c, packet.TypePubrec, id)
				l.answer(c, packet.TypePubcomp, id)
			} else {
				l.answer(c, packet.TypePuback, id)
			}
		}
		l.finish(c)
	}
}

// handle is one packet from a client.
func (l *bare) handle(c *conn, b []byte) {
	h, body, _, _ := packet.Split(b, 0)
	if err := c.handle(h, body); err != nil {
		panic(err)
	}
}

// answer is a client's PUBACK, PUBREC, PUBREL or PUBCOMP.
func (l *bare) answer(c *conn, typ packet.Type, id uint16) {
	l.ack = c.appendAck(l.ack[:0], &ack{typ: typ, id: id})
	l.handle(c, l.ack)
}

// finish is the end of a connection's batch; what it sends has been written.
func (l *bare) finish(c *conn) {
	c.batch.finish(l.s.life)
	c.batch.reset()
	l.drain(c)
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
	for qos := range mqtt.QoS(3) {
		for _, n := range []int{1, 50} {
			for _, window := range []int{10, 1000} {
				if qos > 0 || window == 1000 {
					b.Run(fmt.Sprintf("qos%d/subscribers%d/window%d", qos, n, window), func(b *testing.B) { deliverRounds(b, qos, n, window) })
				}
			}
		}
	}
}

func deliverRounds(b *testing.B, qos mqtt.QoS, subscribers, window int) {
	l := newBare(b, mqtt.V311, qos, subscribers, window)
	defer l.close()
	const each = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rounds := 0
	for b.Loop() {
		l.round(each)
		rounds++
	}
	runtime.ReadMemStats(&after)
	deliveries := float64(rounds * each * subscribers)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/deliveries, "ns/delivery")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/deliveries, "allocs/delivery")
}
