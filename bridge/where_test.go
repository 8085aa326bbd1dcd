package bridge

import (
	"strings"
	"testing"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

func testWall(s clock.Stamp) (time.Time, bool) {
	return time.UnixMilli(1767225600000).Add(time.Duration(s.Nanos)), true
}

func TestWhere(t *testing.T) {
	sample := func(value, quality string) *mqtt.Message {
		return &mqtt.Message{Topic: "acme/b/temp", Kind: mqtt.KindSample, Payload: []byte(`{"value":` + value + `,"extra":7}`),
			Sample: &mqtt.Sample{Device: "b", Tag: "temp", Unit: "°C", Value: value, Quality: quality, Time: clock.Stamp{Nanos: 5e6}}}
	}
	message := func(payload string) *mqtt.Message { return &mqtt.Message{Topic: "x/y", Payload: []byte(payload)} }
	const issue = "value > 80 or quality != 'good'"
	for _, c := range []struct {
		expr string
		m    *mqtt.Message
		want bool
	}{
		{issue, sample("81", "good"), true},
		{issue, sample("80", "good"), false},
		{issue, sample("null", "bad"), true},
		{issue, sample("null", "good"), false},
		{issue, sample(`"running"`, "good"), false},
		{"value in ['running', 'fault']", sample(`"running"`, "good"), true},
		{"value == true", sample("true", "good"), true},
		{"device == 'b' and tag matches '^te' and unit == '°C'", sample("1", "good"), true},
		{"topic startsWith 'acme/'", sample("1", "good"), true},
		{"ts == 1767225600005", sample("1", "good"), true},
		{"type == 'sample'", sample("1", "good"), true},
		{"payload.extra == 7", sample("1", "good"), true},
		{"payload.extra > 3", message(`{"extra":4}`), true},
		{"payload.extra > 3", message(`{"extra":"x"}`), false},
		{"payload.extra > 3", message(`{}`), false},
		{"payload.extra > 3", message(`not json`), false},
		{"value > 20", message(`21.5`), true},
		{"value > 20", message(`{"value":21.5}`), true},
		{"value == 'on'", message(`on`), true},
		{"value >= 'b'", message(`"c"`), true},
		{"value <= -1 and value < 0", message(`-1`), true},
	} {
		w, err := compileWhere(c.expr)
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		got, err := w.match(c.m, testWall)
		if got != c.want || err != nil {
			t.Errorf("%s on %s: %v, %v; want %v", c.expr, c.m.Payload, got, err, c.want)
		}
	}
}

func TestWhereRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"valeu > 80":         "unknown name valeu (column 1)",
		"value > 80 or":      "unexpected token EOF",
		"quality + 'x'":      "bool",
		"quality > 3":        "string and int",
		"device == 3":        "string and int",
		"nosuch(value)":      "unknown name nosuch",
		"payload.a.b.c == 1": "", // fields of a payload are known only at night
	} {
		_, err := compileWhere(text)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: %v, want one line with %q", text, err, want)
		}
	}
}

func TestWhereFails(t *testing.T) {
	w, err := compileWhere("payload.a.b.c == 1")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := w.match(&mqtt.Message{Payload: []byte(`{}`)}, testWall); got || err == nil {
		t.Errorf("a field of nothing: %v, %v; want false and an error", got, err)
	}
	if w, err = compileWhere("value"); err != nil {
		t.Fatal(err)
	}
	if got, err := w.match(&mqtt.Message{Payload: []byte(`1`)}, testWall); got || err == nil {
		t.Errorf("a number for a condition: %v, %v; want false and an error", got, err)
	}
	if got, err := w.match(&mqtt.Message{Payload: []byte(`true`)}, testWall); !got || err != nil {
		t.Errorf("true: %v, %v", got, err)
	}
}

// FuzzWhere looks for a condition or a message that ends the process.
func FuzzWhere(f *testing.F) {
	f.Add("value > 80 or quality != 'good'", `{"value":81}`, "81")
	f.Add("payload.a.b[0] < 1", `{"a":{"b":[0]}}`, "null")
	f.Add("all(payload.x, # > 1)", `{"x":[2,3]}`, `"x"`)
	f.Add("value[1:3] >= topic", "bare", "true")
	f.Fuzz(func(t *testing.T, text, payload, value string) {
		if len(text) > 200 || strings.Contains(text, "repeat") {
			return
		}
		w, err := compileWhere(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("more than a line: %q", err)
			}
			return
		}
		for _, s := range []*mqtt.Sample{nil, {Device: "d", Tag: "t", Value: value}} {
			if ok, err := w.match(&mqtt.Message{Topic: "a", Payload: []byte(payload), Sample: s}, testWall); ok && err != nil {
				t.Fatalf("true and %v", err)
			}
		}
	})
}
