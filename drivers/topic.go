package drivers

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// placeNames are the names that every topic template may use.
func placeNames(g Gateway) map[string]string {
	return map[string]string{
		"gateway": g.ID, "enterprise": g.Place.Enterprise, "site": g.Place.Site,
		"area": g.Place.Area, "line": g.Place.Line,
	}
}

// expand fills a topic template. A level that turns out empty is dropped with
// its slash.
func expand(template string, names map[string]string) (string, error) {
	var levels []string
	for level := range strings.SplitSeq(template, "/") {
		var out strings.Builder
		for rest := level; rest != ""; {
			head, tail, open := strings.Cut(rest, "{")
			out.WriteString(head)
			if !open {
				break
			}
			name, after, closed := strings.Cut(tail, "}")
			if !closed {
				return "", fmt.Errorf("%q: { without }", template)
			}
			value, known := names[name]
			if !known {
				return "", fmt.Errorf("%q: unknown name {%s}; known are {%s}", template, name, strings.Join(slices.Sorted(maps.Keys(names)), "} {"))
			}
			out.WriteString(value)
			rest = after
		}
		if out.Len() > 0 {
			levels = append(levels, out.String())
		}
	}
	return strings.Join(levels, "/"), nil
}

// BaseTopic is the topic under which a gateway's own messages live.
func (p Publish) BaseTopic(g Gateway) (string, error) {
	template := p.Base
	if template == "" {
		template = DefaultBase
	}
	return expand(template, placeNames(g))
}

// TagTopic is the topic of a tag.
func (p Publish) TagTopic(g Gateway, device, tag string) (string, error) {
	names := placeNames(g)
	names["device"], names["tag"] = device, tag
	return expand(p.topicTemplate(g), names)
}

// topicTemplate is the template in force.
func (p Publish) topicTemplate(g Gateway) string {
	switch {
	case p.Topic != "" && p.Topic != DefaultTopic:
		return p.Topic
	case g.Place == Place{}: // also where the default was written out
		return noPlaceTopic
	}
	return DefaultTopic
}

// wholeLevels widens every level that holds a wildcard to the wildcard alone,
// as a filter must have it.
func wholeLevels(filter string) string {
	levels := strings.Split(filter, "/")
	for i, l := range levels {
		if strings.Contains(l, "+") {
			levels[i] = "+"
		}
	}
	return strings.Join(levels, "/")
}
