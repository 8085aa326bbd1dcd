package modbus

import (
	"context"
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

// ask sends a request to a unit and keeps the books about line and unit.
func (p *poller) ask(ctx context.Context, u *unit, req wire.Request) (wire.Reply, error) {
	req.NoRetry = req.NoRetry || u.suspect()
	started := time.Now()
	reply, err := p.line.Do(ctx, req)
	now := time.Now()
	switch judge(err) {
	case answered:
		p.lineUp()
		p.sched.lastLost = false
		p.d.mu.Lock()
		back := u.answered(now)
		p.d.mu.Unlock()
		if back {
			for _, dev := range u.devices {
				for _, g := range dev.groups {
					g.due = now // a full poll at once
				}
			}
		}
	case silent:
		p.lineUp()
		p.sched.lastLost = true
		p.lost(u, wire.Reason(err), now.Sub(started), now)
	case lineGone:
		p.lineDown(now)
	}
	return reply, err
}

// lost books a request that a unit did not answer.
func (p *poller) lost(u *unit, reason string, took time.Duration, now time.Time) {
	hurry := false
	if p.sched.healthyUnits() {
		hurry = !p.sched.budget.allows(now)
		p.sched.budget.pay(took)
	}
	p.d.mu.Lock()
	gone := u.failed(now, reason, hurry)
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
			g.todo = nil
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
		g.todo, g.due = nil, p.downUntil
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
	if p.down {
		p.setDown(false)
	}
}

func (p *poller) setDown(down bool) {
	p.down = down
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	p.d.lineDown, p.d.lineSince = down, time.Now()
}
