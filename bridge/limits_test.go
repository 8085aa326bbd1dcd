package bridge

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/mqtttest"
	"fieldgate/mqtt/packet"
)

// TestEachLimit: what an upstream announces in its CONNACK is kept, one limit
// at a time, and every message arrives in spite of it.
func TestEachLimit(t *testing.T) {
	const n, topics = 60, 5
	retained := func(m *mqtt.Message) { m.Retain = true }
	for _, c := range []struct {
		name  string
		props packet.ConnackProps
		qos   int
		route Route
		more  func(*mqtt.Message)
		check func(t *testing.T, got []*packet.Publish)
	}{
		{name: "Receive Maximum", qos: 2, props: packet.ConnackProps{ReceiveMaximum: 1}}, // takeUp counts
		{name: "QoS 0", qos: 2, props: packet.ConnackProps{HasMaxQoS: true, MaxQoS: 0}, check: each("QoS", func(p *packet.Publish) bool { return p.QoS == 0 })},
		{name: "QoS 1", qos: 2, props: packet.ConnackProps{HasMaxQoS: true, MaxQoS: 1}, check: each("QoS", func(p *packet.Publish) bool { return p.QoS == 1 })},
		{name: "no limit", qos: 2, more: retained, check: each("QoS, retain", func(p *packet.Publish) bool { return p.QoS == 2 && p.Retain })},
		{name: "no retain", qos: 1, props: packet.ConnackProps{NoRetain: true}, more: retained, check: each("retain", func(p *packet.Publish) bool { return !p.Retain })},
		{name: "packet size", qos: 1, props: packet.ConnackProps{MaxPacket: 400}, route: Route{To: "up/batch", Format: "json", Batch: Batch{MaxSamples: n}},
			check: each("size", func(p *packet.Publish) bool { return p.Size(mqtt.V5) <= 400 })},
		{name: "no alias", qos: 1, check: each("alias", func(p *packet.Publish) bool { return p.TopicAlias == 0 })},
		{name: "aliases", qos: 1, props: packet.ConnackProps{TopicAliasMax: 3}, check: func(t *testing.T, got []*packet.Publish) {
			each("alias", func(p *packet.Publish) bool { return p.TopicAlias <= 3 })(t, got)
			if !slices.ContainsFunc(got, func(p *packet.Publish) bool { return p.Topic == "" }) {
				t.Error("no alias stood for its topic")
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			done := make(chan taken, 1)
			s := mqtttest.Serve(t, func(p *mqtttest.Peer) {
				p.Accept(&packet.Connack{Props: c.props})
				var got taken
				defer func() { done <- got }() // also where Receive gives up
				takeUp(p, n, int(c.props.ReceiveMaximum), &got)
			})
			c.route.From, c.route.QoS = "#", ptr(c.qos)
			r := newRig(t, Config{URL: s.URL(), StateTopic: "off", Route: []Route{c.route}})
			for i := range n {
				m := value(i)
				m.Topic = fmt.Sprintf("acme/pump%d/level", i%topics)
				if c.more != nil {
					c.more(&m)
				}
				r.publish(m)
			}
			r.run()
			got := <-done
			if got.err != nil {
				t.Fatal(got.err)
			}
			if c.check != nil {
				c.check(t, got.all)
			}
			for i := range n {
				topic := fmt.Sprintf("acme/pump%d/level", i%topics)
				if c.route.To != "" {
					topic = c.route.To
				}
				if got.topics[i] != topic {
					t.Errorf("value %d came on %q, not on %s", i, got.topics[i], topic)
				}
			}
			r.stop()
		})
	}
}

// each wants something of every message.
func each(what string, ok func(*packet.Publish) bool) func(*testing.T, []*packet.Publish) {
	return func(t *testing.T, got []*packet.Publish) {
		for _, p := range got {
			if !ok(p) {
				t.Errorf("%s: QoS %d, retain %v, alias %d, %d bytes", what, p.QoS, p.Retain, p.TopicAlias, p.Size(mqtt.V5))
				return
			}
		}
	}
}

// taken is what an upstream has got.
type taken struct {
	all    []*packet.Publish
	topics map[int]string // by the value
	err    error
}

// takeUp takes in the values 0 to n-1 and acknowledges them, the open ones
// together once there are open of them (0: at once), and reports when more are
// open than that.
func takeUp(p *mqtttest.Peer, n, open int, got *taken) {
	got.topics = map[int]string{}
	aliases := map[uint16]string{}
	waiting := 0
	for len(got.topics) < n {
		switch q := p.Receive().(type) {
		case *packet.Publish:
			kept := *q
			got.all = append(got.all, &kept)
			topic := q.Topic
			if q.TopicAlias != 0 && topic != "" {
				aliases[q.TopicAlias] = topic
			} else if topic == "" {
				topic = aliases[q.TopicAlias]
			}
			for i := range n {
				if strings.Contains(string(q.Payload), fmt.Sprintf(`"value":%d,`, i)) || string(q.Payload) == fmt.Sprint(i) {
					got.topics[i] = topic
				}
			}
			if waiting++; open > 0 && waiting > open {
				got.err = fmt.Errorf("%d open", waiting)
				return
			}
			switch q.QoS {
			case 0:
				waiting--
			case 1:
				waiting--
				p.Send(&packet.Puback{PacketID: q.PacketID})
			case 2:
				p.Send(&packet.Pubrec{PacketID: q.PacketID})
			}
		case *packet.Pubrel:
			waiting--
			p.Send(&packet.Pubcomp{PacketID: q.PacketID})
		}
	}
}

// TestServerKeepAlive: an upstream that wants to hear of us each second does.
func TestServerKeepAlive(t *testing.T) {
	pinged := make(chan struct{})
	s := mqtttest.Serve(t, func(p *mqtttest.Peer) {
		p.Accept(&packet.Connack{Props: packet.ConnackProps{HasKeepAlive: true, ServerKeepAlive: 1}})
		mqtttest.Expect[*packet.Pingreq](p)
		close(pinged)
		p.Send(&packet.Pingresp{})
	})
	r := newRig(t, Config{URL: s.URL(), StateTopic: "off"})
	r.run()
	select {
	case <-pinged: // the keep-alive of the configuration is a minute
	case <-time.After(patience):
		t.Fatal("no PINGREQ")
	}
	r.stop()
}

// TestNoWildcards: an upstream without wildcards in subscriptions costs the
// commands that need them, with an event, and nothing else.
func TestNoWildcards(t *testing.T) {
	values := make(chan string, 8)
	s := mqtttest.Serve(t, func(p *mqtttest.Peer) {
		p.Accept(&packet.Connack{Props: packet.ConnackProps{NoWildcards: true}})
		takeAll(p, values)
	})
	r := newRig(t, Config{URL: s.URL(), StateTopic: "off", Route: []Route{{From: "acme/#"}}, Command: []Command{{From: "cmd/+/set", To: "acme/{1}/set"}}})
	r.run()
	r.publish(counted(7, 1))
	select {
	case got := <-values:
		if got != "7" {
			t.Errorf("got %q", got)
		}
	case <-time.After(patience):
		t.Fatalf("no value; %+v", r.Stats())
	}
	until(t, "the event", func() bool {
		return slices.ContainsFunc(r.local.on("fieldgate/gw/event"), func(e string) bool { return strings.Contains(e, CodeSubscribe) })
	})
	r.stop()
}

// TestAliasesOnMosquitto: more topics than mosquitto takes aliases, each
// message on its own.
func TestAliasesOnMosquitto(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true")
	c := m.consumer("up/#")
	r := newRig(t, Config{URL: "mqtt://" + m.addr, Route: []Route{{From: "acme/#", To: "up/{topic}"}}})
	const n, topics = 300, 15
	for i := range n {
		v := counted(i, 0)
		v.Topic = fmt.Sprintf("acme/t%d", i%topics)
		r.publish(v)
	}
	r.run()
	r.drained()
	for k := range topics {
		topic := fmt.Sprintf("up/acme/t%d", k)
		until(t, topic, func() bool { return len(c.on(topic)) == n/topics })
		for j, p := range c.on(topic) {
			if p != fmt.Sprint(k+j*topics) {
				t.Fatalf("%s: message %d is %s", topic, j, p)
			}
		}
	}
	r.stop()
}
