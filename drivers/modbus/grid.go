package modbus

import (
	"time"

	"fieldgate/buffer/clock"
)

const (
	never       = 100 * 365 * 24 * time.Hour // until a group is due that waits for nothing
	onceLeast   = 5 * time.Second            // until Once is tried again, doubled
	onceMost    = 10 * time.Minute
	clockJump   = time.Second // of the wall clock, after which aligned polls look at it anew
	alignedLook = time.Minute // how often they do at least
)

// start makes the group due for the first time, a share of its interval from
// now, so that not everything begins together.
func (g *group) start(now time.Time, share float64) {
	g.todo, g.flying, g.broken, g.disturbed, g.pause = nil, 0, false, false, 0
	if g.poll == OnDemand {
		g.slot = now.Add(never)
		g.due = g.slot
		return
	}
	first := staggerMost
	if every := g.poll.Every(); every > 0 {
		first = min(every, staggerMost)
	}
	g.slot = now.Add(time.Duration(share * float64(first)))
	g.due = g.slot
	if g.aligned() { // the first poll does not wait for the clock
		g.slot = g.lastMark(now)
	}
}

// again makes the group due at a time apart from its grid, after an outage.
// The slots meanwhile are not missed ones, and later ones stay where they were.
func (g *group) again(at time.Time) {
	every := g.poll.Every()
	switch {
	case g.poll == OnDemand:
		return
	case g.aligned():
		g.slot = g.lastMark(at)
	case every > 0:
		if n := at.Sub(g.slot) / every; n > 0 {
			g.slot = g.slot.Add(n * every)
		}
	}
	g.due, g.disturbed, g.pause = at, false, 0
}

// wanted sees to it that a unit which has gone offline is asked for something,
// even if everything that is read but once had been read.
func (g *group) wanted(now time.Time) {
	if g.poll == Once && g.due.After(now) {
		g.due = now
	}
}

// advance moves a group to its next slot, on a fixed cadence: slots never
// drift. It returns how many slots were missed altogether.
func (g *group) advance(now time.Time) (missed int) {
	g.disturbed = false
	every := g.poll.Every()
	if every == 0 {
		g.due = now.Add(g.rest())
		return 0
	}
	n := max(1, int(now.Sub(g.slot)/every))
	switch {
	case g.aligned():
		least := g.slot.Add(every / 2) // a clock that is being slowed down must not give a slot twice
		if now.After(least) {
			least = now
		}
		g.slot = g.lastMark(least).Add(every)
	default:
		g.slot = g.slot.Add(time.Duration(n) * every)
	}
	g.due = g.slot
	return n - 1
}

// rest is how long a group without an interval is left alone after a run: for
// ever if that brought everything.
func (g *group) rest() time.Duration {
	complete := g.poll == OnDemand
	if g.poll == Once {
		complete = true
		for _, i := range g.points {
			got := &g.dev.got[i]
			complete = complete && got.run == g.run && got.reason == ""
		}
	}
	if complete {
		g.pause = 0
		return never
	}
	g.pause = min(max(2*g.pause, onceLeast), onceMost)
	return g.pause
}

// aligned reports a group whose slots are marks of the clock on the wall.
func (g *group) aligned() bool { return g.zone != nil && g.poll.Every() > 0 }

// lastMark is the last moment, at or before another, at which the clock on the
// wall showed a whole multiple of the interval, counted from midnight.
func (g *group) lastMark(at time.Time) time.Time {
	wall := clock.Wall(clock.At(at)).In(g.zone)
	year, month, day := wall.Date()
	since := wall.Sub(time.Date(year, month, day, 0, 0, 0, 0, g.zone))
	return at.Add(-(since % g.poll.Every()))
}

// wallOffset is what the clock on the wall shows beyond the one that runs
// evenly: it changes when the clock is set.
func wallOffset(now time.Time) time.Duration {
	at := clock.At(now)
	return time.Duration(clock.Wall(at).UnixNano() - at.Nanos)
}

// realign has aligned polls follow a clock that was set.
func (s *schedule) realign(now time.Time) {
	offset := wallOffset(now)
	if (offset - s.offset).Abs() < clockJump {
		return
	}
	s.offset = offset
	for _, g := range s.groups {
		if g.aligned() && g.due.Equal(g.slot) {
			g.slot = g.lastMark(now).Add(g.poll.Every())
			g.due = g.slot
		}
	}
}
