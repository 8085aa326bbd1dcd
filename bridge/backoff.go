package bridge

import (
	"math/rand/v2"
	"time"
)

// Pauses that do not come from the file.
const (
	slowPause   = 5 * time.Minute  // after a login that was refused: trying harder locks accounts
	takenPause  = 30 * time.Second // after another client with our id threw us out
	stableAfter = 30 * time.Second // a connection that held so long starts the back-off anew
)

// pace says how fast to come back after a failure.
type pace int

const (
	normalPace pace = iota
	slowPace        // a person has to change something
	busyPace        // the upstream asked for less: four times the pause
	takenPace       // two clients fight for one id
	sharedPace      // the upstream ended a connection that had held: all its clients come back at once
)

// backoff computes the pauses between attempts: decorrelated jitter, so that
// gateways that lost one upstream together do not come back together. Its
// owner locks.
type backoff struct {
	min, max time.Duration
	jitter   float64        // 0: none, the pause doubles; 1: anything from min to three times the last
	spreads  time.Duration  // the random start after a common outage
	rand     func() float64 // [0, 1)
	last     time.Duration
}

func newBackoff(least, most time.Duration, jitter float64, spread time.Duration) *backoff {
	return &backoff{min: least, max: max(least, most), jitter: jitter, spreads: spread, rand: rand.Float64}
}

// next is the pause before the next attempt.
func (b *backoff) next(p pace) time.Duration {
	switch p {
	case slowPace:
		return b.spread(max(slowPause, b.max))
	case takenPace:
		return b.spread(max(takenPause, b.step()))
	case sharedPace:
		return b.step() + time.Duration(b.rand()*float64(b.spreads))
	case busyPace:
		return min(4*b.step(), max(4*b.max, b.max))
	}
	return b.step()
}

// step moves on. The first pause is anything up to min.
func (b *backoff) step() time.Duration {
	if b.last == 0 {
		b.last = b.min
		return b.spread(b.min)
	}
	doubled := float64(2 * b.last)
	random := float64(b.min) + b.rand()*float64(3*b.last-b.min)
	d := time.Duration((1-b.jitter)*doubled + b.jitter*random)
	b.last = max(b.min, min(b.max, d))
	if b.last == b.max {
		return b.spread(b.max) // at the limit all would meet again
	}
	return b.last
}

// spread is d shortened by up to the jitter.
func (b *backoff) spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 - b.jitter*b.rand()))
}

// reset starts anew, after a connection that held.
func (b *backoff) reset() { b.last = 0 }
