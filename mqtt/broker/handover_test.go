package broker

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// What a member of a share has not acknowledged when its session ends goes to
// another member: sent or not, from RAM or from the store.
func TestShareIsHandedOver(t *testing.T) {
	for name, option := range map[string]func(*packet.Connect){
		"clean":   func(*packet.Connect) {},
		"durable": durable,
	} {
		t.Run(name, func(t *testing.T) {
			store := newMemory()
			s := start(t, Config{MaxInflight: 5}, store)
			a := s.connect(mqtt.V5, "a", option)
			a.subscribe(sub("$share/g/t/+", 1))
			w := s.connect(mqtt.V5, "w")
			props := &mqtt.Properties{HasExpiry: true, MessageExpiry: 1000, User: []mqtt.UserProperty{{Name: "k", Value: "v"}}}
			for i := range 100 {
				w.send(&packet.Publish{Topic: "t/1", Payload: fmt.Append(nil, i), QoS: 1, PacketID: uint16(i + 1), Props: props})
				expect[*packet.Puback](w)
			}
			for range 3 {
				a.receive()
			}
			waitFor(t, "three acknowledged", func() bool { c := s.Clients()[0]; return c.Inflight+c.Queued == 97 })
			b := s.connect(mqtt.V5, "b")
			b.subscribe(sub("$share/g/t/+", 1))
			if name == "durable" { // the session ends with DISCONNECT
				a.send(&packet.Disconnect{HasSessionExpiry: true})
				a.gone()
			} else {
				a.cut()
			}
			for i := 3; i < 100; i++ {
				m := b.receive()
				if string(m.Payload) != fmt.Sprint(i) || m.Dup || m.QoS != 1 {
					t.Fatalf("got %s dup %v qos %d, want %d", m.Payload, m.Dup, m.QoS, i)
				}
				if p := m.Props; p == nil || len(p.User) != 1 || p.MessageExpiry > 1000 || p.MessageExpiry < 900 {
					t.Fatalf("properties %+v", p)
				}
			}
			b.silent()
			if d := s.Stats().Dropped; d != 0 {
				t.Errorf("%d dropped", d)
			}
			waitFor(t, "the end of the session", func() bool { return s.session("a") == nil })
			if n, _ := store.PendingCount("a"); n != 0 || s.queuedBytes.Load() != 0 {
				t.Errorf("%d messages, %d bytes are left behind", n, s.queuedBytes.Load())
			}
		})
	}
}

// Into the store of a member that is away, too; and when nobody else is there
// they are counted as lost.
func TestShareIsHandedOverWhenASessionExpires(t *testing.T) {
	piped(t, Config{}, newMemory(), func(t *testing.T, p *pipes) {
		a := p.connect(mqtt.V5, "a", func(c *packet.Connect) { c.Props.SessionExpiry = 10 })
		a.subscribe(sub("$share/g/t", 1), sub("own", 1))
		a.leave()
		w := p.connect(mqtt.V5, "w")
		for i := range 70 { // more than a page
			w.publish("t", fmt.Sprint(i), 1, uint16(i+1))
		}
		w.publish("own", "x", 1, 1)
		b := p.connect(mqtt.V5, "b", durable)
		b.subscribe(sub("$share/g/t", 1))
		b.leave()
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if n, _ := p.store.PendingCount("b"); n != 70 || p.session("a") != nil {
			t.Fatalf("%d messages wait for the other member, want 70", n)
		}
		b = p.connect(mqtt.V5, "b", durable)
		for i := range 70 {
			if m := b.receive(); string(m.Payload) != fmt.Sprint(i) || m.Topic != "t" {
				t.Fatalf("got %s %s, want %d", m.Topic, m.Payload, i)
			}
		}
		b.leave()
		w.publish("t", "last", 1, 1)
		before := p.stats.dropped.Load()
		c := p.connect(mqtt.V5, "b", func(c *packet.Connect) { c.CleanStart = true })
		c.silent()
		if n := p.stats.dropped.Load() - before; n != 1 {
			t.Errorf("%d counted as lost, want 1", n)
		}
	})
}

// A QoS 2 message that was sent goes to nobody else [MQTT-4.8.2-5], one that
// was not does.
func TestShareKeepsQoS2ThatWasSent(t *testing.T) {
	s := start(t, Config{MaxInflight: 2}, nil)
	a := s.connect(mqtt.V5, "a")
	a.subscribe(sub("$share/g/t", 2))
	w := s.connect(mqtt.V5, "w")
	for i := range 4 {
		w.publish("t", fmt.Sprint(i), 2, uint16(i+1))
	}
	expect[*packet.Publish](a)
	b := s.connect(mqtt.V5, "b")
	b.subscribe(sub("$share/g/t", 2))
	a.cut()
	var got []string
	for range 2 {
		got = append(got, string(b.receive().Payload))
	}
	b.silent()
	if !slices.Equal(got, []string{"2", "3"}) {
		t.Errorf("handed over: %v", got)
	}
}
