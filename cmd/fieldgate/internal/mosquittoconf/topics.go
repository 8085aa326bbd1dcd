package mosquittoconf

import (
	"fmt"
	"strings"

	"fieldgate/mqtt"
)

// topicLine is topic pattern [[[ out | in | both ] qos] local-prefix remote-prefix].
type topicLine struct {
	pattern, direction, qos, local, remote string
}

func parseTopic(value string) (topicLine, error) {
	f := fields(value)
	t := topicLine{direction: "out", qos: "0"}
	if len(f) == 0 || len(f) > 5 {
		return t, fmt.Errorf("a topic has a pattern, a direction, a QoS and two prefixes")
	}
	for i, to := range []*string{&t.pattern, &t.direction, &t.qos, &t.local, &t.remote}[:len(f)] {
		*to = f[i]
	}
	switch {
	case t.direction != "out" && t.direction != "in" && t.direction != "both":
		return t, fmt.Errorf("unknown direction %q", t.direction)
	case t.qos != "0" && t.qos != "1" && t.qos != "2":
		return t, fmt.Errorf("unknown QoS %q", t.qos)
	case t.pattern == "" && (t.local == "" || t.remote == ""):
		return t, fmt.Errorf("an empty pattern needs both prefixes")
	case strings.ContainsAny(t.pattern+t.local+t.remote, "{}"):
		return t, fmt.Errorf("a topic with { or } cannot be written in a template")
	}
	return t, nil
}

// template is a topic for what a filter takes: {1} for the first +, {#} for #.
func (t topicLine) template(prefix string) string {
	levels := strings.Split(t.pattern, "/")
	n := 0
	for i, l := range levels {
		switch l {
		case "+":
			n++
			levels[i] = fmt.Sprintf("{%d}", n)
		case "#":
			levels[i] = "{#}"
		}
	}
	return prefix + strings.Join(levels, "/")
}

func (b *bridge) topics(w *writer) {
	var sent []string
	for _, o := range b.Options {
		if o.Key != "topic" {
			continue
		}
		t, err := parseTopic(o.Value)
		if err != nil {
			b.refuse(fmt.Sprintf("bridge %s, line %d: topic %s: %v", b.Name, o.Line, o.Value, err))
			b.note(w, o, "REFUSED: "+err.Error())
			continue
		}
		w.line("# line %d: topic %s", o.Line, o.Value)
		if t.direction != "in" {
			b.route(w, t, sent)
			sent = append(sent, t.local+t.pattern)
		}
		if t.direction != "out" {
			b.command(w, t)
		}
	}
}

func (b *bridge) route(w *writer, t topicLine, sent []string) {
	for _, other := range sent {
		if mqtt.Overlap(other, t.local+t.pattern) {
			b.res.Notes++
			w.line("# Messages that %q takes as well go by that route only: the first that takes a message sends it.", other)
		}
	}
	w.line("[[upstream.route]]")
	w.line("from = %s", quote(t.local+t.pattern))
	w.line("to = %s", quote(t.template(t.remote)))
	w.line("qos = %s", t.qos)
	if !b.isTrue("bridge_outgoing_retain", true) {
		w.line(`retain = "strip"`)
	}
}

// command is the way down. Retained messages stay up there, which mosquitto
// would bring.
func (b *bridge) command(w *writer, t topicLine) {
	w.line("[[upstream.command]] # retained messages do not come down: they would be carried out at every start")
	w.line("from = %s", quote(t.remote+t.pattern))
	w.line("to = %s", quote(t.template(t.local)))
	w.line("qos = %s", t.qos)
}
