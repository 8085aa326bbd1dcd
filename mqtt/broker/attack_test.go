package broker

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// The classes of attacks that brokers have fallen to, one test each. Their
// CVE numbers are in the comments. Class 1, memory before CONNECT
// (CVE-2023-0809, CVE-2017-7651, CVE-2017-7654), is TestProbe11MemoryBeforeConnect
// and TestProbe11BeforeConnect; class 12, slow attacks (CVE-2020-13849,
// CVE-2024-50948), is TestProbe12….

// whole is a packet of type and flags with a body.
func whole(first byte, body ...byte) []byte {
	b := []byte{first}
	n := len(body)
	for ; n > 127; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(append(b, byte(n)), body...)
}

// alive checks that the broker serves a client of its own.
func (s *server) alive() {
	s.t.Helper()
	c := s.connect(mqtt.V5, "alive")
	c.subscribe(sub("alive/+", 1))
	c.send(pub("alive/x", "x", 0, 0))
	c.receive()
	c.leave()
}

// Class 2: lengths that lie (CVE-2026-21888, CVE-2019-19307, CVE-2026-8686).
func TestAttack02Lengths(t *testing.T) {
	s := start(t, Config{}, nil)
	for name, b := range map[string][]byte{
		"five bytes of length":          {0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01},
		"needless byte of length":       {0x30, 0x84, 0x00, 0, 1, 'a', 0},
		"topic beyond the packet":       whole(0x30, 0xFF, 0xFF, 'a', 0),
		"properties beyond the packet":  whole(0x30, 0, 1, 'a', 0x7F),
		"properties of five bytes":      whole(0x30, 0, 1, 'a', 0x80, 0x80, 0x80, 0x80, 0x01),
		"properties with needless byte": whole(0x30, 0, 1, 'a', 0x80, 0x00),
		"property text beyond its end":  whole(0x30, 0, 1, 'a', 5, 3, 0, 200, 'x', 'y'),
		"identifier of five bytes":      whole(0x82, 0, 1, 6, 0x0B, 0x80, 0x80, 0x80, 0x80, 0x01, 0, 1, 'a', 0),
		"filter beyond the packet":      whole(0x82, 0, 1, 0, 0, 9, 'a', 0),
		"packet id cut":                 whole(0x82, 0),
		"user property without value":   whole(0x30, 0, 1, 'a', 4, 0x26, 0, 1, 'k'),
	} {
		p := s.connect(mqtt.V5, "x")
		p.raw(b)
		p.t = t
		t.Log(name)
		p.ends(mqtt.MalformedPacket)
	}
	for _, b := range [][]byte{{0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x01}, {0x10, 0x80, 0x80, 0x80, 0x80, 0x80}, whole(0x10, 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 0, 0x80, 0x80, 0x80, 0x80, 1), whole(0x10, 0xFF, 0xFF)} {
		p := s.dial()
		p.raw(b)
		p.gone()
	}
	s.alive()
}

// Class 4: packets of the wrong role or at the wrong time (CVE-2021-28166): all
// sixteen types in all three states, in two versions.
func TestAttack04TypesAndStates(t *testing.T) {
	s := start(t, Config{Listener: []Listener{{Name: "l", Bind: "127.0.0.1:0", AllowAnonymous: true, MaxConnects: 10_000}}}, nil)
	sample := func(typ byte, v mqtt.Version) []byte {
		five := func(b []byte, props ...byte) []byte {
			if v == mqtt.V5 {
				return append(b, props...)
			}
			return b
		}
		switch first := typ << 4; packet.Type(typ) {
		case packet.TypeConnect:
			b, _ := (&packet.Connect{Version: v, ClientID: "again", CleanStart: true}).Append(nil, v)
			return b
		case packet.TypeConnack:
			return whole(first, five([]byte{0, 0}, 0)...)
		case packet.TypePublish:
			return whole(first, five([]byte{0, 1, 'a'}, 0)...)
		case packet.TypePuback, packet.TypePubrec, packet.TypePubcomp:
			return whole(first, 0, 9)
		case packet.TypePubrel:
			return whole(first|2, 0, 9)
		case packet.TypeSubscribe:
			return whole(first|2, append(five([]byte{0, 1}, 0), 0, 1, 'a', 0)...)
		case packet.TypeSuback, packet.TypeUnsuback:
			return whole(first, append(five([]byte{0, 1}, 0), 0)...)
		case packet.TypeUnsubscribe:
			return whole(first|2, append(five([]byte{0, 1}, 0), 0, 1, 'a')...)
		default:
			return whole(first)
		}
	}
	// What a connected client gets as the answer: the type of a packet, 0 for none, 255 for the end.
	const ends = 255
	answers := [16]byte{0: ends, 1: ends, 2: ends, 3: 0, 4: 0, 5: 6, 6: 7, 7: 0, 8: 9, 9: ends, 10: 11, 11: ends, 12: 13, 13: ends, 14: ends, 15: ends}
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		for typ := range byte(16) {
			t.Run(fmt.Sprintf("MQTT %d type %d", v, typ), func(t *testing.T) {
				if typ != byte(packet.TypeConnect) {
					before := s.dial() // no CONNECT
					before.t = t
					before.raw(sample(typ, v))
					before.nc.SetReadDeadline(time.Now().Add(patience))
					if n, err := before.nc.Read(make([]byte, 1)); n != 0 || isTimeout(err) {
						t.Errorf("before CONNECT: %d bytes, %v", n, err)
					}
				}
				p := s.connect(v, "x")
				p.t = t
				p.raw(sample(typ, v))
				switch want := answers[typ]; want {
				case ends:
					p.ends(0)
				case 0:
					p.silent()
				default:
					k := p.mustNext()
					if byte(k.Type()) != want {
						t.Errorf("answered with %T", k)
					}
					if c, ok := k.(*packet.Pubcomp); ok && v == mqtt.V5 && c.Reason != mqtt.PacketIDNotFound {
						t.Errorf("PUBCOMP for nothing: %v", c.Reason)
					}
					if r, ok := k.(*packet.Pubrel); ok && v == mqtt.V5 && r.Reason != mqtt.PacketIDNotFound {
						t.Errorf("PUBREL for nothing: %v", r.Reason)
					}
				}
				// Behind DISCONNECT nothing is looked at any more.
				after := s.connect(v, "y")
				after.t = t
				bye, _ := (&packet.Disconnect{}).Append(nil, v)
				after.raw(append(bye, sample(typ, v)...))
				after.nc.SetReadDeadline(time.Now().Add(patience))
				if n, err := after.nc.Read(make([]byte, 1)); n != 0 || isTimeout(err) {
					t.Errorf("after DISCONNECT: %d bytes, %v", n, err)
				}
			})
		}
	}
	s.alive()
}

// Class 5: topics and filters (CVE-2019-11779, CVE-2021-34432, CVE-2018-12543).
// Those of PUBLISH are TestProbe11StrangePackets.
func TestAttack05TopicsAndFilters(t *testing.T) {
	s := start(t, Config{}, nil)
	text := func(s string) []byte { return append([]byte{byte(len(s) >> 8), byte(len(s))}, s...) }
	for _, c := range []struct {
		filter string
		reason mqtt.ReasonCode // of the subscription; 0xFF: the connection ends
	}{
		{strings.Repeat("/", 65400), mqtt.TopicFilterInvalid}, {strings.Repeat("+/", 32000) + "#", mqtt.TopicFilterInvalid}, {strings.Repeat("a", 65535), mqtt.Success},
		{"", 0xFF}, {"a\x00", 0xFF}, {"a\xff", 0xFF}, {"\xed\xa0\x80", 0xFF}, {"a/#/b", mqtt.TopicFilterInvalid}, {"a+", mqtt.TopicFilterInvalid}, {"#a", mqtt.TopicFilterInvalid},
		{"$", mqtt.Success}, {"$SYS/#", mqtt.Success}, {"$share", mqtt.Success}, {"$share/", mqtt.TopicFilterInvalid}, {"$share//", mqtt.TopicFilterInvalid}, {"$share/g", mqtt.TopicFilterInvalid},
		{"$share/g/", mqtt.TopicFilterInvalid}, {"$share/#/a", mqtt.TopicFilterInvalid}, {"$share/g/$share/g/a", mqtt.Success}, {"/", mqtt.Success}, {"+", mqtt.Success},
	} {
		name := c.filter[:min(len(c.filter), 20)]
		p := s.connect(mqtt.V5, "x")
		p.raw(whole(0x82, append(append([]byte{0, 1, 0}, text(c.filter)...), 0)...))
		k, err := p.next()
		switch a, ok := k.(*packet.Suback); {
		case c.reason == 0xFF && ok, c.reason != 0xFF && (err != nil || !ok || a.Reasons[0] != c.reason):
			t.Errorf("filter %q: %T %+v, %v; want %v", name, k, k, err, c.reason)
		}
		q := s.connect(mqtt.V5, "x")
		q.raw(whole(0xA2, append([]byte{0, 1, 0}, text(c.filter)...)...))
		q.nc.SetReadDeadline(time.Now().Add(patience))
		if _, _, err := q.r.Next(); isTimeout(err) {
			t.Errorf("UNSUBSCRIBE of %q: no answer", name)
		}
	}
	for _, topic := range []string{"", strings.Repeat("/", 65400), "a/#", "+", "$SYS/x", "$SYS"} {
		p := s.dial()
		c, _ := (&packet.Connect{Version: mqtt.V5, ClientID: "w", CleanStart: true, Will: &mqtt.Will{Message: mqtt.Message{Topic: "X"}}}).Append(nil, mqtt.V5)
		at := bytes.Index(c, []byte{0, 1, 'X'})
		p.raw(whole(0x10, append(append(slices.Clone(c[2:at]), text(topic)...), c[at+3:]...)...))
		if a, err := p.next(); err == nil && a.(*packet.Connack).Reason == mqtt.Success {
			t.Errorf("a will to %.20q is accepted", topic)
		}
	}
	s.alive()
}
