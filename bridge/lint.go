package bridge

import (
	"fmt"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

// validateReach finds routes that no message reaches, because an earlier one
// takes all of theirs: the first route that takes a message sends it.
func (c Config) validateReach(bad conf.Bad) {
	for i, later := range c.Route {
		types, err := parseTypes(later.Types)
		if err != nil {
			continue
		}
		for j, earlier := range c.Route[:i] {
			taken, err := parseTypes(earlier.Types)
			if err != nil || earlier.Where != "" || types&^taken != 0 || !mqtt.Covers(orText(earlier.From, "#"), orText(later.From, "#")) {
				continue
			}
			bad(conf.Problem{Key: fmt.Sprintf("route[%d].from", i), Code: "W0804",
				Text: fmt.Sprintf("no message reaches this route: route %d (from %q) takes them all", j+1, orText(earlier.From, "#")),
				Help: "put the narrower route first", Part: later.From})
			break
		}
	}
}

// validateLoops finds commands that bring back what a route sends up. The
// bridge guards against the circle, but such a map is rarely meant. An upstream
// without routes gets values and status only, which are no commands.
func (c Config) validateLoops(bad conf.Bad) {
	for i, cmd := range c.Command {
		from := fill(cmd.From, "gateway")
		to, err := parsePattern(cmd.To, from)
		if err != nil || mqtt.CheckFilter(from) != nil {
			continue
		}
		for j, r := range c.Route {
			p, err := r.pattern()
			if err != nil || !mqtt.Overlap(from, p.filter(orText(r.From, "#"))) {
				continue
			}
			circle := ""
			if mqtt.Overlap(to.filter(from), orText(r.From, "#")) {
				circle = ", and up again by the same route"
			}
			bad(conf.Problem{Key: fmt.Sprintf("command[%d].from", i), Code: "W0805",
				Text: fmt.Sprintf("what route %d sends to %q comes back down here%s", j+1, p.filter(orText(r.From, "#")), circle),
				Help: "narrow from or to; echoes are dropped, but each costs two messages on the link", Part: cmd.From})
			break
		}
	}
}
