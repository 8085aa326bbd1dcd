package broker

import (
	"os"
	"slices"
	"strings"
	"testing"

	"fieldgate/buffer"
	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// keeps publishes a retained message and waits until it is kept.
func (p *peer) keeps(topic string, qos mqtt.QoS) {
	p.t.Helper()
	m := pub(topic, "kept", qos, 1)
	m.Retain = true
	p.send(m)
	if qos == 1 {
		expect[*packet.Puback](p)
	} else {
		p.silent()
	}
}

// finds are the topics whose retained messages a new subscription to a filter
// gets, from a session that lasts and from one that does not.
func (s *server) finds(filter string, login func(*packet.Connect)) []string {
	s.t.Helper()
	var first []string
	for i, option := range []func(*packet.Connect){durable, func(*packet.Connect) {}} {
		for qos := range mqtt.QoS(2) {
			p := s.connect(mqtt.V5, "finder", login, option, func(c *packet.Connect) { c.CleanStart = true })
			p.subscribe(sub(filter, qos))
			p.send(&packet.Pingreq{})
			var found []string
			for {
				k := p.mustNext()
				if k.Type() == packet.TypePingresp {
					break
				}
				found = append(found, k.(*packet.Publish).Topic)
			}
			slices.Sort(found)
			if i == 0 && qos == 0 {
				first = found
			} else if !slices.Equal(first, found) {
				s.t.Errorf("%s with QoS %d: %q, otherwise %q", filter, qos, found, first)
			}
			p.leave()
		}
	}
	return first
}

// Class 8, retained messages (CVE-2018-12546): what a client has left behind
// is given to nobody once it may not publish that any more, or its user is
// gone; also after a restart, and by a will. What others left, and our own
// parts, stays. When the right is back, the message is.
func TestAttack08RetainedAfterTheRight(t *testing.T) {
	dir := t.TempDir()
	open := func() *buffer.Buffer {
		b, err := buffer.Open(buffer.Config{Dir: dir, MinFree: conf.Size(1)}, buffer.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	whole := []ACL{{User: "bcrypt", Allow: []string{"read #"}}, {User: "anonymous", Allow: []string{"write open/%c"}}, {User: "*", Allow: []string{"write a/#", "write will"}}}
	cfg := Config{
		Listener: []Listener{{Name: "l", Bind: "127.0.0.1:0", AllowAnonymous: true}}, Auth: Auth{UsersFile: usersFile(t)}, ACL: whole,
	}
	store := open()
	s := start(t, cfg, store.State())
	if err := s.Publish(t.Context(), mqtt.Message{Topic: "a/ours", Payload: []byte("x"), Retain: true, QoS: 1, Origin: "gateway"}); err != nil {
		t.Fatal(err)
	}
	six, seven, nobody := s.connect(mqtt.V5, "six", login("six", "secret")), s.connect(mqtt.V311, "seven", login("seven", "secret")), s.connect(mqtt.V5, "nobody")
	dying := s.connect(mqtt.V5, "dying", login("six", "secret"), func(c *packet.Connect) {
		c.Will = &mqtt.Will{Message: mqtt.Message{Topic: "will", Payload: []byte("x"), Retain: true}}
	})
	six.keeps("a/six", 1)
	six.keeps("a/six/0", 0)
	seven.keeps("a/seven", 1)
	nobody.keeps("open/nobody", 1)
	dying.cut()
	waitFor(t, "the will", func() bool { return len(s.Retained("will")) == 1 })
	reader := login("bcrypt", "secret")
	sees := func(why, want string) {
		t.Helper()
		if got := strings.Join(s.finds("#", reader), " "); got != want {
			t.Errorf("%s: %s\nwant %s", why, got, want)
		}
	}
	const all = "a/ours a/seven a/six a/six/0 open/nobody will"
	force := func(acl []ACL) {
		t.Helper()
		cfg.ACL = acl
		if err := s.Reload(cfg); err != nil {
			t.Fatal(err)
		}
	}
	sees("at first", all)
	force([]ACL{whole[0], {User: "six", Allow: []string{"write b"}}, {User: "anonymous"}, whole[2]})
	sees("six may not write, nor those without a name", "a/ours a/seven")
	again := func() {
		t.Helper()
		s.stop()
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		store = open()
		s = start(t, cfg, store.State())
	}
	again()
	sees("after a restart", "a/ours a/seven")
	force(whole)
	sees("the right is back", all)

	// The user is gone.
	users, err := os.ReadFile(cfg.Auth.UsersFile)
	if err != nil {
		t.Fatal(err)
	}
	rest := slices.DeleteFunc(strings.SplitAfter(string(users), "\n"), func(line string) bool { return strings.HasPrefix(line, "six:") })
	if err := os.WriteFile(cfg.Auth.UsersFile, []byte(strings.Join(rest, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	force(whole)
	sees("the user is gone", "a/ours a/seven open/nobody")
	again()
	sees("gone, after a restart", "a/ours a/seven open/nobody")

	// Another one who may leaves the very same message: it is that one's now, in the store too.
	other := s.connect(mqtt.V5, "other", login("seven", "secret"))
	other.keeps("a/six", 1)
	again()
	sees("left by another", "a/ours a/seven a/six open/nobody")
	s.stop()
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

// A message that is on its way to a new subscription when its publisher loses
// the right is held back, as far as it was not sent.
func TestAttack08RetainedOnItsWay(t *testing.T) {
	cfg := Config{Listener: []Listener{{Name: "l", Bind: "127.0.0.1:0", AllowAnonymous: true}}, ACL: []ACL{{User: "anonymous", Allow: []string{"readwrite #"}}}}
	s := start(t, cfg, nil)
	w := s.connect(mqtt.V5, "w")
	for _, topic := range []string{"1", "2", "3", "4"} {
		w.keeps(topic, 1)
	}
	r := s.connect(mqtt.V5, "r", func(c *packet.Connect) { c.Props.ReceiveMaximum = 1 })
	r.subscribe(sub("#", 1))
	first := expect[*packet.Publish](r)
	cfg.ACL = []ACL{{User: "anonymous", Allow: []string{"read #"}}}
	if err := s.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	r.send(&packet.Puback{PacketID: first.PacketID})
	r.silent()
	waitFor(t, "an empty queue", func() bool { return s.Clients()[0].Queued == 0 && s.queuedBytes.Load() == 0 })
}

// A name that a certificate brought needs no line in the password file.
func TestRetainedByCertificate(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.pair("server", "localhost", nil, 2)
	s := start(t, Config{
		Listener: []Listener{{Name: "tls", Bind: "127.0.0.1:0", TLS: &TLS{CertFile: cert, KeyFile: key, ClientCAFile: a.file}}},
		Auth:     Auth{UsersFile: usersFile(t)}, ACL: []ACL{{User: "anna", Allow: []string{"readwrite a"}}},
	}, nil)
	p := dialTLS(t, s.Addr("tls").String(), a.client(a.pair("anna", "anna", nil, 3)))
	p.connect(mqtt.V5, "c")
	p.keeps("a", 1)
	p.subscribe(sub("a", 0))
	if m := p.receive(); m.Topic != "a" || !m.Retain {
		t.Errorf("got %+v", m)
	}
}
