package broker

import (
	"fmt"
	"slices"
	"testing"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

func TestSubscriptionOptions(t *testing.T) {
	s := start(t, Config{}, nil)
	w := s.connect(mqtt.V5, "w")
	w.send(&packet.Publish{Topic: "r/1", Payload: []byte("kept"), QoS: 1, PacketID: 1, Retain: true})
	expect[*packet.Puback](w)
	r := s.connect(mqtt.V5, "r")
	retainedSeen := func(handling byte) bool {
		t.Helper()
		r.subscribe(mqtt.Subscription{Filter: "r/#", QoS: 1, RetainHandling: handling})
		r.send(&packet.Pingreq{})
		for seen := false; ; {
			switch k := r.mustNext().(type) {
			case *packet.Publish:
				r.send(&packet.Puback{PacketID: k.PacketID})
				seen = k.Retain && string(k.Payload) == "kept"
			case *packet.Pingresp:
				return seen
			}
		}
	}
	for i, c := range []struct {
		handling byte
		want     bool
	}{{2, false}, {1, false}, {0, true}, {0, true}} {
		if got := retainedSeen(c.handling); got != c.want {
			t.Errorf("%d: retain handling %d: %v", i, c.handling, got)
		}
	}
	r.send(&packet.Unsubscribe{PacketID: 2, Filters: []string{"r/#", "never"}})
	if a := expect[*packet.Unsuback](r); !slices.Equal(a.Reasons, []mqtt.ReasonCode{mqtt.Success, mqtt.NoSubscriptionExisted}) {
		t.Errorf("UNSUBACK %v", a.Reasons)
	}
	if !retainedSeen(1) {
		t.Error("retain handling 1 on a new subscription")
	}
	// Retain As Published, No Local and identifiers, with overlapping filters.
	r.subscribe(mqtt.Subscription{Filter: "o/#", QoS: 0, NoLocal: true})
	r.send(&packet.Subscribe{PacketID: 3, ID: 7, Subscriptions: []mqtt.Subscription{{Filter: "p/#", QoS: 0, RetainAsPublished: true}}})
	expect[*packet.Suback](r)
	r.send(&packet.Subscribe{PacketID: 3, ID: 300_000, Subscriptions: []mqtt.Subscription{{Filter: "p/+", QoS: 2}}})
	expect[*packet.Suback](r)
	r.send(pub("o/x", "own", 0, 0))
	w.send(&packet.Publish{Topic: "p/x", Payload: []byte("m"), QoS: 2, PacketID: 9, Retain: true})
	m := r.receive()
	if m.Topic != "p/x" || m.QoS != 2 || !m.Retain || m.Props == nil || !slices.Equal(slices.Sorted(slices.Values(m.Props.SubscriptionIDs)), []uint32{7, 300_000}) {
		t.Errorf("got %+v %+v", m, m.Props)
	}
	r.silent()
}

func TestTopicAliases(t *testing.T) {
	s := start(t, Config{}, nil)
	r := s.connect(mqtt.V5, "r", func(c *packet.Connect) { c.Props.TopicAliasMax = 2 })
	r.subscribe(sub("#", 1))
	w := s.connect(mqtt.V5, "w")
	for _, k := range []struct {
		topic string
		alias uint16
	}{{"a", 1}, {"", 1}, {"b", 2}, {"", 2}, {"", 1}, {"c", 1}, {"", 1}} {
		w.send(&packet.Publish{Topic: k.topic, TopicAlias: k.alias, Payload: []byte("x")})
	}
	var known [3]string
	for i, want := range []struct {
		topic string
		alias uint16
		name  bool
	}{{"a", 1, true}, {"a", 1, false}, {"b", 2, true}, {"b", 2, false}, {"a", 1, false}, {"c", 0, true}, {"c", 0, true}} {
		m := r.receive()
		if m.TopicAlias != want.alias || (m.Topic != "") != want.name {
			t.Errorf("message %d: topic %q alias %d, want %+v", i, m.Topic, m.TopicAlias, want)
		}
		topic := m.Topic
		if topic != "" {
			known[m.TopicAlias] = topic
		} else {
			topic = known[m.TopicAlias]
		}
		if topic != want.topic {
			t.Errorf("message %d is %s, want %s", i, topic, want.topic)
		}
	}
	w.send(&packet.Publish{TopicAlias: 5, Payload: []byte("x")})
	w.ends(mqtt.ProtocolError)
}

func TestSharedSubscriptions(t *testing.T) {
	s := start(t, Config{}, nil)
	w := s.connect(mqtt.V5, "w")
	var members []*peer
	for i := range 3 {
		m := s.connect(mqtt.V5, fmt.Sprint("m", i), durable)
		m.subscribe(sub("$share/g/t/+", 1))
		members = append(members, m)
	}
	alone := s.connect(mqtt.V311, "alone")
	alone.subscribe(sub("$share/other/t/#", 0), sub("t/1", 1))
	const n = 30
	for i := range n {
		w.publish("t/1", fmt.Sprint(i), 1, uint16(i+1))
	}
	got := map[string]int{}
	for _, m := range members {
		last := -1
		for range n / 3 {
			k := m.receive()
			var number int
			fmt.Sscan(string(k.Payload), &number)
			if number <= last {
				t.Errorf("%d after %d", number, last)
			}
			last = number
			got[string(k.Payload)]++
		}
		m.silent()
	}
	if len(got) != n {
		t.Errorf("%d different messages of %d", len(got), n)
	}
	for range 2 * n { // the share of its own and the plain subscription
		alone.receive()
	}
	// Who is offline gets nothing while others are there; the last one does.
	members[0].leave()
	members[1].leave()
	w.publish("t/1", "x", 1, 1)
	members[2].receive()
	members[2].leave()
	w.publish("t/1", "y", 1, 2)
	total := 0
	for _, c := range s.Clients() {
		if c.ID[0] == 'm' {
			total += c.Queued
		}
	}
	if total != 1 {
		t.Errorf("%d messages wait for the share, want 1", total)
	}
	p := s.connect(mqtt.V5, "p")
	if a := p.subscribe(sub("$share/g", 0), sub("$share//t", 0), sub("$share/a+/t", 0)); a[0] != mqtt.TopicFilterInvalid || a[1] != mqtt.TopicFilterInvalid || a[2] != mqtt.TopicFilterInvalid {
		t.Errorf("SUBACK %v", a)
	}
}

func TestClientLimits(t *testing.T) {
	s := start(t, Config{}, nil)
	r := s.connect(mqtt.V5, "r", durable, func(c *packet.Connect) { c.Props.MaxPacket = 60 })
	r.subscribe(sub("t", 1))
	w := s.connect(mqtt.V5, "w")
	w.publish("t", "small", 1, 1)
	w.publish("t", fmt.Sprintf("%0100d", 1), 1, 2)
	w.send(pub("t", fmt.Sprintf("%0100d", 1), 0, 0))
	w.publish("t", "after", 1, 3)
	for _, want := range []string{"small", "after"} {
		if m := r.receive(); string(m.Payload) != want {
			t.Errorf("got %s", m.Payload)
		}
	}
	if c := s.Clients()[0]; c.Dropped != 2 {
		t.Errorf("%d dropped", c.Dropped)
	}
	waitFor(t, "an empty queue", func() bool { n, _ := s.store.PendingCount("r"); return n == 0 })
}

func TestNoSubscribersAndRequestResponse(t *testing.T) {
	s := start(t, Config{}, nil)
	a, b := s.connect(mqtt.V5, "a"), s.connect(mqtt.V5, "b")
	a.send(pub("nobody", "x", 1, 1))
	if k := expect[*packet.Puback](a); k.Reason != mqtt.NoMatchingSubscribers {
		t.Errorf("PUBACK %v", k.Reason)
	}
	a.subscribe(sub("reply/a", 1))
	b.subscribe(sub("ask", 1))
	a.send(&packet.Publish{Topic: "ask", Payload: []byte("?"), Props: &mqtt.Properties{ResponseTopic: "reply/a", CorrelationData: []byte("7")}})
	q := b.receive()
	b.send(&packet.Publish{Topic: q.Props.ResponseTopic, Payload: []byte("!"), Props: &mqtt.Properties{CorrelationData: q.Props.CorrelationData}})
	if m := a.receive(); string(m.Payload) != "!" || string(m.Props.CorrelationData) != "7" {
		t.Errorf("reply %+v", m)
	}
}

// The system topics and those with $ do not fall under # and +.
func TestDollarTopics(t *testing.T) {
	s := start(t, Config{}, nil)
	r := s.connect(mqtt.V5, "r")
	r.subscribe(sub("#", 0), sub("+/x", 0), sub("$a/+", 0))
	w := s.connect(mqtt.V5, "w")
	w.send(pub("$a/x", "1", 0, 0), pub("$b/x", "2", 0, 0))
	w.silent()
	if m := r.receive(); m.Topic != "$a/x" {
		t.Errorf("got %s", m.Topic)
	}
	r.silent()
	w.send(&packet.Publish{Topic: "$c/kept", Payload: []byte("x"), Retain: true}, &packet.Publish{Topic: "c/kept", Payload: []byte("x"), Retain: true})
	w.silent()
	r.receive()
	for filter, want := range map[string]string{"#": "c/kept", "+/kept": "c/kept", "$c/#": "$c/kept", "$c/+": "$c/kept"} {
		f := s.connect(mqtt.V5, "f")
		f.subscribe(sub(filter, 0))
		if m := f.receive(); m.Topic != want {
			t.Errorf("%s: got %s", filter, m.Topic)
		}
		f.silent()
	}
}

// Bounds on what one client may take.
func TestQuotas(t *testing.T) {
	s := start(t, Config{MaxSubscriptions: 3, RetainLimit: 2, MaxLevels: 3, MaxQueued: 2}, nil)
	c := s.connect(mqtt.V5, "c", durable)
	if a := c.subscribe(sub("a", 0), sub("b", 0), sub("c", 1), sub("d", 0), sub("a", 1), sub("a/b/c/d", 0)); !slices.Equal(a, []mqtt.ReasonCode{0, 0, 1, mqtt.QuotaExceeded, 1, mqtt.TopicFilterInvalid}) {
		t.Errorf("SUBACK %v", a)
	}
	w := s.connect(mqtt.V5, "w")
	for i, want := range []mqtt.ReasonCode{mqtt.NoMatchingSubscribers, mqtt.NoMatchingSubscribers, mqtt.QuotaExceeded} {
		w.send(&packet.Publish{Topic: fmt.Sprint("r", i), Payload: []byte("x"), QoS: 1, PacketID: 1, Retain: true})
		if a := expect[*packet.Puback](w); a.Reason != want {
			t.Errorf("retained message %d: %v", i, a.Reason)
		}
	}
	w.send(&packet.Publish{Topic: "r0", QoS: 1, PacketID: 1, Retain: true})
	expect[*packet.Puback](w)
	w.send(&packet.Publish{Topic: "r2", Payload: []byte("x"), QoS: 2, PacketID: 1, Retain: true})
	expect[*packet.Pubrec](w)
	if n := s.Stats().Retained; n != 2 {
		t.Errorf("%d retained", n)
	}
	w.send(&packet.Pubrel{PacketID: 1})
	expect[*packet.Pubcomp](w)
	c.leave()
	for i := range 5 {
		w.publish("c", fmt.Sprint(i), 1, uint16(i+2))
	}
	if k := s.Clients()[0]; k.Queued != 2 || k.Dropped != 3 {
		t.Errorf("offline queue %+v", k)
	}
	w.send(pub("a/b/c/d", "x", 1, 9))
	if a := expect[*packet.Puback](w); a.Reason != mqtt.TopicNameInvalid {
		t.Errorf("PUBACK %v", a.Reason)
	}
}

func TestWhenFullRefuse(t *testing.T) {
	s := start(t, Config{WhenFull: "refuse", MaxQueued: 3, MaxInflight: 2}, nil)
	r := s.connect(mqtt.V5, "r")
	r.subscribe(sub("t", 1))
	w := s.connect(mqtt.V5, "w")
	for i := range 20 {
		w.send(pub("t", "x", 1, uint16(i+1)))
	}
	for i := range 20 {
		want := mqtt.Success
		if i >= 5 {
			want = mqtt.QuotaExceeded
		}
		if a := expect[*packet.Puback](w); a.Reason != want {
			t.Errorf("publish %d: %v", i, a.Reason)
		}
	}
	for range 5 {
		r.receive()
	}
	w.publish("t", "x", 1, 1)
	r.receive()
}
