package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldgate/mqtt"
	"fieldgate/mqtt/mqtttest"
	"fieldgate/mqtt/packet"
)

var bg = context.Background()

func TestPublish(t *testing.T) {
	noLeak(t)
	props := &mqtt.Properties{ContentType: "c", SubscriptionIDs: []uint32{5}}
	cfg := script(t, nil, func(p *mqtttest.Peer) {
		for qos := range mqtt.QoS(3) {
			m := mqtttest.Expect[*packet.Publish](p)
			want := &packet.Publish{Topic: "t", Payload: []byte("p"), QoS: qos, Retain: true, PacketID: m.PacketID, Props: &mqtt.Properties{ContentType: "c"}}
			if diff := cmp.Diff(want, m); diff != "" {
				t.Errorf("QoS %d: %s", qos, diff)
			}
			switch qos {
			case 1:
				p.Send(&packet.Puback{PacketID: m.PacketID})
			case 2:
				p.Send(&packet.Pubrec{PacketID: m.PacketID})
				if r := mqtttest.Expect[*packet.Pubrel](p); r.PacketID != m.PacketID {
					t.Errorf("PUBREL of %d, want %d", r.PacketID, m.PacketID)
				}
				p.Send(&packet.Pubcomp{PacketID: m.PacketID})
			}
		}
		p.ExpectClosed()
	})
	c := mustDial(t, cfg)
	for qos := range mqtt.QoS(3) {
		if err := c.Publish(bg, mqtt.Message{Topic: "t", Payload: []byte("p"), QoS: qos, Retain: true, Props: props}); err != nil {
			t.Errorf("QoS %d: %v", qos, err)
		}
	}
	if len(props.SubscriptionIDs) != 1 {
		t.Error("the caller's properties were changed")
	}
}

func TestPublishRefused(t *testing.T) {
	cfg := script(t, nil, func(p *mqtttest.Peer) {
		m := mqtttest.Expect[*packet.Publish](p)
		p.Send(&packet.Puback{PacketID: m.PacketID, Reason: mqtt.QuotaExceeded, ReasonString: "full"})
		m = mqtttest.Expect[*packet.Publish](p)
		p.Send(&packet.Pubrec{PacketID: m.PacketID, Reason: mqtt.NotAuthorized})
		m = mqtttest.Expect[*packet.Publish](p)
		p.Send(&packet.Puback{PacketID: m.PacketID, Reason: mqtt.NoMatchingSubscribers})
		p.ExpectClosed()
	})
	c := mustDial(t, cfg)
	err := c.Publish(bg, message(1, 1))
	var r *Refused
	wantReason(t, "PUBACK", err, mqtt.QuotaExceeded)
	if reason, refused := Refusal(err); !refused || reason != mqtt.QuotaExceeded {
		t.Errorf("no refusal: %v", err)
	}
	if !errors.As(err, &r) || r.Text != "full" || !strings.Contains(err.Error(), "full") {
		t.Errorf("%v", err)
	}
	wantReason(t, "PUBREC", c.Publish(bg, message(2, 2)), mqtt.NotAuthorized)
	if err := c.Publish(bg, message(3, 1)); err != nil {
		t.Errorf("no subscribers is no failure: %v", err)
	}
}

// A DISCONNECT with a reason refuses no message: neither one that is in flight
// nor one that comes while the connection ends.
func TestGoodbyeIsNoRefusal(t *testing.T) {
	cfg := script(t, nil, func(p *mqtttest.Peer) {
		mqtttest.Expect[*packet.Publish](p)
		p.Send(&packet.Disconnect{Reason: mqtt.ServerShuttingDown})
		p.ExpectClosed()
	})
	c := mustDial(t, cfg)
	type result struct {
		what string
		err  error
	}
	results := make(chan result, 3)
	if err := c.PublishAsync(bg, message(1, 1), func(err error) {
		results <- result{"in flight", err}
		// This runs before Done: whoever looks at that sees a connection that works.
		results <- result{"published late", c.PublishAsync(bg, message(2, 1), func(error) {})}
		_, err = c.Subscribe(bg, mqtt.Subscription{Filter: "a"})
		results <- result{"subscribed late", err}
	}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		r := within(t, "the end", results)
		if reason, refused := Refusal(r.err); refused || !errors.Is(r.err, mqtt.ServerShuttingDown) {
			t.Errorf("%s: %v, refused %v with %s", r.what, r.err, refused, reason)
		}
	}
}

// The broker's Receive Maximum holds under load from many goroutines, and
// each answer lets one more message go.
func TestPublishWindow(t *testing.T) {
	noLeak(t)
	const window, senders, each = 3, 8, 40
	cfg := script(t, &packet.Connack{Props: packet.ConnackProps{ReceiveMaximum: window}}, func(p *mqtttest.Peer) {
		var open []*packet.Publish
		rnd := rand.New(rand.NewPCG(1, 2))
		released := 0
		for done := 0; done < senders*each; {
			// Let the window fill up: answer when nothing comes for a while.
			switch m := p.TryReceive(2 * time.Millisecond).(type) {
			case *packet.Publish:
				if open = append(open, m); len(open)+released > window {
					t.Errorf("%d messages open, the window is %d", len(open)+released, window)
				}
			case *packet.Pubrel:
				released--
				done++
				p.Send(&packet.Pubcomp{PacketID: m.PacketID})
			}
			if len(open) == 0 || len(open)+released < window && rnd.IntN(3) > 0 {
				continue
			}
			m := open[0]
			open = open[1:]
			if m.QoS == 1 {
				done++
				p.Send(&packet.Puback{PacketID: m.PacketID})
			} else {
				released++
				p.Send(&packet.Pubrec{PacketID: m.PacketID})
			}
		}
		p.ExpectClosed()
	})
	c := mustDial(t, cfg)
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for n := range each {
				if err := c.Publish(bg, message(n, mqtt.QoS(1+i%2))); err != nil {
					t.Errorf("sender %d, message %d: %v", i, n, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestPublishContext(t *testing.T) {
	published := make(chan struct{})
	cfg := script(t, &packet.Connack{Props: packet.ConnackProps{ReceiveMaximum: 1}}, func(p *mqtttest.Peer) {
		m := mqtttest.Expect[*packet.Publish](p)
		<-published
		p.Send(&packet.Puback{PacketID: m.PacketID})
		mqtttest.Expect[*packet.Disconnect](p) // the second message was never sent
	})
	c := mustDial(t, cfg)
	first := make(chan error, 1)
	if err := c.PublishAsync(bg, message(1, 1), func(err error) { first <- err }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(bg)
	gone := errors.New("gone")
	second := make(chan error, 1)
	go func() {
		second <- c.PublishAsync(ctx, message(2, 1), func(error) { t.Error("done of a message that was not sent") })
	}()
	cancel(gone)
	if err := within(t, "second", second); !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
	if err := c.PublishAsync(ctx, message(2, 0), func(error) {}); !errors.Is(err, gone) {
		t.Errorf("with an ended context: %v", err)
	}
	close(published)
	if err := within(t, "first", first); err != nil {
		t.Error(err)
	}
}

// A context that ends while the answer is due ends the call, not the exchange.
func TestPublishContextWhileWaiting(t *testing.T) {
	arrived, answer := make(chan struct{}), make(chan struct{})
	cfg := script(t, nil, func(p *mqtttest.Peer) {
		m := mqtttest.Expect[*packet.Publish](p)
		close(arrived)
		<-answer
		p.Send(&packet.Puback{PacketID: m.PacketID})
		p.ExpectClosed()
	})
	cfg.Session = NewSession()
	c := mustDial(t, cfg)
	ctx, cancel := context.WithCancel(bg)
	go func() { <-arrived; cancel() }()
	if err := c.Publish(ctx, message(1, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(answer)
	until(t, "the answer", func() bool { return cfg.Session.Unfinished() == 0 })
}

// What the broker's limits forbid is refused here, and nothing is sent.
func TestPublishLimits(t *testing.T) {
	cfg := script(t, &packet.Connack{Props: packet.ConnackProps{
		MaxQoS: 1, HasMaxQoS: true, NoRetain: true, MaxPacket: 100, NoWildcards: true, NoShared: true, NoSubscriptionIDs: true,
	}}, func(p *mqtttest.Peer) {
		if rest := p.ExpectClosed(); len(rest) != 1 || rest[0].Type() != packet.TypeDisconnect {
			t.Errorf("got %v", rest)
		}
	})
	c := mustDial(t, cfg)
	size := (&packet.Publish{Topic: "t"}).Size(mqtt.V5)
	for what, test := range map[string]struct {
		m      mqtt.Message
		reason mqtt.ReasonCode
	}{
		"QoS":      {message(1, 2), mqtt.QoSNotSupported},
		"QoS 3":    {message(1, 3), mqtt.QoSNotSupported},
		"retain":   {mqtt.Message{Topic: "t", Retain: true}, mqtt.RetainNotSupported},
		"size":     {mqtt.Message{Topic: "t", Payload: make([]byte, 100-size+1)}, mqtt.PacketTooLarge},
		"wildcard": {mqtt.Message{Topic: "t/#"}, mqtt.TopicNameInvalid},
		"empty":    {mqtt.Message{}, mqtt.TopicNameInvalid},
		"levels":   {mqtt.Message{Topic: strings.Repeat("a/", 200)}, mqtt.TopicNameInvalid},
		"property": {mqtt.Message{Topic: "t", Props: &mqtt.Properties{PayloadFormat: 7}}, mqtt.ProtocolError},
		"response": {mqtt.Message{Topic: "t", Props: &mqtt.Properties{ResponseTopic: "#"}}, mqtt.TopicNameInvalid},
	} {
		err := c.PublishAsync(bg, test.m, func(error) { t.Errorf("%s: done", what) })
		wantReason(t, what, err, test.reason)
	}
	for what, test := range map[string]struct {
		s      mqtt.Subscription
		reason mqtt.ReasonCode
	}{
		"wildcards":  {mqtt.Subscription{Filter: "a/#"}, mqtt.WildcardSubsNotSupported},
		"shared":     {mqtt.Subscription{Filter: "$share/g/a"}, mqtt.SharedSubsNotSupported},
		"identifier": {mqtt.Subscription{Filter: "a", ID: 1}, mqtt.SubscriptionIDsNotSupported},
		"filter":     {mqtt.Subscription{Filter: "a/b#"}, mqtt.TopicFilterInvalid},
		"share":      {mqtt.Subscription{Filter: "$share/g"}, mqtt.TopicFilterInvalid},
		"large":      {mqtt.Subscription{Filter: strings.Repeat("x", 100)}, mqtt.PacketTooLarge},
		"handling":   {mqtt.Subscription{Filter: "a", RetainHandling: 3}, mqtt.ProtocolError},
	} {
		_, err := c.Subscribe(bg, test.s)
		wantReason(t, what, err, test.reason)
	}
	_, err := c.Unsubscribe(bg, "a/#/b")
	wantReason(t, "unsubscribe", err, mqtt.TopicFilterInvalid)
}

func TestAliases(t *testing.T) {
	topics := []string{"a", "b", "a", "c", "b", "a"}
	cfg := script(t, &packet.Connack{Props: packet.ConnackProps{TopicAliasMax: 2}}, func(p *mqtttest.Peer) {
		known := map[uint16]string{}
		for i, want := range topics {
			m := mqtttest.Expect[*packet.Publish](p)
			switch {
			case m.TopicAlias > 2:
				t.Errorf("alias %d", m.TopicAlias)
			case m.TopicAlias != 0 && m.Topic != "":
				known[m.TopicAlias] = m.Topic
			case m.Topic == "":
				m.Topic = known[m.TopicAlias]
			}
			if m.Topic != want {
				t.Errorf("message %d: topic %q, want %q", i, m.Topic, want)
			}
			if i >= 4 && m.TopicAlias == 0 {
				t.Errorf("message %d: no alias", i)
			}
		}
		p.ExpectClosed()
	})
	c := mustDial(t, cfg)
	for _, topic := range topics {
		if err := c.Publish(bg, mqtt.Message{Topic: topic}); err != nil {
			t.Fatal(err)
		}
	}
}

// QoS 0: done comes when the message is written, or with the error.
func TestPublishQoS0(t *testing.T) {
	const n = 5000
	payload := strings.Repeat("x", 100)
	cfg := script(t, nil, func(p *mqtttest.Peer) {
		for i := range n {
			if m := mqtttest.Expect[*packet.Publish](p); string(m.Payload) != fmt.Sprint(i)+payload {
				t.Fatalf("message %d is %.20q", i, m.Payload)
			}
		}
	})
	c := mustDial(t, cfg)
	results := make(chan error, 2*n)
	for i := range n {
		if err := c.PublishAsync(bg, mqtt.Message{Topic: "t", Payload: []byte(fmt.Sprint(i) + payload)}, func(err error) { results <- err }); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		if err := within(t, "done", results); err != nil {
			t.Fatal(err)
		}
	}
	within(t, "the end", c.Done()) // the script has ended and closed
	if err := c.PublishAsync(bg, message(1, 0), func(error) {}); err == nil {
		t.Error("a message on a closed connection")
	}
}

// A message on the buffered path costs no more than its exchange.
func TestPublishAllocations(t *testing.T) {
	cfg := script(t, nil, swallow)
	c := mustDial(t, cfg)
	done := make(chan error, 1)
	finish := func(err error) { done <- err }
	m := mqtt.Message{Topic: "acme/shanghai/boiler/l2/meter1/power", Payload: make([]byte, 200)}
	allocs := testing.AllocsPerRun(200, func() {
		if err := c.PublishAsync(bg, m, finish); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 3 { // the list of done functions, the pipe
		t.Errorf("%v allocations per message", allocs)
	}
}
