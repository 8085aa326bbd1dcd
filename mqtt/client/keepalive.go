package client

import (
	"math"
	"time"
)

// keepAlive decides when to ping and when the peer is dead. It is plain data:
// the writer tells it what happens, and asks.
//
// A ping is due when we have sent nothing for nearly the keep-alive interval
// [MQTT-3.1.2-20], and also when nothing has come for as long: a client that
// only publishes with QoS 0 would else never learn that nobody listens.
type keepAlive struct {
	interval, answer time.Duration // answer: how long the peer may take
	lastSent         time.Time
	lastHeard        time.Time
	pingSent         time.Time // zero: no ping waits for its answer
	probe            probe
}

type pingAction int

const (
	pingNothing pingAction = iota
	pingSend
	pingDead
)

// The time that the peer has for an answer: half the interval, within these.
const (
	minAnswer = 5 * time.Second
	maxAnswer = 30 * time.Second
)

// newKeepAlive takes the interval that was agreed on, and who may shorten it
// (nil: nobody).
func newKeepAlive(interval time.Duration, pulse Pulse, now time.Time) keepAlive {
	return keepAlive{
		interval: interval - min(interval/10, 5*time.Second),
		answer:   min(max(interval/2, minAnswer), maxAnswer),
		lastSent: now, lastHeard: now, probe: probe{pulse: pulse},
	}
}

// sent notes that something went out.
func (k *keepAlive) sent(now time.Time) {
	last := k.lastSent
	if k.lastHeard.After(last) {
		last = k.lastHeard
	}
	k.probe.broke(now.Sub(last), now)
	k.lastSent = now
}

func (k *keepAlive) pinged(now time.Time) {
	k.sent(now)
	k.pingSent = now
}

// every is the silence after which a ping is due.
func (k *keepAlive) every() time.Duration {
	if k.probe.pulse == nil {
		return k.interval
	}
	return min(k.interval, max(k.probe.pulse.Interval(), time.Second))
}

// heard notes when something last came; anything after the ping will do.
func (k *keepAlive) heard(at time.Time) {
	k.lastHeard = at
	k.probe.heard(at)
	if !at.Before(k.pingSent) {
		k.pingSent = time.Time{}
	}
}

// excused notes that nothing can be heard for a reason of our own.
func (k *keepAlive) excused(now time.Time) {
	k.lastHeard, k.pingSent, k.probe.at = now, time.Time{}, time.Time{}
}

func (k *keepAlive) due(now time.Time) pingAction {
	switch {
	case k.interval == 0:
		return pingNothing
	case !k.pingSent.IsZero() && now.Sub(k.pingSent) >= k.answer:
		return pingDead
	case k.pingSent.IsZero() && !now.Before(k.next()):
		return pingSend
	}
	return pingNothing
}

func (k *keepAlive) next() time.Time {
	if k.lastHeard.Before(k.lastSent) {
		return k.lastHeard.Add(k.every())
	}
	return k.lastSent.Add(k.every())
}

// wait is how long from now there is nothing to do.
func (k *keepAlive) wait(now time.Time) time.Duration {
	if k.interval == 0 {
		return math.MaxInt64
	}
	at := k.next()
	if !k.pingSent.IsZero() {
		at = k.pingSent.Add(k.answer)
	}
	return max(at.Sub(now), time.Millisecond)
}
