package bench

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

func TestTally(t *testing.T) {
	var c tally
	c.expect(0, 100)
	c.expect(7, 3)
	for _, n := range []int64{0, 1, 3, 2, 3, 99} { // 2 out of order, 3 twice
		c.add(0, n)
	}
	c.add(7, 2)
	c.add(7, 3)  // beyond
	c.add(7, -1) // before
	c.add(5, 0)  // nobody
	if c.got != 6 || c.outOfOrder != 1 || c.repeated != 1 || c.stray != 3 {
		t.Errorf("got %d, out of order %d, repeated %d, stray %d; want 6, 1, 1, 3", c.got, c.outOfOrder, c.repeated, c.stray)
	}
	if c.lost(0, 100) != 95 || c.lost(7, 3) != 2 || c.lost(5, 9) != 0 {
		t.Errorf("lost %d, %d, %d; want 95, 2, 0", c.lost(0, 100), c.lost(7, 3), c.lost(5, 9))
	}
}

// fakeBroker delivers every message to everybody who subscribed, except where
// its script says otherwise. It knows QoS 0 and 1.
type fakeBroker struct {
	ln net.Listener
	wg sync.WaitGroup

	mu     sync.Mutex
	number int            // of the message
	subs   []*link        // guarded by mu, and so is writing to them
	all    map[*link]bool // for the end
	held   []byte         // a message that comes after the next

	// times is how often message number n is delivered, before holding.
	times func(n int) int
	hold  func(n int) bool
	deaf  func(n int) bool // no PUBACK
}

func startFakeBroker(t *testing.T) *fakeBroker {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	never := func(int) bool { return false }
	f := &fakeBroker{ln: ln, all: map[*link]bool{}, times: func(int) int { return 1 }, hold: never, deaf: never}
	f.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			l := &link{Conn: c, buf: make([]byte, readBuffer)}
			f.mu.Lock()
			f.all[l] = true
			f.mu.Unlock()
			f.wg.Go(func() { f.serve(l) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		f.mu.Lock()
		for l := range f.all {
			l.Close()
		}
		f.mu.Unlock()
		f.wg.Wait()
	})
	return f
}

func (f *fakeBroker) serve(l *link) {
	for {
		header, body, err := l.next()
		if err != nil {
			return
		}
		f.mu.Lock()
		switch packet.TypeOf(header) {
		case packet.TypeConnect:
			l.Write([]byte{0x20, 2, 0, 0})
		case packet.TypeSubscribe:
			f.subs = append(f.subs, l)
			l.Write([]byte{0x90, 3, body[0], body[1], body[len(body)-1]})
		case packet.TypePublish:
			f.publish(l, header, body)
		}
		f.mu.Unlock()
	}
}

func (f *fakeBroker) publish(l *link, header byte, body []byte) {
	var m packet.PublishView
	if packet.DecodePublish(header, body, mqtt.V311, &m) != nil {
		return
	}
	n := f.number
	f.number++
	out := packet.Publish{Topic: string(m.Topic), QoS: m.QoS, PacketID: m.PacketID, Payload: m.Payload}
	b, err := out.Append(nil, mqtt.V311)
	if err != nil {
		return
	}
	if m.QoS > 0 && !f.deaf(n) {
		l.Write(appendAck(nil, packet.TypePuback, m.PacketID))
	}
	if f.hold(n) {
		f.held = b
		return
	}
	for range f.times(n) {
		f.deliver(b)
	}
	if f.held != nil {
		f.deliver(f.held)
		f.held = nil
	}
}

func (f *fakeBroker) deliver(b []byte) {
	for _, s := range f.subs {
		s.Write(b)
	}
}

// TestLoadCounts lets a broker lose, repeat and mix up known messages, and
// wants exactly these counted. One publisher sends, so their order is known.
func TestLoadCounts(t *testing.T) {
	for _, c := range []struct {
		name                       string
		qos                        mqtt.QoS
		script                     func(f *fakeBroker)
		lost, repeated, outOfOrder int64
		unacked                    int64
		problem                    string
	}{
		{name: "all well, QoS 0", qos: 0},
		{name: "all well, QoS 1", qos: 1},
		{name: "QoS 0 may lose", qos: 0, lost: 3,
			script: func(f *fakeBroker) { f.times = func(n int) int { return min(1, n%30) } }}, // 0, 30, 60
		{name: "QoS 1 may not", qos: 1, lost: 3, problem: "3 messages lost",
			script: func(f *fakeBroker) { f.times = func(n int) int { return min(1, n%30) } }},
		{name: "QoS 1 may repeat", qos: 1, repeated: 2,
			script: func(f *fakeBroker) {
				f.times = func(n int) int {
					if n == 10 || n == 20 {
						return 2
					}
					return 1
				}
			}},
		{name: "order", qos: 1, outOfOrder: 1, problem: "1 messages out of order",
			script: func(f *fakeBroker) { f.hold = func(n int) bool { return n == 40 } }},
		{name: "a PUBACK is missing", qos: 1, unacked: 1, problem: "1 messages not acknowledged",
			script: func(f *fakeBroker) { f.deaf = func(n int) bool { return n == 77 } }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := startFakeBroker(t)
			if c.script != nil {
				c.script(f)
			}
			const count = 90
			quiet := 30 * time.Second
			if c.lost+c.unacked > 0 {
				quiet = 3 * time.Second // what never comes is waited for
			}
			l := Load{Address: f.ln.Addr().String(), Scenario: "fanout", QoS: c.qos, Payload: 64, Count: count, Quiet: quiet}
			r, err := l.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if r.Sent != count || r.Subscribers != fanOutSubscribers {
				t.Errorf("sent %d to %d subscribers, want %d to %d", r.Sent, r.Subscribers, count, fanOutSubscribers)
			}
			const n = fanOutSubscribers
			if r.Lost != c.lost*n || r.Repeated != c.repeated*n || r.OutOfOrder != c.outOfOrder*n || r.Stray != 0 {
				t.Errorf("lost %d, repeated %d, out of order %d, stray %d; want %d, %d, %d, 0",
					r.Lost, r.Repeated, r.OutOfOrder, r.Stray, c.lost*n, c.repeated*n, c.outOfOrder*n)
			}
			if r.Delivered != (count-c.lost)*n || r.Latency.Count != int(r.Delivered) {
				t.Errorf("delivered %d with %d latencies, want %d", r.Delivered, r.Latency.Count, (count-c.lost)*n)
			}
			if c.qos > 0 && r.Acknowledged != count-c.unacked {
				t.Errorf("acknowledged %d, want %d", r.Acknowledged, count-c.unacked)
			}
			checkProblem(t, r.Problems, c.problem)
		})
	}
}

// checkProblem wants one problem with the text, whose number may be that of
// all subscribers together.
func checkProblem(t *testing.T, got []string, want string) {
	t.Helper()
	_, text, _ := strings.Cut(want, " ")
	if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.Contains(got[0], text)) {
		t.Errorf("problems %q, want %q", got, want)
	}
}

func TestLoadRefuses(t *testing.T) {
	f := startFakeBroker(t)
	l := Load{Address: f.ln.Addr().String(), Scenario: "circle", Count: 1, Quiet: time.Second}
	if _, err := l.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "fanin, fanout, pairs") {
		t.Errorf("unknown scenario: %v", err)
	}
	f.ln.Close()
	l.Scenario = "fanin"
	if _, err := l.Run(t.Context()); err == nil {
		t.Error("a broker that is not there: no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Run(ctx); err == nil {
		t.Error("a context that has ended: no error")
	}
}

// TestPace wants a paced run to take as long as its rate says.
func TestPace(t *testing.T) {
	f := startFakeBroker(t)
	l := Load{Address: f.ln.Addr().String(), Scenario: "fanout", Payload: 64, Count: 21, Rate: 100, Quiet: 10 * time.Second}
	r, err := l.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Delivered != 21*fanOutSubscribers || r.Seconds < 0.2 {
		t.Errorf("%d messages in %.3f s, want %d in at least 0.2 s", r.Delivered, r.Seconds, 21*fanOutSubscribers)
	}
}
