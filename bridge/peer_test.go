package bridge

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/mqtttest"
	"fieldgate/mqtt/packet"
)

// TestOldUpstream: a broker that knows only 3.1.1, and neither the bridge bit,
// still gets everything.
func TestOldUpstream(t *testing.T) {
	got := make(chan string, 100)
	s := mqtttest.Serve(t, func(p *mqtttest.Peer) {
		c := mqtttest.Expect[*packet.Connect](p)
		if c.Version != mqtt.V311 || c.Bridge {
			p.Send(&packet.Connack{Reason: mqtt.UnsupportedProtocolVersion})
			return
		}
		p.Send(&packet.Connack{})
		takeAll(p, got)
	})
	r := newRig(t, Config{URL: s.URL(), StateTopic: "off"})
	r.run()
	r.publish(value(1), value(2))
	for _, want := range []string{"1", "2"} {
		if p := <-got; p != want {
			t.Errorf("got %s, want %s", p, want)
		}
	}
	r.drained()
	if s := r.Stats(); s.Version != 4 {
		t.Errorf("stats %+v", s)
	}
	r.stop()
}

// takeAll acknowledges publishes until the connection ends.
func takeAll(p *mqtttest.Peer, got chan<- string) {
	for {
		switch q := p.Receive().(type) {
		case *packet.Publish:
			got <- string(q.Payload)
			if q.QoS == 1 {
				p.Send(&packet.Puback{PacketID: q.PacketID})
			}
		case *packet.Disconnect:
			return
		case *packet.Pingreq:
			p.Send(&packet.Pingresp{})
		default:
			p.T.Errorf("got %s", q.Type())
			return
		}
	}
}

// TestGoodbyeIsNoRefusal: an upstream that shuts down, again and again, with
// messages in flight and others about to be sent, has refused none of them.
func TestGoodbyeIsNoRefusal(t *testing.T) {
	const n = 40
	got := make(chan string, 100)
	goodbye := func(p *mqtttest.Peer) {
		p.Accept(nil)
		mqtttest.Expect[*packet.Publish](p)
		p.Send(&packet.Disconnect{Reason: mqtt.ServerShuttingDown})
		p.ExpectClosed()
	}
	conns := slices.Repeat([]func(*mqtttest.Peer){goodbye}, 2*retries)
	s := mqtttest.Serve(t, append(conns, func(p *mqtttest.Peer) {
		p.Accept(nil)
		takeAll(p, got)
	})...)
	short := conf.Duration(time.Millisecond)
	r := newRig(t, Config{URL: s.URL(), StateTopic: "off", Connect: Connect{BackoffMin: short, BackoffMax: 5 * short, Spread: short}})
	for i := range n {
		go r.publish(value(i)) // QoS 1 waits for the commit
	}
	until(t, "all are queued", func() bool { return r.Stats().Backlog.Messages == n })
	r.run()
	seen := map[string]bool{}
	for len(seen) < n {
		select {
		case p := <-got:
			seen[p] = true
		case <-time.After(patience):
			t.Fatalf("%d of %d came: %+v", len(seen), n, r.Stats())
		}
	}
	r.drained()
	if s := r.Stats(); s.Quarantined != 0 || s.Refused != 0 {
		t.Errorf("stats %+v", s)
	}
	r.stop()
}

// TestLimitsObeyed: Receive Maximum 2, QoS 1 at most, no retained messages and
// 300 bytes a packet, as a scripted upstream announces them.
func TestLimitsObeyed(t *testing.T) {
	const n = 20
	done := make(chan error, 1)
	s := mqtttest.Serve(t,
		func(p *mqtttest.Peer) { // the will wants to be retained
			p.Accept(&packet.Connack{Reason: mqtt.RetainNotSupported})
		},
		func(p *mqtttest.Peer) {
			c := p.Accept(&packet.Connack{Props: packet.ConnackProps{ReceiveMaximum: 2, HasMaxQoS: true, MaxQoS: 1, NoRetain: true, MaxPacket: 300}})
			if c.Will == nil || c.Will.Message.Retain {
				done <- fmt.Errorf("will %+v", c.Will)
				return
			}
			done <- takeLimited(p, n)
			takeAll(p, make(chan string, n))
		})
	r := newRig(t, Config{URL: s.URL(), Route: []Route{{From: "#", QoS: ptr(2)}}})
	r.publish(mqtt.Message{Topic: "acme/big", Payload: make([]byte, 500)})
	for i := range n {
		m := counted(i, 1)
		m.Retain = true
		go r.publish(m) // QoS 1 waits for the commit
	}
	until(t, "all are queued", func() bool { return r.Stats().Backlog.Messages == n+1 })
	r.run()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r.drained()
	// The large message is put aside, and so is the event about it: there is no
	// event about that one.
	if s := r.Stats(); s.Quarantined != 2 || len(r.local.on("fieldgate/gw/event")) != 1 {
		t.Errorf("stats %+v, events %q", s, r.local.on("fieldgate/gw/event"))
	}
	r.stop()
}

// takeLimited collects n messages, acknowledges only when two are open, and
// reports whatever breaks the limits.
func takeLimited(p *mqtttest.Peer, n int) error {
	var open []uint16
	seen := map[int]bool{}
	for len(seen) < n {
		q, ok := p.Receive().(*packet.Publish)
		if !ok {
			continue
		}
		if q.Retain || q.QoS != 1 {
			return fmt.Errorf("publish with QoS %d, retain %v", q.QoS, q.Retain)
		}
		if open = append(open, q.PacketID); len(open) > 2 {
			return fmt.Errorf("%d open", len(open))
		}
		if v, err := strconv.Atoi(string(q.Payload)); err == nil {
			seen[v] = true
		}
		if len(open) == 2 || len(seen) == n || string(q.Payload) == "online" {
			for _, id := range open {
				p.Send(&packet.Puback{PacketID: id})
			}
			open = nil
		}
	}
	return nil
}

// TestTakenOver: another client with our id throws us out; the bridge says so
// and does not fight.
func TestTakenOver(t *testing.T) {
	s := mqtttest.Serve(t, func(p *mqtttest.Peer) {
		p.Accept(nil)
		p.Send(&packet.Disconnect{Reason: mqtt.SessionTakenOver})
	})
	r := newRig(t, Config{URL: s.URL(), StateTopic: "off"})
	r.run()
	until(t, "the reason", func() bool { return r.Stats().State == StateWaiting })
	if s := r.Stats(); s.Reason != "MQTT: session taken over (0x8E)" || s.Hint == "" {
		t.Errorf("reason %q, hint %q", s.Reason, s.Hint)
	}
	r.stop()
}

// TestNoHastyFallback: a connection that is closed during the login does not
// make the bridge speak 3.1.1 once the upstream has answered MQTT 5.
func TestNoHastyFallback(t *testing.T) {
	closing := func(p *mqtttest.Peer) {
		if c := mqtttest.Expect[*packet.Connect](p); c.Version != mqtt.V5 {
			t.Errorf("CONNECT with version %d", c.Version)
		}
	}
	got := make(chan string, 10)
	s := mqtttest.Serve(t,
		closing,
		func(p *mqtttest.Peer) { p.Accept(nil) }, // and gone
		closing, closing, closing, closing,
		func(p *mqtttest.Peer) {
			p.Accept(nil)
			takeAll(p, got)
		})
	r := newRig(t, Config{URL: s.URL(), StateTopic: "off"})
	r.run()
	r.publish(value(1))
	<-got
	if s := r.Stats(); s.Version != 5 {
		t.Errorf("stats %+v", s)
	}
	r.stop()
}

// TestMuteUpstream: one that closes MQTT 5 without an answer, always, gets 3.1.1.
func TestMuteUpstream(t *testing.T) {
	got := make(chan string, 10)
	s := mqtttest.Serve(t, func(p *mqtttest.Peer) {
		if c := mqtttest.Expect[*packet.Connect](p); c.Version == mqtt.V5 {
			return
		}
		p.Send(&packet.Connack{})
		takeAll(p, got)
	})
	r := newRig(t, Config{URL: s.URL(), StateTopic: "off"})
	r.run()
	r.publish(value(1))
	<-got
	until(t, "3.1.1", func() bool { return r.Stats().Version == 4 })
	r.stop()
}
