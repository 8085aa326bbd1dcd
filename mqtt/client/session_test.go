package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/mqtttest"
	"fieldgate/mqtt/packet"
)

// scripts runs one script per connection, after a CONNACK that says whether
// the session is there.
type step struct {
	present bool
	script  func(*mqtttest.Peer)
}

func scripts(t *testing.T, steps ...step) Config {
	var n int
	var mu sync.Mutex
	return Config{
		URL: "mqtt://broker.test", ClientID: "c", SessionExpiry: 3600, Session: NewSession(),
		Dialer: mqtttest.Pipe(t, func(p *mqtttest.Peer) {
			mu.Lock()
			s := steps[n]
			n++
			mu.Unlock()
			p.Accept(&packet.Connack{SessionPresent: s.present})
			s.script(p)
		}),
	}
}

// results collects what the messages' done functions get.
type results struct {
	t  *testing.T
	mu sync.Mutex
	m  map[string]error
	ch chan string
}

func newResults(t *testing.T) *results {
	return &results{t: t, m: map[string]error{}, ch: make(chan string, 1000)}
}

func (r *results) done(name string) func(error) {
	return func(err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if _, twice := r.m[name]; twice {
			r.t.Errorf("message %s is done twice", name)
		}
		r.m[name] = err
		r.ch <- name
	}
}

// of is what the message got, and whether it got anything.
func (r *results) of(name string) (err error, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err, ok = r.m[name]
	return err, ok
}

func (r *results) err(name string) error {
	err, _ := r.of(name)
	return err
}

func (r *results) wait(n int) {
	r.t.Helper()
	for range n {
		within(r.t, "a message's end", r.ch)
	}
}

func publishAll(t *testing.T, c *Conn, r *results, qos ...mqtt.QoS) {
	t.Helper()
	for i, q := range qos {
		name := string(rune('a' + i))
		if err := c.PublishAsync(bg, mqtt.Message{Topic: "t", Payload: []byte(name), QoS: q}, r.done(name)); err != nil {
			t.Fatal(err)
		}
	}
}

// A cut in the middle: what is unfinished goes again in order, with DUP, and
// what was finished does not.
func TestResume(t *testing.T) {
	cfg := scripts(t, step{false, func(p *mqtttest.Peer) {
		var ids []uint16
		for range 4 { // a (1) b (2) c (1) d (2)
			m := mqtttest.Expect[*packet.Publish](p)
			if m.Dup {
				t.Error("DUP on a first delivery")
			}
			ids = append(ids, m.PacketID)
		}
		p.Send(&packet.Puback{PacketID: ids[0]}, &packet.Pubrec{PacketID: ids[1]})
		mqtttest.Expect[*packet.Pubrel](p)
	}}, step{true, func(p *mqtttest.Peer) {
		rel := mqtttest.Expect[*packet.Pubrel](p)
		c := mqtttest.Expect[*packet.Publish](p)
		d := mqtttest.Expect[*packet.Publish](p)
		if !c.Dup || string(c.Payload) != "c" || !d.Dup || string(d.Payload) != "d" {
			t.Errorf("%+v %+v", c, d)
		}
		e := mqtttest.Expect[*packet.Publish](p)
		if e.Dup || string(e.Payload) != "e" {
			t.Errorf("%+v", e)
		}
		p.Send(&packet.Pubcomp{PacketID: rel.PacketID}, &packet.Puback{PacketID: c.PacketID}, &packet.Pubrec{PacketID: d.PacketID})
		mqtttest.Expect[*packet.Pubrel](p)
		p.Send(&packet.Pubcomp{PacketID: d.PacketID})
		p.Send(&packet.Puback{PacketID: e.PacketID})
		p.ExpectClosed()
	}})
	r := newResults(t)
	c := mustDial(t, cfg)
	publishAll(t, c, r, 1, 2, 1, 2)
	within(t, "the cut", c.Done())
	if n := cfg.Session.Unfinished(); n != 3 {
		t.Errorf("%d unfinished, want 3", n)
	}
	c = mustDial(t, cfg)
	if err := c.Publish(bg, mqtt.Message{Topic: "t", Payload: []byte("e"), QoS: 1}); err != nil {
		t.Error(err)
	}
	r.wait(4)
	for _, name := range []string{"a", "b", "c", "d"} {
		if err := r.err(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The broker has lost the session: unfinished messages end, in order, and
// nothing is sent again.
func TestSessionLost(t *testing.T) {
	cfg := scripts(t, step{false, func(p *mqtttest.Peer) {
		for range 3 {
			mqtttest.Expect[*packet.Publish](p)
		}
	}}, step{false, func(p *mqtttest.Peer) {
		if m := mqtttest.Expect[*packet.Publish](p); string(m.Payload) != "new" || m.Dup {
			t.Errorf("%+v", m)
		}
		p.ExpectClosed()
	}})
	r := newResults(t)
	c := mustDial(t, cfg)
	publishAll(t, c, r, 1, 2, 1)
	within(t, "the cut", c.Done())
	c = mustDial(t, cfg)
	for _, want := range []string{"a", "b", "c"} {
		if got := within(t, "a message's end", r.ch); got != want || !errors.Is(r.err(got), ErrSessionLost) {
			t.Errorf("%s ended with %v, want %s", got, r.err(got), want)
		}
	}
	if err := c.Publish(bg, mqtt.Message{Topic: "t", Payload: []byte("new")}); err != nil {
		t.Error(err)
	}
}

// Without a Session, or with one the broker does not keep, messages end with
// the connection.
func TestNoSession(t *testing.T) {
	for what, change := range map[string]func(*Config){
		"none":     func(c *Config) { c.Session = nil },
		"not kept": func(c *Config) { c.SessionExpiry = 0 },
	} {
		cfg := scripts(t, step{false, func(p *mqtttest.Peer) { mqtttest.Expect[*packet.Publish](p) }})
		change(&cfg)
		err := mustDial(t, cfg).Publish(bg, message(1, 1))
		if !errors.Is(err, ErrSessionLost) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSessionDrop(t *testing.T) {
	cfg := scripts(t, step{false, func(p *mqtttest.Peer) { mqtttest.Expect[*packet.Publish](p) }})
	r := newResults(t)
	c := mustDial(t, cfg)
	publishAll(t, c, r, 1)
	within(t, "the cut", c.Done())
	cfg.Session.Drop()
	if !errors.Is(r.err("a"), ErrSessionLost) || cfg.Session.Unfinished() != 0 {
		t.Errorf("%v, %d unfinished", r.err("a"), cfg.Session.Unfinished())
	}
}

// Publish says so when the connection ends and the message goes on.
func TestPublishGoesOn(t *testing.T) {
	cfg := scripts(t, step{false, func(p *mqtttest.Peer) { mqtttest.Expect[*packet.Publish](p) }})
	c := mustDial(t, cfg)
	err := c.Publish(bg, message(1, 1))
	if err == nil || errors.Is(err, ErrSessionLost) || cfg.Session.Unfinished() != 1 {
		t.Errorf("%v, %d unfinished", err, cfg.Session.Unfinished())
	}
}

// A broker that after a restart takes less than before.
func TestResumeBeyondLimits(t *testing.T) {
	cfg := scripts(t, step{false, func(p *mqtttest.Peer) {
		mqtttest.Expect[*packet.Publish](p)
		mqtttest.Expect[*packet.Publish](p)
	}})
	r := newResults(t)
	c := mustDial(t, cfg)
	publishAll(t, c, r, 2, 1)
	within(t, "the cut", c.Done())
	again := script(t, &packet.Connack{SessionPresent: true, Props: packet.ConnackProps{MaxQoS: 1, HasMaxQoS: true}}, func(p *mqtttest.Peer) {
		m := mqtttest.Expect[*packet.Publish](p)
		if string(m.Payload) != "b" {
			t.Errorf("%+v", m)
		}
		p.Send(&packet.Puback{PacketID: m.PacketID})
		p.ExpectClosed()
	})
	cfg.Dialer = again.Dialer
	mustDial(t, cfg)
	r.wait(2)
	wantReason(t, "QoS 2", r.err("a"), mqtt.QoSNotSupported)
	if err := r.err("b"); err != nil {
		t.Error(err)
	}
}

// QoS 2 on the way to us, cut between PUBLISH and PUBREC, PUBREC and PUBREL:
// delivered once.
func TestResumeReceiving(t *testing.T) {
	cfg := scripts(t, step{false, func(p *mqtttest.Peer) {
		p.Send(&packet.Publish{Topic: "t", QoS: 2, PacketID: 5, Payload: []byte("x")})
		// cut before the application acknowledges
	}}, step{true, func(p *mqtttest.Peer) {
		p.Send(&packet.Publish{Topic: "t", QoS: 2, PacketID: 5, Payload: []byte("x"), Dup: true})
		mqtttest.Expect[*packet.Pubrec](p)
		// cut before PUBREL
	}}, step{true, func(p *mqtttest.Peer) {
		p.Send(&packet.Pubrel{PacketID: 5})
		if c := mqtttest.Expect[*packet.Pubcomp](p); c.Reason != mqtt.Success {
			t.Errorf("%+v", c)
		}
		p.Send(&packet.Publish{Topic: "t", QoS: 2, PacketID: 5, Payload: []byte("y")})
		mqtttest.Expect[*packet.Pubrec](p)
		p.ExpectClosed()
	}})
	got := make(chan string, 10)
	acks := make(chan func(), 10)
	cfg.OnMessage = func(m *mqtt.Message, ack func()) {
		got <- string(m.Payload)
		acks <- ack
	}
	c := mustDial(t, cfg)
	within(t, "the first cut", c.Done())
	(<-acks)() // late, without a connection
	c = mustDial(t, cfg)
	within(t, "the second cut", c.Done())
	c = mustDial(t, cfg)
	within(t, "y", acks)()
	if a, b := within(t, "x", got), within(t, "y", got); a != "x" || b != "y" || len(got) != 0 {
		t.Errorf("%q %q", a, b)
	}
	_ = c.Close()
}

// The client id that the broker assigned is used for the session's next
// connection.
func TestAssignedClientID(t *testing.T) {
	ids := make(chan string, 2)
	s := NewSession()
	for range 2 {
		cfg := Config{URL: "mqtt://h", Session: s, SessionExpiry: 10, Dialer: mqtttest.Pipe(t, func(p *mqtttest.Peer) {
			c := mqtttest.Expect[*packet.Connect](p)
			ids <- c.ClientID
			a := &packet.Connack{}
			if c.ClientID == "" {
				a.Props.AssignedClientID = "auto-1"
			}
			p.Send(a)
			p.ExpectClosed()
		})}
		_ = mustDial(t, cfg).Close()
	}
	if a, b := <-ids, <-ids; a != "" || b != "auto-1" {
		t.Errorf("%q, then %q", a, b)
	}
}

// Cuts at random places under load, with a broker that keeps its word: each
// message of QoS 1 arrives and ends once, those of QoS 2 arrive once.
func TestResumeUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const total = 400
		b := newMemoryBroker(t)
		cfg := Config{URL: "mqtt://h", ClientID: "c", SessionExpiry: 60, Session: NewSession()}
		cuts := 0
		dial := mqtttest.Pipe(t, b.serve)
		cfg.Dialer = func(ctx context.Context, network, address string) (nc netConn, err error) {
			nc, err = dial(ctx, network, address)
			cuts++
			return &mqtttest.Meddler{Conn: nc, Slice: 1 + cuts%7, CutWrite: 200 + cuts*97%1500, CutRead: 60 + cuts*53%700}, err
		}
		r := newResults(t)
		var c *Conn
		connect := func() {
			for {
				var err error
				if c, err = Dial(bg, cfg); err == nil {
					return
				}
			}
		}
		connect()
		for i := range total {
			m := mqtt.Message{Topic: "t", Payload: fmt.Append(nil, i), QoS: mqtt.QoS(1 + i%2)}
			for c.PublishAsync(bg, m, r.done(fmt.Sprint(i))) != nil {
				<-c.Done()
				connect()
			}
		}
		for cfg.Session.Unfinished() > 0 {
			select {
			case <-c.Done():
				connect()
			case <-time.After(10 * time.Millisecond):
			}
		}
		_ = c.Close()
		synctest.Wait()
		if len(b.qos2) > 0 {
			t.Errorf("the broker waits for PUBREL of %v", b.qos2)
		}
		for i := range total {
			name := fmt.Sprint(i)
			if n := b.arrived[name]; n < 1 || i%2 == 1 && n != 1 {
				t.Errorf("message %d of QoS %d arrived %d times", i, 1+i%2, n)
			}
			if err, ok := r.of(name); !ok || err != nil {
				t.Errorf("message %d ended: %v, %v", i, ok, err)
			}
		}
		if cuts < 10 {
			t.Errorf("only %d connections", cuts)
		}
	})
}
