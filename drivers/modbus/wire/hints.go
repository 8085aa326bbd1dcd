package wire

import (
	"fmt"
	"time"
)

// enough requests for a hint to mean something.
const enough = 10

// hints says in plain words what the counters point at. The caller holds c.mu;
// s is the copy that is being made.
func (c *counters) hints(cfg Config, s Stats) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }

	if c.noise > 0 && c.noise*4 > s.Timeouts+s.CRC {
		say("only 00 and FF bytes arrive: wrong speed or parity, or A and B swapped")
	}
	damaged, asked := c.damagedUnits()
	switch {
	case len(damaged) > 1 && len(damaged) == asked:
		say("CRC errors on every unit: wiring, termination, baud or parity")
	case len(damaged) > 0:
		say("CRC errors only on unit %v: two devices with one address, or a bad connection there?", damaged)
	}
	if s.Requests >= enough && s.OK == 0 && len(s.Exceptions) == 0 && s.BytesIn == 0 && cfg.Kind.serial() {
		say("nothing was ever received: A and B swapped, no power, wrong speed or parity, or wrong unit numbers")
	}
	if c.late_.tooMany() {
		better := max(c.late_.slowest, c.slowest(), cfg.Timeout) * 6 / 5
		say("many answers come late: raise timeout to %s", better.Round(10*time.Millisecond))
	}
	for _, u := range s.Units {
		if u.misses {
			say("unit %d missed the request after a change of unit: %s of pause are kept now; raise unit_switch_pause to that", u.Unit, max(c.switchPause, cfg.UnitSwitchPause))
		}
	}
	for _, u := range s.Units {
		if what := c.units[u.Unit].beyondTheEnd(); what != "" {
			say("unit %d refuses %s and serves what stands before it: if its manual counts from 1, try address - 1", u.Unit, what)
		}
	}
	if s.Latency > 2 && cfg.Baud > 19200 {
		say("the adapter holds bytes back for up to %d ms: set its latency timer to 1", s.Latency)
	}
	if c.alone != "" {
		say("with several requests under way %s: they go one after another now; set max_in_flight to 1", c.alone)
	}
	if s.Misfits > 0 {
		say("%d answers did not fit their requests: another master on the line, or a device off the standard", s.Misfits)
	}
	return out
}

// damagedUnits are those where one request in twenty or more met a bad check sum.
func (c *counters) damagedUnits() (units []int, asked int) {
	for n := range 256 {
		u := c.units[byte(n)]
		if u == nil {
			continue
		}
		asked++
		if all := u.OK + u.Timeouts + u.CRC; u.CRC > 0 && u.CRC*20 >= all {
			units = append(units, n)
		}
	}
	return units, asked
}

func (c *counters) slowest() (d time.Duration) {
	for _, u := range c.units {
		d = max(d, u.Max)
	}
	return d
}

// edge is how far an area of a unit reaches: addresses behind the last register
// that was read, and behind the last one that was refused; 0 for none.
type edge struct{ served, refused int }

func (u *unitCounters) served(req Request) {
	if int(req.Function) < len(u.edges) {
		e := &u.edges[req.Function]
		e.served = max(e.served, int(req.Address)+int(req.Quantity))
	}
}

func (u *unitCounters) refused(req Request, code byte) {
	if code == IllegalAddress && int(req.Function) < len(u.edges) {
		u.edges[req.Function].refused = int(req.Address) + int(req.Quantity)
	}
}

// beyondTheEnd names a register that is refused and comes right behind the
// last one that is not: so it is where a map that counts from 1 was taken for
// one that counts from 0.
func (u *unitCounters) beyondTheEnd() string {
	for function, e := range u.edges {
		if e.served > 0 && e.refused == e.served+1 {
			return fmt.Sprintf("%c%d", " cdhi"[function], e.served)
		}
	}
	return ""
}
