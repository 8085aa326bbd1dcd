package packet

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"fieldgate/mqtt"
)

// refused checks that an error is an *Error with a reason and a text.
func refused(t *testing.T, what string, err error, want mqtt.ReasonCode) {
	t.Helper()
	var e *Error
	switch {
	case err == nil:
		t.Errorf("%s: accepted", what)
	case !errors.As(err, &e) || e.Text == "":
		t.Errorf("%s: %v is not a packet error", what, err)
	case want != 0 && !errors.Is(err, want):
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// Every packet, truncated at every byte, is refused, unless the standard lets
// it end there; one more byte is refused, unless there is a payload or list.
func TestTruncated(t *testing.T) {
	for _, s := range samples {
		body := s.body()
		for n := range len(body) {
			_, err := Decode(s.wire[0], slices.Clone(body[:n]), s.v)
			if slices.Contains(s.prefixes, n) {
				if err != nil {
					t.Errorf("%s: %d of %d bytes: %v", s.name, n, len(body), err)
				}
				continue
			}
			refused(t, fmt.Sprintf("%s: %d of %d bytes", s.name, n, len(body)), err, 0)
		}
		if _, ok := s.p.(*Publish); ok {
			continue
		}
		_, err := Decode(s.wire[0], append(slices.Clone(body), 0xFE), s.v)
		if len(body) > 0 || s.v != mqtt.V5 { // the first byte of an empty body would be its reason
			refused(t, s.name+": a byte too many", err, 0)
		}
	}
}

// The lower half of the first byte has one right value for each type but PUBLISH.
func TestHeaderFlags(t *testing.T) {
	for _, s := range samples {
		if s.p.Type() == TypePublish {
			continue
		}
		for flags := range byte(16) {
			header := s.wire[0]&0xF0 | flags
			if header == s.wire[0] || s.v == mqtt.V31 && flags == 0x0A {
				continue
			}
			_, err := Decode(header, s.body(), s.v)
			refused(t, fmt.Sprintf("%s with flags %#x", s.name, flags), err, mqtt.MalformedPacket)
		}
	}
	_, err := Decode(0x00, nil, mqtt.V5)
	refused(t, "type 0", err, mqtt.MalformedPacket)
	_, err = Decode(0xF0, nil, mqtt.V311)
	refused(t, "AUTH before 5.0", err, mqtt.ProtocolError)
}

// places are the packets that take properties: what stands before them and
// behind them, and the letters that table 2-4 below calls them by.
var places = map[string]struct {
	header        byte
	before, after string
}{
	"connect":     {0x10, "\x00\x04MQTT\x05\x02\x00\x00", "\x00\x00"},
	"will":        {0x10, "\x00\x04MQTT\x05\x06\x00\x00\x00\x00\x00", "\x00\x01w\x00\x00"},
	"connack":     {0x20, "\x00\x00", ""},
	"publish":     {0x30, "\x00\x01t", ""},
	"puback":      {0x40, "\x00\x01\x00", ""},
	"pubrec":      {0x50, "\x00\x01\x00", ""},
	"pubrel":      {0x62, "\x00\x01\x00", ""},
	"pubcomp":     {0x70, "\x00\x01\x00", ""},
	"subscribe":   {0x82, "\x00\x01", "\x00\x01f\x00"},
	"suback":      {0x90, "\x00\x01", "\x00"},
	"unsubscribe": {0xA2, "\x00\x01", "\x00\x01f"},
	"unsuback":    {0xB0, "\x00\x01", "\x00"},
	"disconnect":  {0xE0, "\x00", ""},
	"auth":        {0xF0, "\x18", ""},
}

var everywhere = []string{"connect", "will", "connack", "publish", "puback", "pubrec", "pubrel", "pubcomp", "subscribe", "suback",
	"unsubscribe", "unsuback", "disconnect", "auth"}

// standard is table 2-4 of MQTT 5.0 typed from the standard, apart from the
// table in the code: values that are right, and values that are not.
var standard = []struct {
	id     byte
	in     []string
	good   []string
	bad    []string // of the right length and wrong
	repeat []string // where it may stand twice
}{
	{0x01, []string{"publish", "will"}, []string{"\x00", "\x01"}, []string{"\x02", "\xFF"}, nil},
	{0x02, []string{"publish", "will"}, []string{"\x00\x00\x00\x00", "\xFF\xFF\xFF\xFF"}, nil, nil},
	{0x03, []string{"publish", "will"}, []string{"\x00\x00", "\x00\x02\xC3\xA9"}, badStrings, nil},
	{0x08, []string{"publish", "will"}, []string{"\x00\x01r"}, append([]string{"\x00\x01+", "\x00\x03a/#", "\x00\x00"}, badStrings...), nil},
	{0x09, []string{"publish", "will"}, []string{"\x00\x00", "\x00\x02\x00\xFF"}, nil, nil},
	{0x0B, []string{"publish", "subscribe"}, []string{"\x01", "\xFF\xFF\xFF\x7F"}, []string{"\x00", "\x80\x00", "\x81\x80\x00", "\xFF\xFF\xFF\xFF\x01"}, []string{"publish"}},
	{0x11, []string{"connect", "connack", "disconnect"}, []string{"\x00\x00\x00\x00", "\xFF\xFF\xFF\xFF"}, nil, nil},
	{0x12, []string{"connack"}, []string{"\x00\x01a"}, badStrings, nil},
	{0x13, []string{"connack"}, []string{"\x00\x00", "\xFF\xFF"}, nil, nil},
	{0x15, []string{"connect", "connack", "auth"}, []string{"\x00\x00", "\x00\x01m"}, badStrings, nil},
	{0x16, []string{"connect", "connack", "auth"}, nil, []string{"\x00\x01d"}, nil}, // bad without a method; with one see below
	{0x17, []string{"connect"}, []string{"\x00", "\x01"}, []string{"\x02"}, nil},
	{0x18, []string{"will"}, []string{"\x00\x00\x00\x00"}, nil, nil},
	{0x19, []string{"connect"}, []string{"\x00", "\x01"}, []string{"\x02"}, nil},
	{0x1A, []string{"connack"}, []string{"\x00\x01a"}, badStrings, nil},
	{0x1C, []string{"connack", "disconnect"}, []string{"\x00\x01a"}, badStrings, nil},
	{0x1F, []string{"connack", "puback", "pubrec", "pubrel", "pubcomp", "suback", "unsuback", "disconnect", "auth"}, []string{"\x00\x01a"}, badStrings, nil},
	{0x21, []string{"connect", "connack"}, []string{"\x00\x01", "\xFF\xFF"}, []string{"\x00\x00"}, nil},
	{0x22, []string{"connect", "connack"}, []string{"\x00\x00", "\xFF\xFF"}, nil, nil},
	{0x23, []string{"publish"}, []string{"\x00\x01", "\xFF\xFF"}, []string{"\x00\x00"}, nil},
	{0x24, []string{"connack"}, []string{"\x00", "\x01"}, []string{"\x02"}, nil},
	{0x25, []string{"connack"}, []string{"\x00", "\x01"}, []string{"\x02"}, nil},
	{0x26, everywhere, []string{"\x00\x00\x00\x00", "\x00\x01a\x00\x01b"}, []string{"\x00\x01\xFF\x00\x00", "\x00\x00\x00\x01\x00"}, everywhere},
	{0x27, []string{"connect", "connack"}, []string{"\x00\x00\x00\x01", "\xFF\xFF\xFF\xFF"}, []string{"\x00\x00\x00\x00"}, nil},
	{0x28, []string{"connack"}, []string{"\x00", "\x01"}, []string{"\x02"}, nil},
	{0x29, []string{"connack"}, []string{"\x00", "\x01"}, []string{"\x02"}, nil},
	{0x2A, []string{"connack"}, []string{"\x00", "\x01"}, []string{"\x02"}, nil},
}

// NUL, a lone continuation byte, a surrogate, an overlong slash.
var badStrings = []string{"\x00\x01\x00", "\x00\x01\x80", "\x00\x03\xED\xA0\x80", "\x00\x02\xC0\xAF"}

func withProps(place, props string) (header byte, body []byte) {
	w := places[place]
	body = append([]byte(w.before), appendVarint(nil, len(props))...)
	body = append(append(body, props...), w.after...)
	return w.header, body
}

// Each property in each place, with right and wrong values, twice, and cut.
func TestProperties(t *testing.T) {
	known := map[byte]bool{}
	for _, prop := range standard {
		known[prop.id] = true
		for place := range places {
			id := string(rune(prop.id))
			try := func(props string) error {
				header, body := withProps(place, props)
				_, err := Decode(header, body, mqtt.V5)
				return err
			}
			allowed := slices.Contains(prop.in, place)
			for _, v := range prop.good {
				what := fmt.Sprintf("%s: property %#02x = %q", place, prop.id, v)
				err := try(id + v)
				if !allowed {
					refused(t, what, err, mqtt.MalformedPacket)
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
				if err := try(id + v + id + v); slices.Contains(prop.repeat, place) {
					if err != nil {
						t.Errorf("%s, twice: %v", what, err)
					}
				} else {
					refused(t, what+", twice", err, mqtt.ProtocolError)
				}
				for n := range len(v) {
					refused(t, fmt.Sprintf("%s cut at %d", what, n), try(id+v[:n]), mqtt.MalformedPacket)
				}
			}
			for _, v := range prop.bad {
				refused(t, fmt.Sprintf("%s: property %#02x = %q", place, prop.id, v), try(id+v), 0)
			}
		}
	}
	for id := range 256 {
		if known[byte(id)] {
			continue
		}
		for place := range places {
			header, body := withProps(place, string(appendVarint(nil, id))+"\x00\x00\x00\x00")
			_, err := Decode(header, body, mqtt.V5)
			refused(t, fmt.Sprintf("%s: unknown property %#02x", place, id), err, mqtt.MalformedPacket)
		}
	}
}

func TestPropertyLength(t *testing.T) {
	for place, w := range places {
		for _, length := range []string{"", "\x80", "\x80\x00", "\xFF\xFF\xFF\xFF", "\xFF\xFF\xFF\xFF\x00", "\x80\x80\x80\x80\x01", "\x7F"} {
			if place == "publish" && length == "" {
				continue
			}
			if length == "" && len(w.after) == 0 {
				continue // no length may mean no properties
			}
			body := []byte(w.before + length)
			_, err := Decode(w.header, body, mqtt.V5)
			refused(t, fmt.Sprintf("%s with a length of properties %q", place, length), err, mqtt.MalformedPacket)
		}
	}
}

func TestAuthenticationData(t *testing.T) {
	for _, place := range []string{"connect", "connack", "auth"} {
		for props, ok := range map[string]bool{
			"\x15\x00\x01m\x16\x00\x01d": true, "\x16\x00\x01d\x15\x00\x01m": true, "\x16\x00\x00": false,
		} {
			header, body := withProps(place, props)
			if _, err := Decode(header, body, mqtt.V5); (err == nil) != ok {
				t.Errorf("%s %q: %v", place, props, err)
			}
		}
	}
}

// The properties of a packet of the largest size do not cost a multiple of it.
func TestManyUserProperties(t *testing.T) {
	for n, want := range map[int]mqtt.ReasonCode{MaxUserProperties: 0, MaxUserProperties + 1: mqtt.QuotaExceeded} {
		props := ""
		for range n {
			props += "\x26\x00\x00\x00\x00"
		}
		header, body := withProps("publish", props)
		_, err := Decode(header, body, mqtt.V5)
		if want == 0 && err != nil || want != 0 && !errors.Is(err, want) {
			t.Errorf("%d user properties: %v", n, err)
		}
	}
}

func TestMalformed(t *testing.T) {
	const v3, v4, v5 = mqtt.V31, mqtt.V311, mqtt.V5
	for _, c := range []struct {
		what   string
		v      mqtt.Version
		wire   string // without the length
		reason mqtt.ReasonCode
	}{
		{"connect: no such name", v5, "\x10\x00\x04MQTX\x05\x02\x00\x00\x00\x00\x00", mqtt.UnsupportedProtocolVersion},
		{"connect: 3.1 with the newer name", v5, "\x10\x00\x04MQTT\x03\x02\x00\x00\x00\x00", mqtt.UnsupportedProtocolVersion},
		{"connect: 3.1.1 with the older name", v5, "\x10\x00\x06MQIsdp\x04\x02\x00\x00\x00\x00", mqtt.UnsupportedProtocolVersion},
		{"connect: level 6", v5, "\x10\x00\x04MQTT\x06\x02\x00\x00\x00\x00\x00", mqtt.UnsupportedProtocolVersion},
		{"connect: level 5 with the bridge bit", v5, "\x10\x00\x04MQTT\x85\x02\x00\x00\x00\x00\x00", mqtt.UnsupportedProtocolVersion},
		{"connect: long name", v5, "\x10\x00\x20" + long(32) + "\x05\x02\x00\x00\x00\x00\x00", mqtt.UnsupportedProtocolVersion},
		{"connect: reserved flag", v4, "\x10\x00\x04MQTT\x04\x03\x00\x00\x00\x01c", mqtt.MalformedPacket},
		{"connect: reserved flag 5", v5, "\x10\x00\x04MQTT\x05\x03\x00\x00\x00\x00\x01c", mqtt.MalformedPacket},
		{"connect: will QoS 3", v4, "\x10\x00\x04MQTT\x04\x1E\x00\x00\x00\x01c\x00\x01w\x00\x00", mqtt.MalformedPacket},
		{"connect: will QoS 3 in 3.1", v3, "\x10\x00\x06MQIsdp\x03\x1E\x00\x00\x00\x01c\x00\x01w\x00\x00", mqtt.MalformedPacket},
		{"connect: will QoS without will", v4, "\x10\x00\x04MQTT\x04\x0A\x00\x00\x00\x01c", mqtt.MalformedPacket},
		{"connect: will retain without will", v5, "\x10\x00\x04MQTT\x05\x22\x00\x00\x00\x00\x01c", mqtt.MalformedPacket},
		{"connect: password without name", v4, "\x10\x00\x04MQTT\x04\x42\x00\x00\x00\x01c\x00\x01p", mqtt.MalformedPacket},
		{"connect: client id with NUL", v4, "\x10\x00\x04MQTT\x04\x02\x00\x00\x00\x01\x00", mqtt.MalformedPacket},
		{"connect: user name not UTF-8", v4, "\x10\x00\x04MQTT\x04\x82\x00\x00\x00\x01c\x00\x01\xFF", mqtt.MalformedPacket},
		{"connect: will topic with wildcard", v4, "\x10\x00\x04MQTT\x04\x06\x00\x00\x00\x01c\x00\x01#\x00\x00", mqtt.TopicNameInvalid},
		{"connect: will topic empty", v5, "\x10\x00\x04MQTT\x05\x06\x00\x00\x00\x00\x01c\x00\x00\x00\x00\x00", mqtt.TopicNameInvalid},

		{"connack: reserved flag", v4, "\x20\x02\x00", mqtt.MalformedPacket},
		{"connack: return code 6", v4, "\x20\x00\x06", mqtt.ProtocolError},
		{"connack: refusal with a session", v4, "\x20\x01\x05", mqtt.ProtocolError},
		{"connack: refusal with a session 5", v5, "\x20\x01\x87\x00", mqtt.ProtocolError},
		{"connack: reason of another packet", v5, "\x20\x00\x10\x00", mqtt.ProtocolError},

		{"publish: QoS 3", v4, "\x36\x00\x01t\x00\x01", mqtt.MalformedPacket},
		{"publish: DUP with QoS 0", v4, "\x38\x00\x01t", mqtt.MalformedPacket},
		{"publish: packet id 0", v4, "\x32\x00\x01t\x00\x00", mqtt.ProtocolError},
		{"publish: empty topic", v4, "\x30\x00\x00", mqtt.ProtocolError},
		{"publish: empty topic without alias", v5, "\x30\x00\x00\x00", mqtt.ProtocolError},
		{"publish: +", v4, "\x30\x00\x03a/+", mqtt.TopicNameInvalid},
		{"publish: #", v4, "\x30\x00\x01#", mqtt.TopicNameInvalid},
		{"publish: # behind UTF-8", v4, "\x30\x00\x03\xC3\xA9#", mqtt.TopicNameInvalid},
		{"publish: NUL", v4, "\x30\x00\x02a\x00", mqtt.MalformedPacket},
		{"publish: NUL behind UTF-8", v4, "\x30\x00\x03\xC3\xA9\x00", mqtt.MalformedPacket},
		{"publish: not UTF-8", v4, "\x30\x00\x02a\xFF", mqtt.MalformedPacket},
		{"publish: surrogate", v4, "\x30\x00\x03\xED\xBF\xBF", mqtt.MalformedPacket},
		{"publish: alias 0", v5, "\x30\x00\x01t\x03\x23\x00\x00", mqtt.TopicAliasInvalid},

		{"puback: packet id 0", v4, "\x40\x00\x00", mqtt.ProtocolError},
		{"puback: reason of a PUBREL", v5, "\x40\x00\x01\x92", mqtt.ProtocolError},
		{"puback: reason before 5.0", v4, "\x40\x00\x01\x00", mqtt.MalformedPacket},
		{"pubrec: unknown reason", v5, "\x50\x00\x01\x42", mqtt.ProtocolError},
		{"pubrel: reason of a PUBACK", v5, "\x62\x00\x01\x97", mqtt.ProtocolError},
		{"pubcomp: reason of a PUBACK", v5, "\x70\x00\x01\x10", mqtt.ProtocolError},

		{"subscribe: packet id 0", v4, "\x82\x00\x00\x00\x01a\x00", mqtt.ProtocolError},
		{"subscribe: nothing", v4, "\x82\x00\x01", mqtt.ProtocolError},
		{"subscribe: nothing 5", v5, "\x82\x00\x01\x00", mqtt.ProtocolError},
		{"subscribe: empty filter", v4, "\x82\x00\x01\x00\x00\x00", mqtt.ProtocolError},
		{"subscribe: NUL", v4, "\x82\x00\x01\x00\x01\x00\x00", mqtt.MalformedPacket},
		{"subscribe: QoS 3", v4, "\x82\x00\x01\x00\x01a\x03", mqtt.MalformedPacket},
		{"subscribe: QoS 3 in 3.1", v3, "\x82\x00\x01\x00\x01a\x03", mqtt.MalformedPacket},
		{"subscribe: QoS 3 in 5.0", v5, "\x82\x00\x01\x00\x00\x01a\x03", mqtt.MalformedPacket},
		{"subscribe: options before 5.0", v4, "\x82\x00\x01\x00\x01a\x04", mqtt.MalformedPacket},
		{"subscribe: reserved options", v5, "\x82\x00\x01\x00\x00\x01a\x40", mqtt.MalformedPacket},
		{"subscribe: retain handling 3", v5, "\x82\x00\x01\x00\x00\x01a\x30", mqtt.ProtocolError},
		{"subscribe: shared and no local", v5, "\x82\x00\x01\x00\x00\x0A$share/g/a\x04", mqtt.ProtocolError},
		{"suback: nothing", v4, "\x90\x00\x01", mqtt.ProtocolError},
		{"suback: return code 3", v4, "\x90\x00\x01\x03", mqtt.ProtocolError},
		{"suback: 5.0 failure before 5.0", v4, "\x90\x00\x01\x87", mqtt.ProtocolError},
		{"suback: unknown reason", v5, "\x90\x00\x01\x00\x03", mqtt.ProtocolError},
		{"unsubscribe: nothing", v4, "\xA2\x00\x01", mqtt.ProtocolError},
		{"unsubscribe: empty filter", v5, "\xA2\x00\x01\x00\x00\x00", mqtt.ProtocolError},
		{"unsuback: reasons before 5.0", v4, "\xB0\x00\x01\x00", mqtt.MalformedPacket},
		{"unsuback: no reason", v5, "\xB0\x00\x01\x00", mqtt.ProtocolError},
		{"pingreq with a body", v4, "\xC0\x00", mqtt.MalformedPacket},
		{"pingresp with a body", v5, "\xD0\x00", mqtt.MalformedPacket},
		{"disconnect with a body before 5.0", v4, "\xE0\x00", mqtt.MalformedPacket},
		{"disconnect: reason of a CONNACK", v5, "\xE0\x86", mqtt.ProtocolError},
		{"auth: reason of another packet", v5, "\xF0\x80\x00", mqtt.ProtocolError},
	} {
		_, err := Decode(c.wire[0], []byte(c.wire[1:]), c.v)
		refused(t, c.what, err, c.reason)
	}
}

// What is wrong is not sent either, and leaves the buffer as it was.
func TestAppendRefuses(t *testing.T) {
	huge := make([]byte, 0x10000)
	many := make([]mqtt.UserProperty, MaxUserProperties+1)
	will := func(m mqtt.Message) *Connect {
		return &Connect{Version: mqtt.V5, Will: &mqtt.Will{Message: m}}
	}
	subscribe := func(s mqtt.Subscription) *Subscribe {
		return &Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{s}}
	}
	for _, c := range []struct {
		what string
		p    Packet
	}{
		{"version", &Connect{Version: 6}},
		{"long client id", &Connect{Version: mqtt.V311, ClientID: string(huge)}},
		{"client id with NUL", &Connect{Version: mqtt.V311, ClientID: "\x00"}},
		{"long password", &Connect{Version: mqtt.V5, Password: huge, HasPassword: true}},
		{"password without user name", &Connect{Version: mqtt.V311, HasPassword: true}},
		{"will QoS", will(mqtt.Message{Topic: "w", QoS: 3})},
		{"will topic", will(mqtt.Message{Topic: "w/#"})},
		{"will without topic", will(mqtt.Message{})},
		{"will with subscription id", will(mqtt.Message{Topic: "w", Props: &mqtt.Properties{SubscriptionIDs: []uint32{1}}})},
		{"connack session in refusal", &Connack{SessionPresent: true, Reason: mqtt.Banned}},
		{"connack reason", &Connack{Reason: mqtt.PacketIDInUse}},
		{"QoS 3", &Publish{Topic: "t", QoS: 3, PacketID: 1}},
		{"QoS 0 with id", &Publish{Topic: "t", PacketID: 1}},
		{"QoS 0 with DUP", &Publish{Topic: "t", Dup: true}},
		{"QoS 1 without id", &Publish{Topic: "t", QoS: 1}},
		{"no topic", &Publish{}},
		{"wildcard", &Publish{Topic: "a/+"}},
		{"topic not UTF-8", &Publish{Topic: "\xFF"}},
		{"long topic", &Publish{Topic: string(huge)}},
		{"response topic", &Publish{Topic: "t", Props: &mqtt.Properties{ResponseTopic: "#"}}},
		{"payload format", &Publish{Topic: "t", Props: &mqtt.Properties{PayloadFormat: 2}}},
		{"subscription id 0", &Publish{Topic: "t", Props: &mqtt.Properties{SubscriptionIDs: []uint32{0}}}},
		{"subscription id too large", &Publish{Topic: "t", Props: &mqtt.Properties{SubscriptionIDs: []uint32{1 << 28}}}},
		{"user properties", &Publish{Topic: "t", Props: &mqtt.Properties{User: many}}},
		{"puback id", &Puback{}},
		{"puback reason", &Puback{PacketID: 1, Reason: mqtt.PacketIDNotFound}},
		{"pubrel reason", &Pubrel{PacketID: 1, Reason: mqtt.NotAuthorized}},
		{"subscribe id", &Subscribe{Subscriptions: []mqtt.Subscription{{Filter: "a"}}}},
		{"subscribe nothing", &Subscribe{PacketID: 1}},
		{"subscribe empty", subscribe(mqtt.Subscription{})},
		{"subscribe QoS", subscribe(mqtt.Subscription{Filter: "a", QoS: 3})},
		{"subscribe retain handling", subscribe(mqtt.Subscription{Filter: "a", RetainHandling: 3})},
		{"subscribe shared no local", subscribe(mqtt.Subscription{Filter: "$share/g/a", NoLocal: true})},
		{"subscribe identifier", &Subscribe{PacketID: 1, ID: 1 << 28, Subscriptions: []mqtt.Subscription{{Filter: "a"}}}},
		{"suback nothing", &Suback{PacketID: 1}},
		{"suback reason", &Suback{PacketID: 1, Reasons: []mqtt.ReasonCode{3}}},
		{"unsubscribe nothing", &Unsubscribe{PacketID: 1}},
		{"unsuback nothing", &Unsuback{PacketID: 1}},
		{"disconnect reason", &Disconnect{Reason: mqtt.BadUserNameOrPassword}},
		{"auth reason", &Auth{Reason: mqtt.UnspecifiedError}},
	} {
		got, err := c.p.Append([]byte("before"), mqtt.V5)
		refused(t, c.what, err, 0)
		if string(got) != "before" {
			t.Errorf("%s: left %q", c.what, got)
		}
	}
	if _, err := (&Auth{}).Append(nil, mqtt.V311); err == nil {
		t.Error("AUTH before 5.0 accepted")
	}
	if _, err := (&Publish{TopicAlias: 1}).Append(nil, mqtt.V311); err == nil {
		t.Error("alias without topic before 5.0 accepted")
	}
	if _, err := (&Publish{Topic: "t", Payload: make([]byte, MaxVarint)}).Append(nil, mqtt.V311); !errors.Is(err, mqtt.PacketTooLarge) {
		t.Errorf("256 MiB: %v", err)
	}
}

func TestErrorText(t *testing.T) {
	_, err := Decode(0x30, []byte("\x00\x01#"), mqtt.V5)
	if want := "PUBLISH: topic holds a wildcard + or #: topic name invalid (0x90)"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if got := (&Error{Reason: mqtt.MalformedPacket, Text: "x"}).Error(); got != "x: malformed packet (0x81)" {
		t.Errorf("%q", got)
	}
}
