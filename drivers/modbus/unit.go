package modbus

import (
	"math/rand/v2"
	"time"

	"fieldgate/buffer/clock"
)

// The states of a unit.
const (
	stateUnknown  = "unknown" // never asked, or never answered yet
	stateOnline   = "online"
	stateDegraded = "degraded" // the last request failed
	stateOffline  = "offline"
	stateDisabled = "disabled"
)

const (
	// A unit that answered before is not called offline in less time, however
	// quickly its time-outs follow each other: a short disturbance is no outage.
	offlineLeast  = 3 * time.Second
	backoffMin    = time.Second
	backoffJitter = 0.1
)

// unit is what is known of a Modbus unit on the bus. Any answer, an exception
// too, is a sign of life.
//
//	unknown ──answer──▶ online ◀──answer── degraded, offline
//	   │                   └──failure──▶ degraded ──`after` in a row, over 3 s──▶ offline
//	   └── the same, or one failure where the line has no time to lose ──▶ offline
//
// While offline it is asked for one short value, after 1, 2, 4 … backoff_max.
type unit struct {
	id         byte
	devices    []*device
	after      int
	backoffMax time.Duration

	state    string
	everOK   bool
	failures int       // in a row
	silent   time.Time // since when: the first of them was sent
	backoff  time.Duration
	nextTry  time.Time
	since    time.Time
	lastOK   clock.Stamp
	reason   string

	signs   int           // of life: everything that it answered
	flying  int           // requests under way
	turn    time.Duration // how long it thinks, lately; 0: not known yet
	answers int           // turn comes from
}

// suspect reports a unit on which a request may well be lost.
func (u *unit) suspect() bool { return u.failures > 0 || !u.everOK }

// answered notes a sign of life; back says that it had been offline.
func (u *unit) answered(now time.Time) (back bool) {
	back = u.state == stateOffline
	u.signs++
	u.everOK, u.failures, u.backoff, u.nextTry = true, 0, 0, time.Time{}
	u.enter(stateOnline, now)
	u.lastOK, u.reason = clock.Now(), ""
	return back
}

// failed notes a request that was lost in so much time; gone says that the unit
// has just gone offline.
func (u *unit) failed(now time.Time, took time.Duration, reason string, hurry bool) (gone bool) {
	if u.failures == 0 {
		u.silent = now.Add(-took)
	}
	u.failures++
	u.reason = reason
	if u.state == stateOffline {
		u.backoff = min(2*u.backoff, u.backoffMax)
		u.nextTry = now.Add(spread(u.backoff))
		return false
	}
	if (u.failures < u.after || now.Sub(u.silent) < offlineLeast) && (u.everOK || !hurry) {
		if u.everOK {
			u.enter(stateDegraded, now)
		}
		return false
	}
	u.enter(stateOffline, now)
	u.backoff = backoffMin
	u.nextTry = now.Add(spread(u.backoff))
	return true
}

func (u *unit) enter(state string, now time.Time) {
	if u.state != state {
		u.state, u.since = state, now
	}
}

// spread is d ± 10 %, so that units that died together are not asked together.
func spread(d time.Duration) time.Duration {
	return d + time.Duration(float64(d)*backoffJitter*(2*rand.Float64()-1))
}

// lossBudget bounds the line time that silent units may cost their neighbours.
// It fills with time and pays for every wait that ended without an answer.
type lossBudget struct {
	left, burst time.Duration
	at          time.Time
}

// lossShare is below the promised 10 % so that what is lost, divided by what
// remains, stays below them too.
const lossShare = 0.08

func newLossBudget(timeout time.Duration, now time.Time) lossBudget {
	burst := max(3*time.Second, 6*timeout)
	return lossBudget{left: burst, burst: burst, at: now}
}

func (b *lossBudget) fill(now time.Time) {
	b.left = min(b.burst, b.left+time.Duration(lossShare*float64(now.Sub(b.at))))
	b.at = now
}

// allows reports whether something may be lost now.
func (b *lossBudget) allows(now time.Time) bool {
	b.fill(now)
	return b.left > 0
}

func (b *lossBudget) pay(d time.Duration) { b.left -= d }

// wait is how long it takes until allows.
func (b *lossBudget) wait() time.Duration {
	return max(0, time.Duration(float64(-b.left)/lossShare)+time.Millisecond)
}
