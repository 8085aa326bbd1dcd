package broker

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fieldgate/buffer"
	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
	"fieldgate/scripts/peertest"
)

// All that belongs to a message goes every way: at once, from the retained
// ones, from the queue of a session that is away, by a share, by a will, and
// each of these also through the disk and a restart.
func TestPropertiesEveryWay(t *testing.T) {
	dir := t.TempDir()
	open := func() *buffer.Buffer {
		b, err := buffer.Open(buffer.Config{Dir: dir, MinFree: conf.Size(1)}, buffer.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	props := &mqtt.Properties{
		PayloadFormat: 1, HasExpiry: true, MessageExpiry: 5000, ContentType: "text/plain", ResponseTopic: "re/ply", CorrelationData: []byte{0, 1, 2},
		User: []mqtt.UserProperty{{Name: "a", Value: "1"}, {Name: "", Value: ""}, {Name: "a", Value: "2"}, {Name: "ü", Value: strings.Repeat("x", 1000)}},
	}
	check := func(way string, m *packet.Publish) {
		t.Helper()
		p := m.Props
		if p == nil || string(m.Payload) != "p" || p.PayloadFormat != 1 || p.ContentType != "text/plain" || p.ResponseTopic != "re/ply" ||
			!bytes.Equal(p.CorrelationData, []byte{0, 1, 2}) || !slices.Equal(p.User, props.User) || !p.HasExpiry || p.MessageExpiry > 5000 || p.MessageExpiry < 4900 {
			t.Errorf("%s: %+v with %+v", way, m, p)
		}
	}
	store := open()
	s := start(t, Config{}, store.State())
	for id, filter := range map[string]string{"away": "m/+", "shared": "$share/g/m/+", "willed": "will"} {
		c := s.connect(mqtt.V5, id, durable)
		c.subscribe(sub(filter, 2))
		c.leave()
	}
	online := s.connect(mqtt.V5, "online")
	online.subscribe(sub("m/+", 2))
	w := s.connect(mqtt.V5, "w", func(c *packet.Connect) {
		durable(c)
		c.Will = &mqtt.Will{Message: mqtt.Message{Topic: "will", Payload: []byte("p"), QoS: 1, Retain: true, Props: props}, Delay: 1}
	})
	const n = 3
	for qos := range mqtt.QoS(n) {
		m := &packet.Publish{Topic: fmt.Sprint("m/", qos), Payload: []byte("p"), QoS: qos, Retain: true, Props: props}
		if qos > 0 {
			m.PacketID = uint16(qos)
		}
		w.send(m)
		switch qos {
		case 1:
			expect[*packet.Puback](w)
		case 2:
			expect[*packet.Pubrec](w)
			w.send(&packet.Pubrel{PacketID: 2})
			expect[*packet.Pubcomp](w)
		}
		check("at once", online.receive())
	}
	w.cut()
	s.offline("w")
	s.stop()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	store = open()
	defer store.Close()
	s = start(t, Config{}, store.State())
	defer s.stop()
	waitFor(t, "the will", func() bool { return len(s.Retained("will")) == 1 })
	for _, id := range []string{"away", "shared", "willed"} {
		c := s.connect(mqtt.V5, id, durable)
		count := 2 // QoS 0 waits for nobody
		if id == "willed" {
			count = 1
		}
		for range count {
			check(id, c.receive())
		}
		c.silent()
	}
	fresh := s.connect(mqtt.V5, "fresh")
	fresh.subscribe(sub("#", 2))
	for range n + 1 {
		m := fresh.receive()
		if check("retained", m); !m.Retain {
			t.Errorf("%s is not marked as retained", m.Topic)
		}
	}
	fresh.silent()
	// Clients of before MQTT 5 get the message without them.
	old := s.connect(mqtt.V311, "old")
	old.subscribe(sub("m/1", 1))
	if m := old.receive(); string(m.Payload) != "p" || m.Props != nil {
		t.Errorf("3.1.1: %+v", m)
	}
}

// A client without an id is told the one that it has got; with that it comes
// back to its session, and no two are alike.
func TestAssignedClientID(t *testing.T) {
	s := start(t, Config{}, nil)
	seen := map[string]bool{}
	for range 20 {
		p := s.dial()
		a := p.connect(mqtt.V5, "", durable)
		id := a.Props.AssignedClientID
		if a.Reason != mqtt.Success || a.SessionPresent || id == "" || seen[id] {
			t.Fatalf("CONNACK %+v", a)
		}
		seen[id] = true
		p.subscribe(sub("t", 1))
		p.leave()
		p = s.dial()
		if a = p.connect(mqtt.V5, id, durable); !a.SessionPresent || a.Props.AssignedClientID != "" {
			t.Errorf("back as %s: %+v", id, a)
		}
		p.leave()
	}
	// 3.1.1 has no word for it, and with a clean session no need.
	if a := s.dial().connect(mqtt.V311, ""); a.Reason != mqtt.Success {
		t.Errorf("CONNACK %v", a.Reason)
	}
}

// A client that sends more than its listener allows is read more slowly, and
// nothing of it is lost; another listener's clients notice nothing.
func TestRateOfAListener(t *testing.T) {
	s := start(t, Config{Listener: []Listener{
		{Name: "slow", Bind: "127.0.0.1:0", AllowAnonymous: true, MaxRate: 50}, {Name: "fast", Bind: "127.0.0.2:0", AllowAnonymous: true},
	}}, nil)
	r := dialPeer(t, "tcp", s.Addr("fast").String())
	r.connect(mqtt.V5, "r")
	r.subscribe(sub("t", 1))
	for _, c := range []struct {
		listener string
		slow     bool
	}{{"slow", true}, {"fast", false}} {
		w := dialPeer(t, "tcp", s.Addr(c.listener).String())
		w.connect(mqtt.V5, c.listener)
		begin := time.Now()
		const n = 150
		for i := range n {
			w.send(pub("t", fmt.Sprint(i), 1, uint16(i+1)))
		}
		for i := range n {
			if m := r.receive(); string(m.Payload) != fmt.Sprint(i) {
				t.Fatalf("%s: got %s, want %d", c.listener, m.Payload, i)
			}
		}
		for range n {
			expect[*packet.Puback](w)
		}
		// A second's worth goes at once, and one read may bring more; the next has to wait for it.
		w.send(pub("t", "last", 1, n+1))
		r.receive()
		expect[*packet.Puback](w)
		if took := time.Since(begin); c.slow && took < 1500*time.Millisecond {
			t.Errorf("%d messages took %v where 50 a second are allowed", n+1, took)
		}
		w.leave()
	}
}

// Debian's mosquitto clients over a Unix socket.
func TestMosquittoOverUnixSocket(t *testing.T) {
	mosquittoSub, mosquittoPub := peertest.Need(t, "mosquitto_sub"), peertest.Need(t, "mosquitto_pub")
	path := filepath.Join(t.TempDir(), "mqtt.sock")
	s := start(t, Config{Listener: []Listener{{Name: "unix", Bind: "unix:" + path, AllowAnonymous: true}}}, nil)
	out := background(t, mosquittoSub, "--unix", path, "-t", "u/#", "-q", "1", "-F", "%t %p")
	waitFor(t, "the subscription", func() bool { return s.Stats().Subscriptions == 1 })
	if got, err := exec.Command(mosquittoPub, "--unix", path, "-t", "u/x", "-q", "2", "-m", "hello").CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_pub: %v: %s", err, got)
	}
	waitFor(t, "the message", func() bool { return out.String() == "u/x hello\n" })
}
