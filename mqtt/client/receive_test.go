package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldgate/mqtt"
	"fieldgate/mqtt/mqtttest"
	"fieldgate/mqtt/packet"
)

func TestSubscribe(t *testing.T) {
	subs := []mqtt.Subscription{{Filter: "a/#", QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: 1, ID: 7}, {Filter: "$share/g/b", QoS: 2, ID: 7}}
	cfg := script(t, nil, func(p *mqtttest.Peer) {
		s := mqtttest.Expect[*packet.Subscribe](p)
		if diff := cmp.Diff(subs, s.Subscriptions); diff != "" {
			t.Error(diff)
		}
		p.Send(&packet.Suback{PacketID: s.PacketID, Reasons: []mqtt.ReasonCode{1, mqtt.NotAuthorized}})
		u := mqtttest.Expect[*packet.Unsubscribe](p)
		p.Send(&packet.Unsuback{PacketID: u.PacketID, Reasons: []mqtt.ReasonCode{mqtt.NoSubscriptionExisted}})
		p.ExpectClosed()
	})
	c := mustDial(t, cfg)
	got, err := c.Subscribe(bg, subs...)
	if diff := cmp.Diff([]mqtt.ReasonCode{1, mqtt.NotAuthorized}, got); diff != "" || err != nil {
		t.Errorf("%v, %s", err, diff)
	}
	got, err = c.Unsubscribe(bg, "a/#")
	if diff := cmp.Diff([]mqtt.ReasonCode{mqtt.NoSubscriptionExisted}, got); diff != "" || err != nil {
		t.Errorf("%v, %s", err, diff)
	}
	_, err = c.Subscribe(bg, mqtt.Subscription{Filter: "a", ID: 1}, mqtt.Subscription{Filter: "b", ID: 2})
	wantReason(t, "two identifiers", err, mqtt.ProtocolError)
	_, err = c.Subscribe(bg)
	wantReason(t, "nothing", err, mqtt.ProtocolError)
	if c.s.ids.Len() != 0 {
		t.Error("a packet id is left")
	}
}

// A call that is given up, and one that the end of the connection finds.
func TestSubscribeEnds(t *testing.T) {
	arrived := make(chan struct{})
	cfg := script(t, nil, func(p *mqtttest.Peer) {
		first := mqtttest.Expect[*packet.Subscribe](p)
		close(arrived)
		mqtttest.Expect[*packet.Subscribe](p)
		p.Send(&packet.Suback{PacketID: first.PacketID, Reasons: []mqtt.ReasonCode{0}}) // nobody waits any more
	})
	c := mustDial(t, cfg)
	ctx, cancel := context.WithCancel(bg)
	go func() { <-arrived; cancel() }()
	if _, err := c.Subscribe(ctx, mqtt.Subscription{Filter: "a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	if _, err := c.Subscribe(bg, mqtt.Subscription{Filter: "b"}); !errors.Is(err, c.Err()) || c.Err() == nil {
		t.Errorf("cut: %v, %v", err, c.Err())
	}
	if _, err := c.Subscribe(bg, mqtt.Subscription{Filter: "b"}); err == nil {
		t.Error("after the end: accepted")
	}
}

// A broker that sends more than our Receive Maximum is not read beyond it, and
// meanwhile is not taken for dead. Before 5.0 it was never told.
func TestReceiveMaximumExceeded(t *testing.T) {
	for _, version := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		inBubble(t, func(t *testing.T) {
			const window, total = 2, 20
			cfg := script(t, nil, func(p *mqtttest.Peer) {
				go func() { // it only sends; a pipe holds up who writes
					for i := range total {
						_ = p.Conn.SetWriteDeadline(time.Time{})
						out, _ := (&packet.Publish{Topic: "t", QoS: 1, PacketID: uint16(i + 1)}).Append(nil, p.Version)
						_, _ = p.Conn.Write(out)
					}
				}()
				swallow(p)
			})
			acks := make(chan func(), total)
			cfg.Version, cfg.ReceiveMaximum, cfg.KeepAlive = version, window, 10*time.Second
			cfg.OnMessage = func(_ *mqtt.Message, ack func()) { acks <- ack }
			c := mustDial(t, cfg)
			time.Sleep(time.Hour)
			if len(acks) != window+1 || c.Err() != nil {
				t.Errorf("version %d: %d messages unacknowledged, %v", version, len(acks), c.Err())
			}
			for range total {
				within(t, "message", acks)()
			}
			_ = c.Close()
		})
	}
}

// What a broker does wrong ends the connection with the reason.
func TestBrokerMistakes(t *testing.T) {
	noLeak(t)
	for what, c := range map[string]struct {
		send   string
		reason mqtt.ReasonCode
	}{
		"malformed":             {"\x30\x01\x00", mqtt.MalformedPacket},
		"length":                {"\x30\xFF\xFF\xFF\xFF\x7F", mqtt.MalformedPacket},
		"too large":             {"\x30\xFF\xFF\x7F", mqtt.PacketTooLarge},
		"CONNECT":               {"\x10\x0D\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00", mqtt.ProtocolError},
		"CONNACK twice":         {"\x20\x03\x00\x00\x00", mqtt.ProtocolError},
		"SUBSCRIBE":             {"\x82\x07\x00\x01\x00\x00\x01a\x00", mqtt.ProtocolError},
		"PINGREQ":               {"\xC0\x00", mqtt.ProtocolError},
		"AUTH":                  {"\xF0\x00", mqtt.ProtocolError},
		"SUBACK out of nowhere": {"\x90\x04\x00\x01\x00\x00", mqtt.ProtocolError},
		"alias not announced":   {"\x30\x07\x00\x01t\x03\x23\x00\x01", mqtt.TopicAliasInvalid},
	} {
		t.Run(what, func(t *testing.T) {
			cfg := script(t, nil, func(p *mqtttest.Peer) {
				p.SendRaw(c.send)
				if d := mqtttest.Expect[*packet.Disconnect](p); d.Reason != c.reason {
					t.Errorf("told %s, want %s", d.Reason, c.reason)
				}
				p.ExpectClosed()
			})
			cfg.ReceiveMaximum, cfg.MaxPacket = 2, 1000
			cfg.OnMessage = func(*mqtt.Message, func()) {} // never acknowledges
			conn := mustDial(t, cfg)
			within(t, "the end", conn.Done())
			wantReason(t, what, conn.Err(), c.reason)
		})
	}
}

func TestWrongAnswers(t *testing.T) {
	for what, answer := range map[string]func(uint16) packet.Packet{
		"PUBACK for QoS 2":      func(id uint16) packet.Packet { return &packet.Puback{PacketID: id} },
		"PUBCOMP before PUBREC": func(id uint16) packet.Packet { return &packet.Pubcomp{PacketID: id} },
	} {
		cfg := script(t, nil, func(p *mqtttest.Peer) {
			p.Send(answer(mqtttest.Expect[*packet.Publish](p).PacketID))
			if d := mqtttest.Expect[*packet.Disconnect](p); d.Reason != mqtt.ProtocolError {
				t.Errorf("%s: told %s", what, d.Reason)
			}
		})
		c := mustDial(t, cfg)
		err := c.Publish(bg, message(1, 2))
		wantReason(t, what, err, mqtt.ProtocolError)
		if !errors.Is(err, ErrSessionLost) {
			t.Errorf("%s: %v", what, err)
		}
	}
	cfg := script(t, nil, func(p *mqtttest.Peer) {
		s := mqtttest.Expect[*packet.Subscribe](p)
		p.Send(&packet.Suback{PacketID: s.PacketID, Reasons: []mqtt.ReasonCode{0, 0}})
		p.ExpectClosed()
	})
	_, err := mustDial(t, cfg).Subscribe(bg, mqtt.Subscription{Filter: "a"})
	wantReason(t, "two reasons for one filter", err, mqtt.ProtocolError)
}

// Answers to what is not known are as the standard wants them, and harmless.
func TestUnknownIDs(t *testing.T) {
	cfg := script(t, nil, func(p *mqtttest.Peer) {
		p.Send(&packet.Puback{PacketID: 9}, &packet.Pubcomp{PacketID: 9}, &packet.Pubrec{PacketID: 9}, &packet.Pubrel{PacketID: 8})
		if r := mqtttest.Expect[*packet.Pubrel](p); r.PacketID != 9 || r.Reason != mqtt.PacketIDNotFound {
			t.Errorf("%+v", r)
		}
		if r := mqtttest.Expect[*packet.Pubcomp](p); r.PacketID != 8 || r.Reason != mqtt.PacketIDNotFound {
			t.Errorf("%+v", r)
		}
		p.Send(&packet.Pubrec{PacketID: 9, Reason: mqtt.PacketIDInUse}) // a failure wants no PUBREL
		p.Send(&packet.Pubrel{PacketID: 7})
		mqtttest.Expect[*packet.Pubcomp](p)
	})
	within(t, "the end", mustDial(t, cfg).Done())
}

func TestServerDisconnect(t *testing.T) {
	cfg := script(t, nil, func(p *mqtttest.Peer) {
		p.Send(&packet.Disconnect{Reason: mqtt.SessionTakenOver, ReasonString: "someone else", ServerReference: "b2"})
	})
	c := mustDial(t, cfg)
	within(t, "the end", c.Done())
	var r *Refused
	if !errors.As(c.Err(), &r) || r.Reason != mqtt.SessionTakenOver || r.Text != "someone else" || r.Reference != "b2" {
		t.Errorf("%v", c.Err())
	}
}

func TestReceive(t *testing.T) {
	props := &mqtt.Properties{ContentType: "c", SubscriptionIDs: []uint32{3}, CorrelationData: []byte("x")}
	cfg := script(t, nil, func(p *mqtttest.Peer) {
		p.Send(&packet.Publish{Topic: "a", Payload: []byte("0"), Retain: true, Props: props, TopicAlias: 1})
		p.Send(&packet.Publish{TopicAlias: 1, Payload: []byte("1"), QoS: 1, PacketID: 1})
		if a := mqtttest.Expect[*packet.Puback](p); a.PacketID != 1 {
			t.Errorf("%+v", a)
		}
		p.Send(&packet.Publish{Topic: "b", Payload: []byte("2"), QoS: 2, PacketID: 1})
		mqtttest.Expect[*packet.Pubrec](p)
		p.Send(&packet.Publish{Topic: "b", Payload: []byte("2"), QoS: 2, PacketID: 1, Dup: true}) // the PUBREC was lost
		mqtttest.Expect[*packet.Pubrec](p)
		p.Send(&packet.Pubrel{PacketID: 1})
		mqtttest.Expect[*packet.Pubcomp](p)
		p.ExpectClosed()
	})
	got := make(chan mqtt.Message, 10)
	cfg.TopicAliasMax = 1
	cfg.OnMessage = func(m *mqtt.Message, ack func()) { got <- *m; ack(); ack() }
	c := mustDial(t, cfg)
	for _, want := range []mqtt.Message{
		{Topic: "a", Payload: []byte("0"), Retain: true, Props: props}, {Topic: "a", Payload: []byte("1"), QoS: 1}, {Topic: "b", Payload: []byte("2"), QoS: 2},
	} {
		if diff := cmp.Diff(want, within(t, "message", got)); diff != "" {
			t.Error(diff)
		}
	}
	until(t, "the exchange", func() bool {
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		return c.s.receiver.Unfinished() == 0
	})
	_ = c.Close()
	if len(got) != 0 {
		t.Error("a message of QoS 2 came twice")
	}
}

// The broker sends as fast as its window allows: a message for each PUBACK the
// moment it reads it. Acknowledgements come late, out of order and from other
// goroutines. The announced window is never exceeded by our fault, and the
// answers are in the order of the messages.
func TestReceiveMaximumUnderLoad(t *testing.T) {
	noLeak(t)
	const window, total = 7, 3000
	answers := make(chan struct{})
	cfg := script(t, nil, func(p *mqtttest.Peer) {
		next, answered, released := 0, 0, 0
		send := func() {
			if next < total {
				next++
				p.Send(&packet.Publish{Topic: "t", QoS: mqtt.QoS(1 + next%2), PacketID: uint16(next), Payload: fmt.Append(nil, next)})
			}
		}
		inOrder := func(id uint16) {
			if answered++; int(id) != answered {
				t.Errorf("answer to %d, want %d", id, answered)
			}
		}
		for range window {
			send()
		}
		for answered < total || released > 0 {
			switch q := p.Receive().(type) {
			case *packet.Puback:
				inOrder(q.PacketID)
				send()
			case *packet.Pubrec:
				inOrder(q.PacketID)
				released++
				p.Send(&packet.Pubrel{PacketID: q.PacketID})
			case *packet.Pubcomp:
				released--
				send()
			default:
				t.Errorf("%s %+v", q.Type(), q)
				return
			}
		}
		close(answers)
		p.ExpectClosed()
	})
	acks := make(chan func(), total)
	cfg.ReceiveMaximum = window
	cfg.OnMessage = func(_ *mqtt.Message, ack func()) { acks <- ack }
	c := mustDial(t, cfg)
	var wg sync.WaitGroup
	finished := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case ack := <-acks:
					if rand.IntN(20) == 0 {
						time.Sleep(time.Microsecond * time.Duration(rand.IntN(300)))
					}
					ack()
				case <-finished:
					return
				case <-c.Done():
					return
				}
			}
		})
	}
	within(t, "all answers", answers)
	close(finished)
	wg.Wait()
	if err := c.Err(); err != nil {
		t.Error(err)
	}
}
