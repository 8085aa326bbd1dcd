package wire

import "slices"

const (
	maxInFlight = 8    // requests under way on one connection
	maxStrikes  = 2    // signs that a device cannot take several, until it is believed
	forgiven    = 1000 // answers in company that outweigh the signs before
	remembered  = 32   // numbers of answered, and of given up requests
)

// window is what is known about several requests under way on one line.
type window struct {
	strikes  int
	good     int // answers since the last strike
	settled  []uint16
	owed     []given
	settledN int
}

// given is a request that was given up: its answer may come late.
type given struct {
	number uint16
	counts *Counts
}

// pipelines reports whether several requests may be under way.
func (l *Line) pipelines() bool {
	c := l.cfg
	if c.Kind != TCP || c.MaxInFlight < 2 || c.IgnoreTID || c.FrameGap+c.Gap+c.UnitSwitchPause > 0 || len(c.UnitGaps) > 0 {
		return false
	}
	return l.stats.narrowed() == ""
}

// answered remembers a number, to know its answer should it come again.
func (w *window) answered(number uint16) {
	if w.good++; w.good >= forgiven {
		w.strikes = 0
	}
	if len(w.settled) < remembered {
		w.settled = append(w.settled, number)
		return
	}
	w.settled[w.settledN%remembered] = number
	w.settledN++
}

// owe remembers a request that was given up.
func (w *window) owe(number uint16, req Request) {
	if len(w.owed) == remembered {
		w.owed = w.owed[1:]
	}
	w.owed = append(w.owed, given{number, req.Counts})
}

// knows reports the number of an earlier request.
func (w *window) knows(number uint16) bool {
	return w.owedAt(number) >= 0 || slices.Contains(w.settled, number)
}

func (w *window) owedAt(number uint16) int {
	return slices.IndexFunc(w.owed, func(g given) bool { return g.number == number })
}

// lateTCP counts an answer that nobody waits for, with its request where that
// is known.
func (l *Line) lateTCP(unit byte, number uint16) {
	l.stats.late(unit, 0, false)
	if i := l.inFlight.owedAt(number); i >= 0 {
		l.inFlight.owed[i].counts.late()
	}
}

// strange counts an answer that nobody waits for, and asks what it means.
func (l *Line) strange(unit byte, number uint16) {
	l.lateTCP(unit, number)
	w := &l.inFlight
	switch i := w.owedAt(number); {
	case i >= 0:
		w.owed = slices.Delete(w.owed, i, i+1)
	case slices.Contains(w.settled, number):
		l.strike("it answers twice")
	default:
		l.strike("its answers have numbers of no request (ignore_tid = true, if they are always the same)")
	}
}

// strike is a sign that the device cannot take several requests at once.
func (l *Line) strike(why string) {
	w := &l.inFlight
	w.good = 0
	if w.strikes++; w.strikes < maxStrikes || l.stats.narrowed() != "" {
		return
	}
	l.stats.narrow(why)
	l.cfg.Log.Warn("requests go one after another from now on", "bus", l.cfg.Name, "target", l.cfg.Target(), "why", why)
}
