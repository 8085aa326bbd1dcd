package wire

import "time"

// Some units, or the adapter in front of them, miss the request that comes
// right after one to another unit, and answer its repeat. The pause that cures
// this is found by trying: 5 ms, doubled while most such requests are missed.
const (
	switchLeast = 5 * time.Millisecond
	switchMost  = 100 * time.Millisecond
)

// switchJudge looks at a unit's requests that come first after a change of
// unit. That one is lost says little; that the next, without a change, is
// answered tells it from a unit that is silent altogether.
type switchJudge struct {
	first, lost, cured int
	waits              bool // for what follows a loss
}

// saw notes an exchange. After every tenth change it says whether most of them
// were missed, and begins anew.
func (j *switchJudge) saw(fresh, answered bool) (misses bool) {
	if j.waits && !fresh && answered {
		j.cured++
	}
	misses = j.first >= enough && j.lost*2 > j.first && j.cured*2 > j.lost
	if j.first >= enough && !(fresh && !answered) {
		*j = switchJudge{}
	}
	j.waits = fresh && !answered
	if fresh {
		j.first++
		if !answered {
			j.lost++
		}
	}
	return misses
}

// changed notes what became of a request, and lengthens the pause between
// units where that seems to be what they need. The caller holds c.mu.
func (c *counters) changed(u *unitCounters, fresh, answered bool) {
	if !u.judge.saw(fresh, answered) {
		return
	}
	u.misses = true
	c.switchPause = min(max(2*c.switchPause, switchLeast), switchMost)
	for _, other := range c.units { // what they did so far, they did without it
		other.judge = switchJudge{}
	}
}

// switchPause is the silence before a request to another unit than the last:
// the configured one, or the longer one that was learnt.
func (l *Line) switchPause() time.Duration {
	l.stats.mu.Lock()
	defer l.stats.mu.Unlock()
	return max(l.cfg.UnitSwitchPause, l.stats.switchPause)
}
