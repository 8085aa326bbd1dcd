package packet

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"fieldgate/mqtt"
)

func TestSamples(t *testing.T) {
	seen := map[Type]bool{}
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			seen[s.p.Type()] = true
			got, err := s.p.Append([]byte("before"), s.v)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != "before"+s.wire {
				t.Errorf("append:\n got %q\nwant %q", got, "before"+s.wire)
			}
			header, body, n, err := Split([]byte(s.wire), 0)
			if err != nil || n != len(s.wire) {
				t.Fatalf("split: %d of %d, %v", n, len(s.wire), err)
			}
			p, err := Decode(header, body, s.v)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(s.p, p); diff != "" {
				t.Errorf("decode (-want +got):\n%s", diff)
			}
		})
	}
	for typ := TypeConnect; typ <= TypeAuth; typ++ {
		if !seen[typ] {
			t.Errorf("no sample of %s", typ)
		}
	}
}

// What a version cannot express is left out.
func TestAppendOlder(t *testing.T) {
	props := &mqtt.Properties{ContentType: "c"}
	for _, c := range []struct {
		p    Packet
		v    mqtt.Version
		wire string
	}{
		{&Publish{Topic: "t", Props: props, TopicAlias: 4}, mqtt.V311, "\x30\x03\x00\x01t"},
		{&Puback{PacketID: 1, Reason: mqtt.NotAuthorized, ReasonString: "r"}, mqtt.V311, "\x40\x02\x00\x01"},
		{&Connack{SessionPresent: true}, mqtt.V31, "\x20\x02\x00\x00"},
		{&Connack{Reason: mqtt.UnsupportedProtocolVersion}, mqtt.V311, "\x20\x02\x00\x01"},
		{&Connack{Reason: mqtt.ClientIDNotValid}, mqtt.V311, "\x20\x02\x00\x02"},
		{&Connack{Reason: mqtt.ServerUnavailable}, mqtt.V311, "\x20\x02\x00\x03"},
		{&Connack{Reason: mqtt.BadUserNameOrPassword}, mqtt.V311, "\x20\x02\x00\x04"},
		{&Connack{Reason: mqtt.NotAuthorized}, mqtt.V311, "\x20\x02\x00\x05"},
		{&Connack{Reason: mqtt.Banned}, mqtt.V311, "\x20\x02\x00\x05"},
		{&Connack{Reason: mqtt.ServerBusy}, mqtt.V311, "\x20\x02\x00\x03"},
		{&Suback{PacketID: 1, Reasons: []mqtt.ReasonCode{mqtt.NotAuthorized, 1}}, mqtt.V311, "\x90\x04\x00\x01\x80\x01"},
		{&Unsuback{PacketID: 1, Reasons: []mqtt.ReasonCode{0}}, mqtt.V311, "\xB0\x02\x00\x01"},
		{&Subscribe{PacketID: 1, ID: 5, Subscriptions: []mqtt.Subscription{{Filter: "f", QoS: 1, NoLocal: true, RetainHandling: 1}}}, mqtt.V311,
			"\x82\x06\x00\x01\x00\x01f\x01"},
		{&Disconnect{Reason: mqtt.ServerShuttingDown, ReasonString: "r"}, mqtt.V311, "\xE0\x00"},
		{&Connect{Version: mqtt.V311, ClientID: "c", Props: ConnectProps{MaxPacket: 5}}, mqtt.V5, "\x10\x0D\x00\x04MQTT\x04\x00\x00\x00\x00\x01c"},
	} {
		got, err := c.p.Append(nil, c.v)
		if err != nil || string(got) != c.wire {
			t.Errorf("%s for %d: %q, %v; want %q", c.p.Type(), c.v, got, err, c.wire)
		}
	}
}

// MQTT 3.1 §3.1: the length takes precedence over the user name flag.
func TestConnect31WithoutCredentials(t *testing.T) {
	p, err := Decode(0x10, []byte("\x00\x06MQIsdp\x03\xC3\x00\x3C\x00\x01c"), mqtt.V31)
	if err != nil {
		t.Fatal(err)
	}
	c := p.(*Connect)
	if c.HasUsername || c.HasPassword || !c.CleanStart {
		t.Errorf("%+v", c)
	}
}

// MQTT 3.1 §2.1: DUP may be set on what is sent again.
func TestDup31(t *testing.T) {
	for _, c := range []struct {
		header byte
		body   string
	}{{0x6A, "\x00\x01"}, {0x8A, "\x00\x01\x00\x01a\xFC"}, {0xAA, "\x00\x01\x00\x01a"}, {0x38, "\x00\x01t"}} {
		if _, err := Decode(c.header, []byte(c.body), mqtt.V31); err != nil {
			t.Errorf("3.1: %v", err)
		}
		if _, err := Decode(c.header, []byte(c.body), mqtt.V311); err == nil {
			t.Errorf("3.1.1 accepted %s with DUP", TypeOf(c.header))
		}
	}
}

func TestMessage(t *testing.T) {
	props := &mqtt.Properties{ContentType: "c"}
	p := Publish{Topic: "t", Payload: []byte("p"), QoS: 1, Retain: true, Props: props, PacketID: 4, Dup: true}
	want := mqtt.Message{Topic: "t", Payload: []byte("p"), QoS: 1, Retain: true, Props: props}
	if diff := cmp.Diff(want, p.Message()); diff != "" {
		t.Error(diff)
	}
}

func TestSizeAndPacketIDOffset(t *testing.T) {
	for _, n := range []int{0, 1, 100, 120, 127, 200, 16_300, 16_390, 3_000_000} {
		for _, v := range allVersions {
			for qos := range mqtt.QoS(3) {
				p := Publish{Topic: "some/topic", Payload: make([]byte, n), QoS: qos, Props: &mqtt.Properties{ContentType: long(n % 200)}}
				if qos > 0 {
					p.PacketID = 0xA55A
				}
				b, err := p.Append(nil, v)
				if err != nil {
					t.Fatal(err)
				}
				if p.Size(v) != len(b) {
					t.Errorf("%d bytes, version %d, QoS %d: size %d, wrote %d", n, v, qos, p.Size(v), len(b))
				}
				if at := PacketIDOffset(b); qos > 0 && (b[at] != 0xA5 || b[at+1] != 0x5A) {
					t.Errorf("%d bytes, version %d: packet id is not at %d", n, v, at)
				}
			}
		}
	}
}

// The path of a message must not make garbage: it is walked for each one.
func TestPublishDoesNotAllocate(t *testing.T) {
	out := make([]byte, 0, 4096)
	var view PublishView
	p := &Publish{Topic: "acme/shanghai/boiler/l2/meter1/power", Payload: make([]byte, 200), QoS: 1, PacketID: 7, TopicAlias: 3}
	full := &Publish{Topic: p.Topic, Payload: p.Payload, Props: &mqtt.Properties{ContentType: "text/plain", User: users, HasExpiry: true}}
	for _, v := range allVersions {
		wire, err := p.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		allocs := testing.AllocsPerRun(100, func() {
			header, body, _, err := Split(wire, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if err := DecodePublish(header, body, v, &view); err != nil {
				t.Fatal(err)
			}
			if _, err := p.Append(out, v); err != nil {
				t.Fatal(err)
			}
			if _, err := full.Append(out, v); err != nil {
				t.Fatal(err)
			}
			ack := Puback{PacketID: view.PacketID, Reason: mqtt.NoMatchingSubscribers}
			if _, err := ack.Append(out, v); err != nil {
				t.Fatal(err)
			}
		})
		if allocs != 0 {
			t.Errorf("version %d: %v allocations", v, allocs)
		}
	}
}

// The payload is a view, strings are not.
func TestViews(t *testing.T) {
	body := []byte("\x00\x01tpay")
	p, err := Decode(0x30, body, mqtt.V311)
	if err != nil {
		t.Fatal(err)
	}
	copy(body, "\x00\x01XYYY")
	if got := p.(*Publish); got.Topic != "t" || string(got.Payload) != "YYY" {
		t.Errorf("topic %q, payload %q", got.Topic, got.Payload)
	}
}

func BenchmarkDecodePublish(b *testing.B) {
	p := &Publish{Topic: "acme/shanghai/boiler/l2/meter1/power", Payload: make([]byte, 64), QoS: 1, PacketID: 7}
	wire, _ := p.Append(nil, mqtt.V5)
	var view PublishView
	b.ReportAllocs()
	for b.Loop() {
		header, body, _, _ := Split(wire, 0)
		_ = DecodePublish(header, body, mqtt.V5, &view)
	}
}

func BenchmarkAppendPublish(b *testing.B) {
	p := &Publish{Topic: "acme/shanghai/boiler/l2/meter1/power", Payload: make([]byte, 64), QoS: 1, PacketID: 7}
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		out, _ = p.Append(out[:0], mqtt.V5)
	}
}
