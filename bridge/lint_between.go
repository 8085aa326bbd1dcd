package bridge

import (
	"fmt"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

// Lint finds what is wrong between upstreams: two that throw each other out,
// and maps that go round over two of them. Keys are paths from the top.
func Lint(all []Config, bad conf.Bad) {
	for i, a := range all {
		for j, b := range all {
			if i == j || a.Disabled || b.Disabled {
				continue
			}
			broker := sharedBroker(a, b)
			if broker == "" {
				continue
			}
			at := bad.Under(fmt.Sprintf("upstream[%d]", i))
			if j < i && fill(orText(a.ClientID, DefaultClientID), "gateway") == fill(orText(b.ClientID, DefaultClientID), "gateway") {
				at(conf.Problem{Key: "client_id", Code: "W0808",
					Text: fmt.Sprintf("%s logs in to %s with the same client id as %s: they throw each other out", a.ID(), broker, b.ID()),
					Help: fmt.Sprintf("write client_id = %q", "{gateway}-"+a.ID()), Part: a.ClientID})
			}
			lintRound(a, b, broker, at)
		}
	}
}

// sharedBroker is an address that both upstreams know, or empty.
func sharedBroker(a, b Config) string {
	for _, x := range a.urls() {
		for _, y := range b.urls() {
			u, err := parseURL(x)
			v, err2 := parseURL(y)
			if err == nil && err2 == nil && u.Host == v.Host {
				return u.Host
			}
		}
	}
	return ""
}

// lintRound: what a command of a brings down, a route of b sends up again to
// the broker where the command listens. Marks stop the circle only in MQTT 5.
func lintRound(a, b Config, broker string, bad conf.Bad) {
	for i, cmd := range a.Command {
		from := fill(cmd.From, "gateway")
		to, err := parsePattern(cmd.To, from)
		if err != nil || mqtt.CheckFilter(from) != nil {
			continue
		}
		for j, r := range b.routesOrDefault() {
			types, err := parseTypes(r.Types)
			p, err2 := r.pattern()
			local := orText(r.From, "#")
			if err != nil || err2 != nil || types&(1<<mqtt.KindMessage) == 0 || !mqtt.Overlap(to.filter(from), local) || !mqtt.Overlap(p.filter(local), from) {
				continue
			}
			bad(conf.Problem{Key: fmt.Sprintf("command[%d].to", i), Code: "W0809",
				Text: fmt.Sprintf("goes round: what comes down here route %d of %s sends up to %s again", j+1, b.ID(), broker),
				Help: "narrow to, or the route's from", Part: cmd.To})
			break
		}
	}
}
