package modbus

import (
	"errors"
	"time"

	"fieldgate/drivers"
	"fieldgate/drivers/modbus/wire"
)

// verdict is what a request's outcome says about line and unit.
type verdict int

const (
	answered  verdict = iota // the unit lives: data, an exception, or an answer that does not fit
	silent                   // nothing usable came: time-out, CRC, a gateway that finds nobody
	lineGone                 // the port or connection is down
	noVerdict                // cancelled, or never sent
)

func judge(err error) verdict {
	var ex *wire.Exception
	var re *wire.ReplyError
	switch {
	case err == nil, errors.As(err, &re):
		return answered
	case errors.As(err, &ex):
		if ex.Gateway() {
			return silent
		}
		return answered
	case errors.Is(err, wire.ErrTimeout), errors.Is(err, wire.ErrCRC):
		return silent
	case errors.Is(err, wire.ErrGone):
		return lineGone
	}
	return noVerdict
}

// book keeps the books about line and unit.
func (p *poller) book(f *flight) {
	u := f.unit
	switch judge(f.err) {
	case answered:
		p.lineUp()
		p.sched.lastLost = false
		p.d.mu.Lock()
		back := u.answered(f.landed)
		p.d.mu.Unlock()
		if f.err == nil {
			p.learnTurn(f)
		}
		if back {
			for _, dev := range u.devices {
				for _, g := range dev.groups {
					g.again(f.landed) // a full poll at once
				}
				p.forgetDemanded(dev)
			}
		}
	case silent:
		p.lineUp()
		p.sched.lastLost = true
		p.lost(u, wire.Reason(f.err), f.landed.Sub(f.started), f.landed)
	case lineGone:
		p.lineDown(f.landed)
	}
}

// learnTurn follows how long the unit thinks.
func (p *poller) learnTurn(f *flight) {
	if f.reply.Took <= 0 || f.req.Function > 4 {
		return
	}
	n := int(f.req.Quantity)
	if f.req.Function <= 2 {
		n = (n + bitsPerGap - 1) / bitsPerGap
	}
	f.unit.turn = ewma(f.unit.turn, p.d.tariff.thought(f.reply.Took, n))
	f.unit.answers++
}

// repriceEvery is how many answers of a unit lie between two looks at whether
// its requests should be cut otherwise.
const repriceEvery = 32

// reprice plans a device's groups anew where the turn-around that was learnt
// makes other holes worth reading. Small changes are not worth the unrest.
func (dev *device) reprice() {
	u := dev.state
	if dev.tariff == nil || u.answers < dev.repriced+repriceEvery {
		return
	}
	dev.repriced = u.answers
	now := dev.tariff.priceOf(dev.cfg, u.turn)
	was, is := dev.limits.price.gap(), now.gap()
	if 4*abs(is-was) <= was || abs(is-was) < 2 {
		return
	}
	for _, g := range dev.groups {
		if g.running() {
			return // another time
		}
	}
	dev.limits.price = now
	for _, g := range dev.groups {
		g.plan()
	}
}

// lost books a request that a unit did not answer.
func (p *poller) lost(u *unit, reason string, took time.Duration, now time.Time) {
	hurry := false
	if p.sched.healthyUnits() {
		hurry = !p.sched.budget.allows(now)
		p.sched.budget.pay(took)
	}
	p.d.mu.Lock()
	gone := u.failed(now, took, reason, hurry)
	for _, dev := range u.devices {
		p.d.stats[dev.name].Failures++
	}
	p.d.mu.Unlock()
	if !gone {
		return
	}
	p.d.log.Warn("unit is offline", "unit", u.id, "reason", reason, "failures", u.failures)
	for _, dev := range u.devices {
		for _, g := range dev.groups {
			g.abort()
			g.wanted(now)
		}
		for _, pt := range dev.points {
			p.addBad(pt, drivers.ReasonOffline)
		}
	}
}

// lineDown tells once that nothing can be read, and waits before the next try.
func (p *poller) lineDown(now time.Time) {
	p.downPause = min(max(2*p.downPause, downMin), downMax)
	p.downUntil = now.Add(p.downPause)
	for _, g := range p.sched.groups {
		g.abort()
		g.again(p.downUntil)
	}
	if p.down {
		return
	}
	p.setDown(true)
	for _, dev := range p.d.devices {
		for _, pt := range dev.points {
			p.addBad(pt, drivers.ReasonPort)
		}
	}
}

func (p *poller) lineUp() {
	p.downPause, p.downUntil = 0, time.Time{}
	if !p.down {
		return
	}
	p.setDown(false)
	for _, dev := range p.d.devices {
		if dev.state.state != stateOffline {
			p.forgetDemanded(dev)
		}
	}
}

// forgetDemanded ends what an outage made of values that are read on demand:
// nobody polls them, so nothing else would.
func (p *poller) forgetDemanded(dev *device) {
	for _, pt := range dev.points {
		if pt.poll == OnDemand {
			p.addBad(pt, drivers.ReasonNotRead)
		}
	}
}

func (p *poller) setDown(down bool) {
	p.down = down
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	p.d.lineDown, p.d.lineSince = down, time.Now()
}
