package bridge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fieldgate/mqtt"
)

func TestCommandCheck(t *testing.T) {
	c, err := Command{From: "f/+/set", To: "a/{1}/set"}.compile("gw")
	if err != nil {
		t.Fatal(err)
	}
	now := time.UnixMilli(1767225600000)
	at := func(d time.Duration) string { return fmt.Sprintf(`{"value":1,"ts":%d}`, now.Add(d).UnixMilli()) }
	for _, tc := range []struct {
		name     string
		m        mqtt.Message
		unsynced bool
		code     string
	}{
		{"bare value", mqtt.Message{Payload: []byte("72.5")}, false, ""},
		{"fresh", mqtt.Message{Payload: []byte(at(-5 * time.Second))}, false, ""},
		{"in seconds", mqtt.Message{Payload: []byte(fmt.Sprintf(`{"ts":%d}`, now.Unix()-5))}, false, ""},
		{"RFC 3339", mqtt.Message{Payload: []byte(`{"ts":"2026-01-01T00:00:00Z"}`)}, false, ""},
		{"old", mqtt.Message{Payload: []byte(at(-31 * time.Second))}, false, CodeTooOld},
		{"old in seconds", mqtt.Message{Payload: []byte(fmt.Sprintf(`{"ts":%d}`, now.Unix()-60))}, false, CodeTooOld},
		{"old RFC 3339", mqtt.Message{Payload: []byte(`{"ts":"2025-12-31T23:59:00Z"}`)}, false, CodeTooOld},
		{"from the future", mqtt.Message{Payload: []byte(at(time.Hour))}, false, CodeTooOld},
		{"nonsense", mqtt.Message{Payload: []byte(`{"ts":"yesterday"}`)}, false, CodeTooOld},
		{"huge", mqtt.Message{Payload: []byte(`{"ts":1e300}`)}, false, CodeTooOld},
		{"clock not set", mqtt.Message{Payload: []byte(at(0))}, true, CodeClock},
		{"clock not set, no ts", mqtt.Message{Payload: []byte(`{"value":1}`)}, true, ""},
		{"retained", mqtt.Message{Retain: true, Payload: []byte("1")}, false, CodeRetained},
		{"retained and fresh", mqtt.Message{Retain: true, Payload: []byte(at(0))}, true, CodeRetained},
	} {
		r := c.check(&tc.m, now, !tc.unsynced)
		if code := codeOf(r); code != tc.code {
			t.Errorf("%s: %q, want %q", tc.name, code, tc.code)
		}
	}
}

func codeOf(r *refusal) string {
	if r == nil {
		return ""
	}
	return r.code
}

func TestCommandLocal(t *testing.T) {
	c, err := Command{From: "factory/{gateway}/cmd/+/+/#", To: "acme/{1}/{2}/{#}"}.compile("gw")
	if err != nil {
		t.Fatal(err)
	}
	m := &mqtt.Message{Topic: "factory/gw/cmd/boiler/temp/set", Payload: []byte("1"), QoS: 2,
		Props: &mqtt.Properties{HasExpiry: true, MessageExpiry: 3600, ResponseTopic: "r", CorrelationData: []byte{1}}}
	topic := c.topic("gw", m.Topic)
	if topic != "acme/boiler/temp/set" {
		t.Errorf("topic %q", topic)
	}
	out := c.local(m, topic, "upstream:x")
	if out.QoS != 1 || out.Retain || out.Origin != "upstream:x" || !out.Props.HasExpiry || out.Props.MessageExpiry != 30 || string(out.Props.CorrelationData) != "\x01" {
		t.Errorf("local message %+v %+v", out, out.Props)
	}
	m.Props.MessageExpiry = 3
	if out := c.local(m, topic, ""); out.Props.MessageExpiry != 3 {
		t.Errorf("a shorter expiry became %d", out.Props.MessageExpiry)
	}
}

func TestResultTopic(t *testing.T) {
	for topic, want := range map[string]string{
		"a/b/set":                       "a/b/set/result",
		"fieldgate/gw/cmd/request/read": "fieldgate/gw/cmd/response/read",
	} {
		if got := resultTopic(topic); got != want {
			t.Errorf("resultTopic(%q) = %q", topic, got)
		}
	}
}

func TestAsked(t *testing.T) {
	var a asked
	now := time.Now()
	a.add("here", "old", now.Add(-askedKeep-time.Second))
	a.add("here", "first", now)
	a.add("here", "second", now)
	for _, want := range []string{"first", "second", ""} {
		if got, ok := a.take("here"); got != want || ok != (want != "") {
			t.Errorf("take = %q, %v; want %q", got, ok, want)
		}
	}
	for i := range 3 * askedMax {
		a.add(fmt.Sprint(i), "", now)
	}
	if len(a.list) > askedMax {
		t.Errorf("%d commands remembered", len(a.list))
	}
}

func TestEchoes(t *testing.T) {
	e := newEchoes()
	now := time.Unix(1000, 0)
	m := &mqtt.Message{Topic: "a", Payload: []byte("1")}
	if drop, _ := e.received(m, now); drop {
		t.Error("dropped what was never sent")
	}
	e.sent(m, now)
	if drop, _ := e.received(m, now.Add(time.Second)); !drop {
		t.Error("an echo passed")
	}
	if drop, _ := e.received(m, now.Add(echoKeep+time.Second)); drop {
		t.Error("dropped after the time for echoes")
	}
	tripped := 0
	e.sent(m, now)
	for range 2 * echoBreak {
		if _, t := e.received(m, now); t {
			tripped++
		}
	}
	other := &mqtt.Message{Topic: "b"}
	if drop, _ := e.received(other, now.Add(time.Second)); !drop || tripped != 1 {
		t.Errorf("breaker: drop %v, tripped %d times", drop, tripped)
	}
	if drop, _ := e.received(other, now.Add(breakerOpen)); drop {
		t.Error("the breaker stays open")
	}
	for i := range 3 * echoEntries {
		e.sent(&mqtt.Message{Topic: fmt.Sprint(i)}, now)
	}
	if len(e.at) > echoEntries {
		t.Errorf("%d echoes remembered", len(e.at))
	}
}

func TestCameRound(t *testing.T) {
	for user, want := range map[string]bool{"gw-origin=gw": true, "gw-origin=other": false, "gw-hops=3": true, "gw-hops=2": false, "gw-hops=-9": false, "gw=gw/3/17": true, "gw=other/3/17": false, "gw=gw": false, "x=gw": false} {
		name, value, _ := strings.Cut(user, "=")
		m := &mqtt.Message{Props: &mqtt.Properties{User: []mqtt.UserProperty{{Name: name, Value: value}}}}
		if got := cameRound(m, "gw"); got != want {
			t.Errorf("%s: %v", user, got)
		}
	}
}

// FuzzSentAt reads the age of a command out of any payload.
func FuzzSentAt(f *testing.F) {
	f.Add([]byte(`{"value":72.5,"ts":1767225600123}`))
	f.Add([]byte(`{"ts":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"ts":-1e308}`))
	f.Add([]byte(" {"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		c := &command{maxAge: time.Minute}
		now := time.UnixMilli(1767225600000)
		sent, ok := sentAt(payload)
		r := c.check(&mqtt.Message{Payload: payload}, now, true)
		if fresh := !ok || now.Sub(sent).Abs() <= time.Minute; fresh != (r == nil) {
			t.Fatalf("sent at %v (%v), but %+v", sent, ok, r)
		}
	})
}
