package broker

import (
	"strings"
	"testing"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// Who is refused is told why in words, in every packet that can say so; not
// those who want none, nor where the packet would be larger than the client
// takes, nor before MQTT 5.
func TestReasonStrings(t *testing.T) {
	no := false
	cfg := Config{
		Listener: []Listener{{Name: "l", Bind: "127.0.0.1:0", AllowAnonymous: true}}, Auth: Auth{UsersFile: usersFile(t)}, RetainLimit: 1, Shared: &no,
		ACL: []ACL{{User: "anonymous", Allow: []string{"readwrite a/#"}}, {User: "*", Allow: []string{"readwrite #"}}},
	}
	s := start(t, cfg, nil)
	// CONNACK, also to those who want no reason strings elsewhere.
	wrong := login("six", "wrong")
	small := func(c *packet.Connect) { c.Props.MaxPacket = 20 }
	quiet := func(c *packet.Connect) { c.Props.NoProblemInfo = true }
	for name, c := range map[string]struct {
		options []func(*packet.Connect)
		want    string
	}{
		"wrong password": {[]func(*packet.Connect){wrong}, "wrong user name or password"}, "quiet": {[]func(*packet.Connect){wrong, quiet}, "wrong user name or password"},
		"small": {[]func(*packet.Connect){wrong, small}, ""}, "method": {[]func(*packet.Connect){func(c *packet.Connect) { c.Props.Auth = &packet.Authentication{Method: "SCRAM"} }}, `authentication method "SCRAM"`},
		"topic of the will": {[]func(*packet.Connect){func(c *packet.Connect) { c.Will = &mqtt.Will{Message: mqtt.Message{Topic: "$SYS/x"}} }}, `topic "$SYS/x" of the will`},
	} {
		if a := s.dial().connect(mqtt.V5, "c", c.options...); !a.Reason.Failed() || a.Props.ReasonString != c.want {
			t.Errorf("%s: CONNACK %v %q, want %q", name, a.Reason, a.Props.ReasonString, c.want)
		}
	}
	// The name of another user is nobody's business.
	owner := s.connect(mqtt.V5, "mine", login("bcrypt", "secret"))
	if a := s.dial().connect(mqtt.V5, "mine", login("six", "secret")); a.Reason != mqtt.NotAuthorized || strings.Contains(a.Props.ReasonString, "bcrypt") || a.Props.ReasonString == "" {
		t.Errorf("CONNACK %v %q", a.Reason, a.Props.ReasonString)
	}
	owner.silent()

	for name, options := range map[string][]func(*packet.Connect){"told": nil, "quiet": {quiet}, "small": {func(c *packet.Connect) { c.Props.MaxPacket = 25 }}} {
		c := s.connect(mqtt.V5, "c", options...)
		check := func(what, got, want string) {
			t.Helper()
			if name != "told" {
				want = ""
			}
			if got != want {
				t.Errorf("%s: %s says %q, want %q", name, what, got, want)
			}
		}
		c.send(pub("b", "x", 1, 1))
		a := expect[*packet.Puback](c)
		check("PUBACK", a.ReasonString, "no right to write this topic")
		c.send(pub("b", "x", 2, 2))
		r := expect[*packet.Pubrec](c)
		check("PUBREC", r.ReasonString, "no right to write this topic")
		for i, topic := range []string{"a/kept", "a/too many"} {
			m := pub(topic, "x", 1, 3)
			m.Retain = true
			c.send(m)
			if a = expect[*packet.Puback](c); (a.Reason == mqtt.QuotaExceeded) != (i == 1) {
				t.Errorf("%s: PUBACK %v", name, a.Reason)
			}
		}
		check("PUBACK", a.ReasonString, "a limit of the broker is reached: retained messages, or the queue of a subscriber")
		if a.Reason != mqtt.QuotaExceeded || a.PacketID != 3 || r.Reason != mqtt.NotAuthorized || r.PacketID != 2 {
			t.Errorf("%s: %+v, %+v", name, a, r)
		}
		c.send(&packet.Subscribe{PacketID: 4, Subscriptions: []mqtt.Subscription{sub("a/x", 0), sub("b", 0), sub("$share/g/a/x", 0)}})
		k := expect[*packet.Suback](c)
		check("SUBACK", k.ReasonString, "b: no right to read what is under it")
		if len(k.Reasons) != 3 || k.Reasons[1] != mqtt.NotAuthorized || k.Reasons[2] != mqtt.SharedSubsNotSupported {
			t.Errorf("%s: SUBACK %v", name, k.Reasons)
		}
		c.leave()
	}
	// DISCONNECT says it to everybody.
	c := s.connect(mqtt.V5, "c", quiet)
	c.send(&packet.Publish{Topic: "a", TopicAlias: maxTopicAliasIn + 1})
	for {
		if d, ok := c.mustNext().(*packet.Disconnect); ok {
			if d.Reason != mqtt.TopicAliasInvalid || d.ReasonString != "topic alias is above the maximum" {
				t.Errorf("DISCONNECT %v %q", d.Reason, d.ReasonString)
			}
			break
		}
	}
	// Before MQTT 5 there is no place for it.
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311} {
		if a := s.dial().connect(v, "c", wrong); a.Reason != mqtt.BadUserNameOrPassword && a.Reason != mqtt.NotAuthorized {
			t.Errorf("version %d: %v", v, a.Reason)
		}
	}
}
