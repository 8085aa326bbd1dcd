package bridge

import (
	"fmt"
	"strconv"
	"strings"

	"fieldgate/mqtt"
)

// capture matches a topic against a filter and returns what its wildcards
// stand for: the + levels in order, and the levels under #.
func capture(filter, topic string) (levels []string, rest string, ok bool) {
	if !mqtt.Match(filter, topic) {
		return nil, "", false
	}
	for {
		f, ftail, fmore := strings.Cut(filter, "/")
		if f == "#" {
			return levels, topic, true
		}
		t, ttail, tmore := strings.Cut(topic, "/")
		if f == "+" {
			levels = append(levels, t)
		}
		if !fmore || !tmore { // "a/#" matches "a" too: nothing is under #
			return levels, "", true
		}
		filter, topic = ftail, ttail
	}
}

// pattern is a topic with places for what is known only when a message is
// there: {gateway} {topic} {device} {tag} {1} {2} … {#}.
type pattern struct{ parts []part }

type part struct {
	text string // literal, if name is empty
	name string
	n    int // of {1}, {2}, …; else 0
}

// parsePattern reads a pattern for messages that a filter takes. names are
// the words allowed beside {gateway}, {N} and {#}.
func parsePattern(text, filter string, names ...string) (pattern, error) {
	if text == "" {
		return pattern{}, fmt.Errorf("is empty")
	}
	var p pattern
	plus := 0
	for l := range strings.SplitSeq(filter, "/") {
		if l == "+" {
			plus++
		}
	}
	for rest := text; rest != ""; {
		head, tail, ok := strings.Cut(rest, "{")
		if strings.Contains(head, "}") {
			return pattern{}, fmt.Errorf("has a } without a {")
		}
		if strings.ContainsAny(head, "+#\x00") {
			return pattern{}, fmt.Errorf("holds a wildcard; write {1} for what the first + stands for and {#} for the levels under #")
		}
		if head != "" {
			p.parts = append(p.parts, part{text: head})
		}
		if !ok {
			break
		}
		name, tail, ok := strings.Cut(tail, "}")
		if !ok {
			return pattern{}, fmt.Errorf("has a { without a }")
		}
		pt, err := parsePart(name, plus, strings.HasSuffix(filter, "#"), names)
		if err != nil {
			return pattern{}, err
		}
		p.parts = append(p.parts, pt)
		rest = tail
	}
	return p, nil
}

func parsePart(name string, plus int, hash bool, names []string) (part, error) {
	if n, err := strconv.Atoi(name); err == nil {
		if n < 1 || n > plus {
			return part{}, fmt.Errorf("names {%s}, but from has %d + levels", name, plus)
		}
		return part{name: "N", n: n}, nil
	}
	if name == "#" {
		if !hash {
			return part{}, fmt.Errorf("names {#}, but from does not end with #")
		}
		return part{name: name}, nil
	}
	known := append([]string{"gateway"}, names...)
	for _, k := range known {
		if name == k {
			return part{name: name}, nil
		}
	}
	return part{}, fmt.Errorf("names {%s}; known are {%s}, {1} {2} … and {#}", name, strings.Join(known, "} {"))
}

// vars are what the places of a pattern stand for.
type vars struct {
	gateway, topic, device, tag string
	levels                      []string
	rest                        string
}

// expand fills the pattern in. An empty {#} takes the slash before it along.
func (p pattern) expand(v vars) string {
	if len(p.parts) == 1 && p.parts[0].name == "topic" {
		return v.topic
	}
	var b strings.Builder
	for _, pt := range p.parts {
		switch pt.name {
		case "":
			b.WriteString(pt.text)
		case "gateway":
			b.WriteString(v.gateway)
		case "topic":
			b.WriteString(v.topic)
		case "device":
			b.WriteString(v.device)
		case "tag":
			b.WriteString(v.tag)
		case "N":
			if pt.n <= len(v.levels) {
				b.WriteString(v.levels[pt.n-1])
			}
		case "#":
			if v.rest == "" {
				s := strings.TrimSuffix(b.String(), "/")
				b.Reset()
				b.WriteString(s)
			}
			b.WriteString(v.rest)
		}
	}
	return b.String()
}

// uses reports whether the pattern has a place of that name.
func (p pattern) uses(name string) bool {
	for _, pt := range p.parts {
		if pt.name == name {
			return true
		}
	}
	return false
}

// filter is a filter that every topic the pattern can become falls under.
func (p pattern) filter(from string) string {
	var b strings.Builder
	for _, pt := range p.parts {
		switch pt.name {
		case "":
			b.WriteString(pt.text)
		case "topic":
			b.WriteString(from)
		case "#":
			b.WriteString("#")
		default:
			b.WriteString("+")
		}
	}
	levels := strings.Split(b.String(), "/")
	for i, l := range levels {
		if strings.Contains(l, "#") {
			levels[i] = "#"
			return strings.Join(levels[:i+1], "/")
		}
		if strings.Contains(l, "+") {
			levels[i] = "+"
		}
	}
	return strings.Join(levels, "/")
}
