package modbus

import (
	"time"
)

// overdue is how long a suspect unit may wait behind healthy ones on a line
// that is never idle, before it gets a turn that the loss budget allows.
const overdue = 2 * time.Second

// schedule says which group is served next. It looks at states only and does
// nothing; the driver's goroutine owns it.
//
// Healthy units come first, the earliest deadline (due + poll, at most 10 s) first.
// Suspect ones get what is left, as far as the loss budget goes, and never two
// lost requests in a row while a healthy one waits.
type schedule struct {
	groups   []*group
	units    map[byte]*unit
	budget   lossBudget
	lastLost bool          // the last request was lost
	offset   time.Duration // of the clock on the wall, when aligned polls last looked at it
	aligns   bool          // there are such
}

// healthyUnits reports whether there is anybody to protect.
func (s *schedule) healthyUnits() bool {
	for _, u := range s.units {
		if !u.suspect() {
			return true
		}
	}
	return false
}

// suspectFlying reports a request to a suspect unit that is under way.
func (s *schedule) suspectFlying() bool {
	for _, u := range s.units {
		if u.flying > 0 && u.suspect() {
			return true
		}
	}
	return false
}

// next picks the group to serve, or says how long there is nothing to do.
func (s *schedule) next(now time.Time) (*group, time.Duration) {
	var healthy, suspect *group
	wait := time.Hour
	if s.aligns {
		s.realign(now)
		wait = alignedLook
	}
	later := func(t time.Time) { wait = min(wait, t.Sub(now)) }
	trying := s.suspectFlying()
	for _, g := range s.groups {
		u := g.dev.state
		at := g.due
		if u.suspect() && u.nextTry.After(at) {
			at = u.nextTry
		}
		switch {
		case g.flying > 0 && len(g.todo) == 0, u.suspect() && trying:
			// nothing to ask for until an answer is here; and one try at a time
		case at.After(now):
			later(at)
		case !u.suspect():
			healthy = earlier(healthy, g)
		default:
			suspect = earlierTry(suspect, g)
		}
	}
	if suspect != nil && s.healthyUnits() && !s.budget.allows(now) {
		later(now.Add(s.budget.wait()))
		suspect = nil
	}
	switch {
	case healthy == nil && suspect == nil:
		return nil, max(wait, time.Millisecond)
	case healthy == nil:
		return suspect, 0
	case suspect != nil && !s.lastLost && now.Sub(suspect.tryDue()) > overdue:
		return suspect, 0
	}
	return healthy, 0
}

// patience bounds how long a slow poll stands back behind fast ones: on a line
// that has too much to do it would never be served before its own interval ends.
const patience = 10 * time.Second

func (g *group) deadline() time.Time {
	if every := g.poll.Every(); every > 0 {
		return g.due.Add(min(every, patience))
	}
	return g.due.Add(patience)
}

func earlier(a, b *group) *group {
	if a == nil || b.deadline().Before(a.deadline()) {
		return b
	}
	return a
}

// tryDue is since when a suspect unit's group waits.
func (g *group) tryDue() time.Time {
	if g.dev.state.nextTry.After(g.due) {
		return g.dev.state.nextTry
	}
	return g.due
}

func earlierTry(a, b *group) *group {
	if a == nil || b.tryDue().Before(a.tryDue()) {
		return b
	}
	return a
}

// anyDisturbed reports a poll that is due and was held up by a command's read.
func (s *schedule) anyDisturbed(now time.Time) bool {
	for _, g := range s.groups {
		if g.disturbed && !g.due.After(now) && !g.dev.state.suspect() {
			return true
		}
	}
	return false
}

// disturb notes that a command's read has held up what is due.
func (s *schedule) disturb(now time.Time) {
	for _, g := range s.groups {
		if !g.due.After(now) {
			g.disturbed = true
		}
	}
}
