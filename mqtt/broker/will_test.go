package broker

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// piped runs a test in a bubble of its own time, with a broker whose
// connections are pipes.
func piped(t *testing.T, cfg Config, store Store, test func(t *testing.T, p *pipes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg.Listener = anyPort()
		p := newPipes(t, cfg, store)
		test(t, p)
		p.stop()
	})
}

type pipes struct {
	*server
	l *listener
}

func newPipes(t *testing.T, cfg Config, store Store) *pipes {
	b, err := New(cfg, Options{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	b.armRestored()
	section := cfg.Listener[0]
	section.Bind = "127.0.0.1:0"
	p := &pipes{server: &server{Broker: b, t: t}, l: newListener(b, section, nil)}
	p.stop = func() {
		b.stop()
		synctest.Wait()
	}
	return p
}

func (p *pipes) dial() *peer {
	ours, theirs := net.Pipe()
	p.l.enter(ours)
	p.wg.Add(1)
	go func() {
		defer p.wg.Done()
		p.l.handle(ours)
	}()
	return newPeer(p.t, theirs)
}

func (p *pipes) connect(v mqtt.Version, id string, options ...func(*packet.Connect)) *peer {
	p.t.Helper()
	c := p.dial()
	if a := c.connect(v, id, options...); a.Reason != mqtt.Success {
		p.t.Fatalf("CONNACK %v", a.Reason)
	}
	return c
}

func withWill(delay, expiry uint32, m mqtt.Message) func(*packet.Connect) {
	return func(c *packet.Connect) {
		c.CleanStart = false
		c.Props.SessionExpiry = expiry
		c.Will = &mqtt.Will{Message: m, Delay: delay}
	}
}

// wills counts the messages that came to the watcher.
func (p *peer) wills() int {
	p.t.Helper()
	n := 0
	p.send(&packet.Pingreq{})
	for {
		switch p.mustNext().(type) {
		case *packet.Publish:
			n++
		case *packet.Pingresp:
			return n
		}
	}
}

func TestProbe06WillDelay(t *testing.T) {
	will := mqtt.Message{Topic: "will", Payload: []byte("bye")}
	for _, c := range []struct {
		name          string
		delay, expiry uint32
		back          time.Duration // reconnects after so long; 0: never
		clean         bool
		early, late   int // wills seen just before and after the delay
	}{
		{"no delay", 0, 100, 0, false, 1, 1},
		{"delay", 10, 100, 0, false, 0, 1},
		{"back before the delay", 10, 100, 5 * time.Second, false, 0, 0},
		{"back after the delay", 10, 100, 15 * time.Second, false, 0, 1},
		{"session ends before the delay", 10, 4, 0, false, 1, 1},
		{"session ends with the connection", 10, 0, 0, false, 1, 1},
		{"back with a clean start", 10, 100, 5 * time.Second, true, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			piped(t, Config{}, nil, func(t *testing.T, p *pipes) {
				watch := p.connect(mqtt.V5, "watch")
				watch.subscribe(sub("will", 1))
				w := p.connect(mqtt.V5, "w", withWill(c.delay, c.expiry, will))
				w.nc.Close()
				if c.back > 0 && c.back < 10*time.Second {
					time.Sleep(c.back)
					p.connect(mqtt.V5, "w", durable, func(k *packet.Connect) { k.CleanStart = c.clean })
					time.Sleep(9*time.Second - c.back)
				} else {
					time.Sleep(9 * time.Second)
				}
				synctest.Wait()
				seen := watch.wills()
				if seen != c.early {
					t.Errorf("%d wills before the delay, want %d", seen, c.early)
				}
				time.Sleep(20 * time.Second)
				synctest.Wait()
				if seen += watch.wills(); seen != c.late {
					t.Errorf("%d wills after the delay, want %d", seen, c.late)
				}
			})
		})
	}
}

func TestProbe06WillOfTakeOver(t *testing.T) {
	for _, c := range []struct {
		name  string
		delay uint32
		want  int
	}{{"without delay", 0, 1}, {"with delay", 10, 0}} {
		t.Run(c.name, func(t *testing.T) {
			piped(t, Config{}, nil, func(t *testing.T, p *pipes) {
				watch := p.connect(mqtt.V5, "watch")
				watch.subscribe(sub("will", 1))
				old := p.connect(mqtt.V5, "w", withWill(c.delay, 100, mqtt.Message{Topic: "will", Payload: []byte("x")}))
				go func() { // a pipe has no buffer
					for {
						if _, err := old.next(); err != nil {
							return
						}
					}
				}()
				p.connect(mqtt.V5, "w", durable)
				time.Sleep(30 * time.Second)
				synctest.Wait()
				if got := watch.wills(); got != c.want {
					t.Errorf("%d wills, want %d", got, c.want)
				}
			})
		})
	}
}

func TestProbe06WillKeepsWhatBelongsToIt(t *testing.T) {
	piped(t, Config{}, nil, func(t *testing.T, p *pipes) {
		watch := p.connect(mqtt.V5, "watch")
		watch.subscribe(mqtt.Subscription{Filter: "will/#", QoS: 2, RetainAsPublished: true})
		props := &mqtt.Properties{ContentType: "text/plain", ResponseTopic: "r", CorrelationData: []byte{1}, HasExpiry: true, MessageExpiry: 60,
			PayloadFormat: 1, User: []mqtt.UserProperty{{Name: "a", Value: "b"}}}
		w := p.connect(mqtt.V5, "w", withWill(30, 100, mqtt.Message{Topic: "will/a", Payload: []byte("x"), QoS: 2, Retain: true, Props: props}))
		w.nc.Close()
		time.Sleep(31 * time.Second)
		m := watch.receive()
		if q := m.Props; q == nil || q.ContentType != "text/plain" || q.ResponseTopic != "r" || q.PayloadFormat != 1 || len(q.User) != 1 || q.MessageExpiry != 60 || m.QoS != 2 || !m.Retain {
			t.Errorf("will %+v, props %+v", m, m.Props)
		}
		// An empty will removes the retained message.
		w = p.connect(mqtt.V5, "w", withWill(0, 0, mqtt.Message{Topic: "will/a", Retain: true}))
		w.nc.Close()
		if m := watch.receive(); len(m.Payload) != 0 {
			t.Errorf("will %+v", m)
		}
		if got := p.Retained("will/a"); len(got) != 0 {
			t.Errorf("still retained: %v", got)
		}
		// DISCONNECT without and with a wish for the will.
		w = p.connect(mqtt.V5, "w", withWill(0, 0, mqtt.Message{Topic: "will/b", Payload: []byte("x")}))
		w.leave()
		w = p.connect(mqtt.V5, "w", withWill(0, 0, mqtt.Message{Topic: "will/c", Payload: []byte("x")}))
		w.send(&packet.Disconnect{Reason: mqtt.DisconnectWithWill})
		w.gone()
		if m := watch.receive(); m.Topic != "will/c" {
			t.Errorf("will %+v, want will/c", m)
		}
	})
}

func TestKeepAlive(t *testing.T) {
	piped(t, Config{}, nil, func(t *testing.T, p *pipes) {
		c := p.connect(mqtt.V5, "c", func(c *packet.Connect) { c.KeepAlive = 10 })
		for range 5 {
			time.Sleep(14 * time.Second)
			c.silent()
		}
		time.Sleep(14 * time.Second)
		begin := time.Now()
		c.ends(mqtt.KeepAliveTimeout)
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("closed after %v more", took)
		}
		a := p.dial().connect(mqtt.V5, "d", func(c *packet.Connect) { c.KeepAlive = 65535 })
		if !a.Props.HasKeepAlive || a.Props.ServerKeepAlive != 3600 {
			t.Errorf("server keep alive %+v", a.Props)
		}
	})
}

func TestExpiry(t *testing.T) {
	piped(t, Config{}, nil, func(t *testing.T, p *pipes) {
		r := p.connect(mqtt.V5, "r", func(c *packet.Connect) { c.Props.SessionExpiry = 1000 })
		r.subscribe(sub("q/#", 1))
		r.leave()
		w := p.connect(mqtt.V5, "w")
		for i, seconds := range []uint32{5, 500, 100} {
			w.send(&packet.Publish{Topic: "q/x", Payload: []byte{byte('a' + i)}, QoS: 1, PacketID: 1, Retain: i == 2, Props: &mqtt.Properties{HasExpiry: true, MessageExpiry: seconds}})
			expect[*packet.Puback](w)
		}
		time.Sleep(50 * time.Second)
		r = p.connect(mqtt.V5, "r", durable)
		for _, want := range []struct {
			payload string
			left    uint32
		}{{"b", 450}, {"c", 50}} {
			if m := r.receive(); string(m.Payload) != want.payload || m.Props.MessageExpiry != want.left {
				t.Errorf("got %s with %d s left, want %v", m.Payload, m.Props.MessageExpiry, want)
			}
		}
		r.silent()
		time.Sleep(60 * time.Second)
		if got := p.Retained("#"); len(got) != 0 {
			t.Errorf("an expired message is retained: %v", got)
		}
		// Sessions end, and say so by no session being present.
		r.send(&packet.Disconnect{HasSessionExpiry: true, SessionExpiry: 10})
		r.gone()
		time.Sleep(9 * time.Second)
		if p.session("r") == nil {
			t.Error("the session ended too early")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if p.session("r") != nil {
			t.Error("the session did not end")
		}
		if n := p.queuedBytes.Load(); n != 0 {
			t.Errorf("%d bytes still counted as queued", n)
		}
	})
}

// A delayed will and the end of a session outlive a restart.
func TestWillAfterRestart(t *testing.T) {
	store := newMemory()
	piped(t, Config{}, store, func(t *testing.T, p *pipes) {
		watch := p.connect(mqtt.V5, "watch", durable)
		watch.subscribe(sub("will", 1))
		watch.leave()
		w := p.connect(mqtt.V5, "w", withWill(60, 100, mqtt.Message{Topic: "will", Payload: []byte("x"), QoS: 1}))
		w.nc.Close()
		time.Sleep(10 * time.Second)
		p.stop()
		q := newPipes(t, Config{Listener: anyPort()}, store)
		time.Sleep(49 * time.Second)
		synctest.Wait()
		if n, _ := store.PendingCount("watch"); n != 0 {
			t.Error("the will came too early")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n, _ := store.PendingCount("watch"); n != 1 {
			t.Error("the will did not come")
		}
		time.Sleep(60 * time.Second)
		synctest.Wait()
		if q.session("w") != nil {
			t.Error("the session did not end")
		}
		q.stop()
	})
}
