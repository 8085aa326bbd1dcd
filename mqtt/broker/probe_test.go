package broker

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// The probes that broke other brokers, one test each.

// A client's own packet ids and ours have nothing to do with each other.
func TestProbe01PacketIDsOfBothSides(t *testing.T) {
	s := start(t, Config{}, nil)
	a := s.connect(mqtt.V5, "a")
	a.subscribe(sub("in", 2))
	w := s.connect(mqtt.V311, "w")
	w.publish("in", "delivery", 1, 9)
	w.publish("in", "another", 2, 10)
	d, e := expect[*packet.Publish](a), expect[*packet.Publish](a)
	for _, id := range []uint16{d.PacketID, e.PacketID} {
		a.publish("out", "one", 1, id)
		a.publish("out", "two", 2, id)
		a.send(&packet.Subscribe{PacketID: id, Subscriptions: []mqtt.Subscription{sub("more", 0)}})
		expect[*packet.Suback](a)
		a.send(&packet.Unsubscribe{PacketID: id, Filters: []string{"more"}})
		expect[*packet.Unsuback](a)
	}
	if c := s.Clients()[0]; c.ID != "a" || c.Inflight != 2 {
		t.Fatalf("a delivery is gone: %+v", c)
	}
	a.send(&packet.Puback{PacketID: d.PacketID}, &packet.Pubrec{PacketID: e.PacketID})
	if r := a.pubrel(); r.PacketID != e.PacketID || r.Reason.Failed() {
		t.Fatalf("PUBREL %+v", r)
	}
	// Also while the handshake of the delivery is half done.
	a.publish("out", "three", 2, e.PacketID)
	a.send(&packet.Pubcomp{PacketID: e.PacketID})
	waitFor(t, "an empty window", func() bool { return s.Clients()[0].Inflight == 0 })
}

// Receive Maximum holds; after a cut the unacknowledged come again, in order.
func TestProbe02ReceiveMaximumAndCut(t *testing.T) {
	s := start(t, Config{}, nil)
	five := func(c *packet.Connect) { durable(c); c.Props.ReceiveMaximum = 5 }
	r := s.connect(mqtt.V5, "r", five)
	r.subscribe(sub("t", 1))
	r.leave()
	w := s.connect(mqtt.V5, "w")
	for i := range 200 {
		w.publish("t", fmt.Sprint(i), 1, uint16(i+1))
	}
	r = s.connect(mqtt.V5, "r", five)
	for i := range 50 {
		if m := r.receive(); string(m.Payload) != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, m.Payload)
		}
	}
	waitFor(t, "50 acknowledged", func() bool { c := s.Clients()[0]; return c.Inflight == 5 && c.Inflight+c.Queued == 150 })
	open := 0
	for ; open < 5; open++ {
		if m := expect[*packet.Publish](r); string(m.Payload) != fmt.Sprint(50+open) || m.Dup {
			t.Fatalf("message %d is %s, dup %v", 50+open, m.Payload, m.Dup)
		}
	}
	r.silent() // not a sixth one
	r.cut()
	s.offline("r")
	r = s.connect(mqtt.V5, "r", five)
	for i := 50; i < 200; i++ {
		m := r.receive()
		if string(m.Payload) != fmt.Sprint(i) || m.Dup != (i < 55) {
			t.Fatalf("message %d is %s, dup %v", i, m.Payload, m.Dup)
		}
	}
	r.silent()
}

// Every packet, cut at every byte: the connection ends or waits, the process lives.
func TestProbe04TruncatedPackets(t *testing.T) {
	s := start(t, Config{MaxClients: 5000, ConnectTimeout: conf.Duration(200 * time.Millisecond), Listener: []Listener{{Name: "local", Bind: "127.0.0.1:0", AllowAnonymous: true, MaxConnects: 100000}}}, nil)
	props := &mqtt.Properties{ContentType: "x", User: []mqtt.UserProperty{{Name: "a", Value: "b"}}, CorrelationData: []byte{1}}
	packets := []packet.Packet{
		&packet.Publish{Topic: "a", QoS: 1, PacketID: 1, Props: props}, &packet.Puback{PacketID: 1, Reason: mqtt.NotAuthorized},
		&packet.Pubrec{PacketID: 1, ReasonString: "x"}, &packet.Pubrel{PacketID: 1}, &packet.Pubcomp{PacketID: 1},
		&packet.Subscribe{PacketID: 1, ID: 5, Subscriptions: []mqtt.Subscription{sub("a/#", 1)}},
		&packet.Unsubscribe{PacketID: 1, Filters: []string{"a"}}, &packet.Pingreq{},
		&packet.Disconnect{Reason: mqtt.DisconnectWithWill, ReasonString: "x"}, &packet.Auth{Reason: mqtt.Reauthenticate},
	}
	for _, k := range packets {
		whole, err := k.Append(nil, mqtt.V5)
		if err != nil {
			t.Fatal(err)
		}
		for cut := 1; cut < len(whole); cut++ {
			// The length in the header is made to fit, so the packet is whole and its body too short.
			short := append([]byte{whole[0], byte(cut - 1)}, whole[2:cut+1]...)
			p := s.connect(mqtt.V5, "x")
			p.raw(short)
			p.raw([]byte{0xC0, 0})
			for {
				if _, err := p.next(); err != nil {
					break
				} else if len(short) > 0 {
					p.nc.(interface{ CloseWrite() error }).CloseWrite()
				}
			}
		}
	}
	connect, _ := (&packet.Connect{Version: mqtt.V5, ClientID: "x", Username: "u", HasUsername: true, Password: []byte("p"), HasPassword: true,
		Will: &mqtt.Will{Message: mqtt.Message{Topic: "w", Payload: []byte("x"), Props: props}, Delay: 5}}).Append(nil, mqtt.V5)
	for cut := 1; cut < len(connect); cut++ {
		p := s.dial()
		p.raw(append([]byte{connect[0], byte(cut - 1)}, connect[2:cut+1]...))
		p.nc.(interface{ CloseWrite() error }).CloseWrite()
		p.gone()
	}
	s.connect(mqtt.V5, "alive").silent()
}

// A subscriber that holds QoS 2 handshakes open slows the publisher; nothing is lost.
func TestProbe05HeldHandshakesSlowThePublisher(t *testing.T) {
	s := start(t, Config{MaxQueued: 50}, nil)
	r := s.connect(mqtt.V5, "r")
	r.subscribe(sub("t", 2))
	w := s.connect(mqtt.V5, "w")
	const n = 400
	var held []*packet.Publish
	acked := make(chan int, n)
	go func() {
		got := 0
		for got < n {
			k, err := w.next()
			if err != nil {
				break
			}
			if a, ok := k.(*packet.Puback); ok && !a.Reason.Failed() {
				got++
				if int(a.PacketID) != got {
					t.Errorf("PUBACK %d comes as number %d", a.PacketID, got) // [MQTT-4.6.0-2]
				}
				acked <- got
			}
		}
		close(acked)
	}()
	for i := range n {
		w.send(pub("t", fmt.Sprint(i), 1, uint16(i+1)))
	}
	for range DefaultMaxInflight {
		held = append(held, expect[*packet.Publish](r))
	}
	waitFor(t, "an overfull queue", func() bool { return s.Clients()[0].Queued == n-DefaultMaxInflight })
	r.silent()
	if got := len(acked); got == n {
		t.Error("the publisher was not slowed")
	}
	if d := s.Stats().Dropped; d != 0 {
		t.Errorf("%d dropped", d)
	}
	r.early = held
	for i := range n {
		if m := r.receive(); string(m.Payload) != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, m.Payload)
		}
	}
	last := 0
	for last = range acked {
	}
	if last != n {
		t.Errorf("%d of %d acknowledged", last, n)
	}
}

// All that belongs to a message survives retain, offline queue and restart.
func TestProbe07PropertiesSurvive(t *testing.T) {
	t.Parallel()
	store := newMemory()
	s := start(t, Config{}, store)
	r := s.connect(mqtt.V5, "r", durable)
	r.subscribe(sub("q/#", 1))
	r.leave()
	props := &mqtt.Properties{
		PayloadFormat: 1, HasExpiry: true, MessageExpiry: 1000, ContentType: "text/plain", ResponseTopic: "re/ply",
		CorrelationData: []byte{0, 1, 2}, User: []mqtt.UserProperty{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}},
	}
	w := s.connect(mqtt.V5, "w")
	w.send(&packet.Publish{Topic: "q/x", Payload: []byte("p"), QoS: 1, PacketID: 1, Retain: true, Props: props})
	expect[*packet.Puback](w)
	check := func(m *packet.Publish, retain bool) {
		t.Helper()
		p := m.Props
		if p == nil || string(m.Payload) != "p" || m.Dup || m.Retain != retain || p.PayloadFormat != 1 || p.ContentType != "text/plain" || p.ResponseTopic != "re/ply" ||
			!bytes.Equal(p.CorrelationData, []byte{0, 1, 2}) || !slices.Equal(p.User, props.User) || !p.HasExpiry || p.MessageExpiry > 1000 || p.MessageExpiry < 900 {
			t.Fatalf("message %+v props %+v", m, p)
		}
	}
	s.stop()
	s = start(t, Config{}, store)
	r = s.connect(mqtt.V5, "r", durable)
	check(r.receive(), false)
	fresh := s.connect(mqtt.V5, "fresh")
	fresh.subscribe(sub("q/+", 0))
	check(fresh.receive(), true)
}

// What is configured off is announced, and a breach answered with the right code.
func TestProbe08AnnouncedLimits(t *testing.T) {
	no, one := false, 1
	s := start(t, Config{Retain: &no, Wildcards: &no, Shared: &no, SubscriptionIDs: &no, MaxQoS: &one, MaxPacket: 1000}, nil)
	a := s.dial().connect(mqtt.V5, "")
	p := a.Props
	if !p.NoRetain || !p.NoWildcards || !p.NoShared || !p.NoSubscriptionIDs || !p.HasMaxQoS || p.MaxQoS != 1 || p.MaxPacket != 1000 || p.AssignedClientID == "" {
		t.Fatalf("CONNACK %+v", p)
	}
	c := s.connect(mqtt.V5, "c")
	if got := c.subscribe(sub("a/#", 0), sub("$share/g/a", 0), sub("a", 2)); !slices.Equal(got, []mqtt.ReasonCode{mqtt.WildcardSubsNotSupported, mqtt.SharedSubsNotSupported, mqtt.GrantedQoS1}) {
		t.Errorf("SUBACK %v", got)
	}
	for reason, k := range map[mqtt.ReasonCode]packet.Packet{
		mqtt.RetainNotSupported:          &packet.Publish{Topic: "a", Retain: true},
		mqtt.QoSNotSupported:             &packet.Publish{Topic: "a", QoS: 2, PacketID: 1},
		mqtt.SubscriptionIDsNotSupported: &packet.Subscribe{PacketID: 1, ID: 7, Subscriptions: []mqtt.Subscription{sub("a", 0)}},
		mqtt.PacketTooLarge:              &packet.Publish{Topic: "a", Payload: make([]byte, 1000)},
		mqtt.TopicAliasInvalid:           &packet.Publish{Topic: "a", TopicAlias: maxTopicAliasIn + 1},
	} {
		c := s.connect(mqtt.V5, "breach")
		c.send(k)
		c.ends(reason)
	}
	for reason, w := range map[mqtt.ReasonCode]mqtt.Message{mqtt.QoSNotSupported: {Topic: "w", QoS: 2}, mqtt.RetainNotSupported: {Topic: "w", Retain: true}} {
		if a := s.dial().connect(mqtt.V5, "w", func(c *packet.Connect) { c.Will = &mqtt.Will{Message: w} }); a.Reason != reason {
			t.Errorf("will: %v, want %v", a.Reason, reason)
		}
	}
}

// Unknown authentication methods are refused; 3.1 knows no session present.
func TestProbe09AuthenticationMethod(t *testing.T) {
	s := start(t, Config{}, nil)
	if a := s.dial().connect(mqtt.V5, "x", func(c *packet.Connect) { c.Props.Auth = &packet.Authentication{Method: "SCRAM"} }); a.Reason != mqtt.BadAuthenticationMethod {
		t.Errorf("CONNACK %v", a.Reason)
	}
	s.connect(mqtt.V31, "old", durable).leave()
	p := s.dial()
	c, _ := (&packet.Connect{Version: mqtt.V31, ClientID: "old"}).Append(nil, mqtt.V31)
	p.raw(c)
	var answer [4]byte
	p.nc.SetReadDeadline(time.Now().Add(patience))
	if _, err := p.nc.Read(answer[:]); err != nil || answer != [4]byte{0x20, 2, 0, 0} {
		t.Errorf("CONNACK % x, %v", answer, err)
	}
}

// Strange topics, lengths, orders and roles get the answer of the standard.
func TestProbe11StrangePackets(t *testing.T) {
	s := start(t, Config{}, nil)
	text := func(s string) []byte { return append([]byte{byte(len(s) >> 8), byte(len(s))}, s...) }
	publish := func(topic string) []byte {
		body := append(text(topic), 0)
		b := []byte{0x30}
		n := len(body)
		for ; n > 127; n >>= 7 {
			b = append(b, byte(n)|0x80)
		}
		return append(append(b, byte(n)), body...)
	}
	connect, _ := (&packet.Connect{Version: mqtt.V5, ClientID: "x", CleanStart: true}).Append(nil, mqtt.V5)
	for _, c := range []struct {
		name   string
		bytes  []byte
		reason mqtt.ReasonCode // Success: stays open
	}{
		{"200 levels", publish(strings.Repeat("a/", 200)), mqtt.TopicNameInvalid},
		{"65,400 slashes", publish(strings.Repeat("/", 65400)), mqtt.TopicNameInvalid},
		{"64 KiB topic", publish(strings.Repeat("a", 65535)), mqtt.Success},
		{"empty topic", publish(""), mqtt.ProtocolError},
		{"NUL", publish("a\x00b"), mqtt.MalformedPacket},
		{"invalid UTF-8", publish("a\xffb"), mqtt.MalformedPacket},
		{"wildcard", publish("a/#"), mqtt.TopicNameInvalid},
		{"$SYS", publish("$SYS/broker/version"), mqtt.Success},
		{"five-byte length", []byte{0x30, 0x80, 0x80, 0x80, 0x80, 0x01}, mqtt.MalformedPacket},
		{"long length", []byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F}, mqtt.PacketTooLarge},
		{"CONNECT twice", connect, mqtt.ProtocolError},
		{"CONNACK", []byte{0x20, 3, 0, 0, 0}, mqtt.ProtocolError},
		{"SUBACK", []byte{0x90, 4, 0, 1, 0, 0}, mqtt.ProtocolError},
		{"UNSUBACK", []byte{0xB0, 4, 0, 1, 0, 0}, mqtt.ProtocolError},
		{"PINGRESP", []byte{0xD0, 0}, mqtt.ProtocolError},
		{"AUTH", []byte{0xF0, 0}, mqtt.ProtocolError},
		{"reserved type", []byte{0x00, 0}, mqtt.MalformedPacket},
		{"PUBACK for nothing", []byte{0x40, 2, 0, 9}, mqtt.Success},
		{"PUBREC for nothing", []byte{0x50, 2, 0, 9}, mqtt.Success},
		{"PUBREL for nothing", []byte{0x62, 2, 0, 9}, mqtt.Success},
		{"PUBCOMP for nothing", []byte{0x70, 2, 0, 9}, mqtt.Success},
		{"QoS 3", []byte{0x36, 6, 0, 1, 'a', 0, 1, 0}, mqtt.MalformedPacket},
		{"packet id 0", []byte{0x32, 6, 0, 1, 'a', 0, 0, 0}, mqtt.ProtocolError},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := s.connect(mqtt.V5, "x")
			p.t = t
			p.raw(c.bytes)
			if c.reason != mqtt.Success {
				p.ends(c.reason)
				return
			}
			p.send(&packet.Pingreq{})
			for {
				if k := p.mustNext(); k.Type() == packet.TypePingresp {
					return
				}
			}
		})
	}
	if m := s.Retained("$SYS/#"); len(m) != 0 {
		t.Errorf("a client wrote to $SYS: %v", m)
	}
}

// What comes before CONNECT costs little and is cut off.
func TestProbe11BeforeConnect(t *testing.T) {
	s := start(t, Config{ConnectTimeout: conf.Duration(300 * time.Millisecond)}, nil)
	for name, b := range map[string][]byte{
		"publish first":     {0x30, 3, 0, 1, 'a'},
		"reserved first":    {0x00, 0},
		"huge CONNECT":      {0x10, 0xFF, 0xFF, 0xFF, 0x7F},
		"CONNECT over 64K":  {0x10, 0x81, 0x80, 0x04},
		"TLS":               {0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC},
		"HTTP":              []byte("GET /mqtt HTTP/1.1\r\n\r\n"),
		"drip of a CONNECT": {0x10, 0x20, 0},
		"nothing":           {},
		"nonsense protocol": {0x10, 12, 0, 4, 'H', 'T', 'T', 'P', 4, 2, 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.dial()
			p.t = t
			p.raw(b)
			p.gone()
		})
	}
	for _, text := range []string{"speaks TLS", "speaks HTTP", "no CONNECT in time"} {
		if !s.log.has(text) {
			t.Errorf("the log does not say %q:\n%s", text, s.log.text.String())
		}
	}
	for version, want := range map[byte][]byte{6: {0x20, 3, 0, 0x84, 0}, 2: {0x20, 2, 0, 1}} {
		p := s.dial()
		p.raw([]byte{0x10, 12, 0, 4, 'M', 'Q', 'T', 'T', version, 2, 0, 0, 0, 0})
		got := make([]byte, 16)
		p.nc.SetReadDeadline(time.Now().Add(patience))
		n, _ := p.nc.Read(got)
		if !bytes.Equal(got[:n], want) {
			t.Errorf("protocol level %d: % x, want % x", version, got[:n], want)
		}
	}
}

// A subscriber that never reads is bounded and harms nobody.
func TestProbe12NeverReadingSubscriber(t *testing.T) {
	s := start(t, Config{MaxOutBuffer: 64 << 10}, nil)
	deaf := s.connect(mqtt.V311, "deaf")
	deaf.subscribe(sub("#", 0))
	good := s.connect(mqtt.V311, "good")
	good.subscribe(sub("last", 1))
	w := s.connect(mqtt.V311, "w")
	big := strings.Repeat("x", 32<<10)
	for range 1000 {
		w.send(pub("t", big, 0, 0))
	}
	w.publish("last", "x", 1, 1)
	good.receive()
	clients := s.Clients()
	if clients[0].ID != "deaf" || clients[0].Dropped == 0 {
		t.Errorf("nothing was dropped for the deaf one: %+v", clients[0])
	}
	sess := s.session("deaf")
	sess.mu.Lock()
	defer sess.mu.Unlock()
	if n := sess.conn.outLen(); n > 64<<10 {
		t.Errorf("%d bytes wait for it", n)
	}
}
