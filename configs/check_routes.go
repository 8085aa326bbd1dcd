package configs

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"fieldgate/bridge"
	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

// checkRoutes finds routes that no message of this gateway can take and
// commands that no tag listens to.
func (l *loader) checkRoutes(list []tagTopic) {
	if l.broken {
		return // the tags may be in the file that could not be read
	}
	l.checkCircles()
	for i, u := range l.file.Upstream {
		for j, r := range u.Route {
			l.checkRoute(at(at("upstream", i)+".route", j), r.From, r.Types, list)
		}
		for j, c := range u.Command {
			l.checkCommand(at(at("upstream", i)+".command", j), c.To, list)
		}
	}
}

// checkRoute: a route for samples only must meet a topic of a tag. Any other
// may be for the clients of the broker, so only what looks like a slip of the
// pen is reported.
func (l *loader) checkRoute(path, from string, types []string, list []tagTopic) {
	if from == "" || mqtt.CheckFilter(from) != nil || len(list) == 0 ||
		slices.ContainsFunc(list, func(t tagTopic) bool { return mqtt.Match(from, t.topic) }) {
		return
	}
	head, _, _ := strings.Cut(from, "/")
	own, _, _ := strings.Cut(list[0].topic, "/")
	samplesOnly := len(types) == 1 && types[0] == "sample"
	slip := head != own && conf.Nearest(head, []string{own}) != ""
	if !samplesOnly && !slip {
		return
	}
	l.bad(path)(conf.Problem{Key: "from", Code: "W0126", Part: from, Text: fmt.Sprintf("no tag is published under %s", from),
		Help: "the topics of this gateway are like " + list[0].topic})
}

// levelPlace is {1}, {2}, … after regexp.QuoteMeta.
var levelPlace = regexp.MustCompile(`\\\{\d+\\\}`)

// checkCommand: what comes down to a set topic should meet a tag with write.
func (l *loader) checkCommand(path, to string, list []tagTopic) {
	to = strings.ReplaceAll(to, "{gateway}", l.file.Gateway.ID)
	if !strings.HasSuffix(to, "/set") || len(list) == 0 {
		return
	}
	pattern := levelPlace.ReplaceAllString(regexp.QuoteMeta(to), "[^/]*")
	pattern = strings.ReplaceAll(pattern, `\{#\}`, ".*")
	match, err := regexp.Compile("^" + pattern + "$")
	if err != nil || strings.Contains(pattern, `\{`) {
		return // the section reports a place it does not know
	}
	readable := false
	for _, t := range list {
		if match.MatchString(t.topic + "/set") {
			if t.write {
				return
			}
			readable = true
		}
	}
	p := conf.Problem{Key: "to", Code: "W0127", Part: to, Text: fmt.Sprintf("no tag takes commands at %s", to),
		Help: "set topics are like " + list[0].topic + "/set"}
	if readable {
		p.Help = "the tags there are read only; write = { … } allows writes to a tag"
	}
	l.bad(path)(p)
}

// checkCircles finds what one upstream sends up and another brings down again
// from the same broker. A circle within one upstream is its own to find; it is
// asked here about the routes of one and the commands of the other.
func (l *loader) checkCircles() {
	for i, down := range l.file.Upstream {
		for j, up := range l.file.Upstream {
			if i == j || brokerOf(up) == "" || brokerOf(up) != brokerOf(down) {
				continue
			}
			both := bridge.Config{URL: up.URL, URLs: up.URLs, Route: up.Route, Command: down.Command}
			both.Validate(func(p conf.Problem) {
				if p.Code == "W0805" {
					p.Text = "upstream " + up.ID() + ": " + p.Text
					l.bad(at("upstream", i))(p)
				}
			})
		}
	}
}

// brokerOf is the host and port of an upstream's first address.
func brokerOf(u bridge.Config) string {
	for _, text := range append([]string{u.URL}, u.URLs...) {
		if address, err := url.Parse(text); err == nil && address.Host != "" {
			return address.Host
		}
	}
	return ""
}
