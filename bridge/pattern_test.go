package bridge

import (
	"slices"
	"strings"
	"testing"

	"fieldgate/mqtt"
)

func TestCapture(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		levels        []string
		rest          string
		ok            bool
	}{
		{"#", "a/b", nil, "a/b", true},
		{"a/#", "a", nil, "", true},
		{"a/#", "a/b/c", nil, "b/c", true},
		{"a/+/c/+", "a/b/c/d", []string{"b", "d"}, "", true},
		{"+/+/#", "x/y/z/w", []string{"x", "y"}, "z/w", true},
		{"a/+", "a/", []string{""}, "", true},
		{"a/+", "a/b/c", nil, "", false},
		{"a", "a", nil, "", true},
	} {
		levels, rest, ok := capture(c.filter, c.topic)
		if !slices.Equal(levels, c.levels) || rest != c.rest || ok != c.ok {
			t.Errorf("capture(%q, %q) = %q, %q, %v; want %q, %q, %v", c.filter, c.topic, levels, rest, ok, c.levels, c.rest, c.ok)
		}
	}
}

func TestPattern(t *testing.T) {
	v := vars{gateway: "gw1", topic: "acme/l2/pump/on", device: "pump", tag: "on", levels: []string{"l2", "pump"}, rest: "x/y"}
	for _, c := range []struct{ text, from, want, filter string }{
		{"{topic}", "acme/#", "acme/l2/pump/on", "acme/#"},
		{"factory/{gateway}/{topic}", "acme/#", "factory/gw1/acme/l2/pump/on", "factory/+/acme/#"},
		{"{2}-{1}/up", "acme/+/+/on", "pump-l2/up", "+/up"},
		{"a/{#}", "acme/#", "a/x/y", "a/#"},
		{"{device}/{tag}", "#", "pump/on", "+/+"},
		{"{topic}/raw", "acme/#", "acme/l2/pump/on/raw", "acme/#"},
	} {
		p, err := parsePattern(c.text, c.from, "topic", "device", "tag")
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if got := p.expand(v); got != c.want {
			t.Errorf("%q gives %q, want %q", c.text, got, c.want)
		}
		if got := p.filter(c.from); got != c.filter {
			t.Errorf("%q has the filter %q, want %q", c.text, got, c.filter)
		}
	}
	p, err := parsePattern("a/{#}", "b/#")
	if err != nil {
		t.Fatal(err)
	}
	if got := p.expand(vars{}); got != "a" {
		t.Errorf("nothing under #: %q, want a", got)
	}
}

func TestPatternRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":        "is empty",
		"a/{1}":   "{1}, but from has 0 + levels",
		"a/{#}":   "{#}, but from does not end with #",
		"a/{b}":   "known are {gateway} {topic}, {1} {2} … and {#}",
		"a/{1":    "a { without a }",
		"a}":      "a } without a {",
		"a/+":     "wildcard",
		"{topic}": "", // fine
	} {
		_, err := parsePattern(text, "x/y", "topic")
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: %v, want something with %q", text, err, want)
		}
	}
}

// FuzzPattern checks the relations between a pattern, the topics it makes and
// the filter it claims to stay under.
func FuzzPattern(f *testing.F) {
	f.Add("factory/{gateway}/{topic}", "acme/+/#", "acme/l2/pump/on")
	f.Add("{1}/{#}", "+/#", "a/b/c")
	f.Add("x{1}y", "+", "")
	f.Add("{device}/{tag}", "#", "a")
	f.Fuzz(func(t *testing.T, text, from, topic string) {
		if mqtt.CheckFilter(from) != nil || mqtt.CheckTopic(topic) != nil || !mqtt.Match(from, topic) {
			return
		}
		p, err := parsePattern(text, from, "topic", "device", "tag")
		if err != nil {
			return
		}
		levels, rest, ok := capture(from, topic)
		if !ok {
			t.Fatalf("%q matches %q, but nothing is captured", from, topic)
		}
		out := p.expand(vars{gateway: "gw", topic: topic, device: "d", tag: "t", levels: levels, rest: rest})
		if mqtt.CheckTopic(out) == nil && !mqtt.Match(p.filter(from), out) && out[0] != '$' {
			t.Fatalf("%q made %q of %q, which is not under %q", text, out, topic, p.filter(from))
		}
		if !mqtt.Overlap(from, topic) || !mqtt.Covers(from, topic) && !strings.ContainsAny(topic, "+#") {
			t.Fatalf("%q matches %q, but does not overlap or cover it", from, topic)
		}
	})
}
