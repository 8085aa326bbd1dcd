package modbus

import (
	"context"
	"errors"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/drivers"
	"fieldgate/drivers/modbus/wire"
)

// step is the request for the next block of a group's run, which it begins
// where needed, and ends, with nil, where nothing is left to ask for.
func (p *poller) step(g *group) *flight {
	now := time.Now()
	if !g.running() {
		g.begin(now)
		p.room(len(g.points))
	}
	for len(g.todo) > 0 {
		t := g.todo[0]
		g.todo = g.todo[1:]
		if t.split {
			g.push(t.top, t.kids)
			continue
		}
		if g.dev.allDisabled(t.block, now) {
			continue
		}
		f := p.newFlight()
		f.g, f.t, f.req = g, t, t.request(g.dev.unit)
		p.counted(f)
		return f
	}
	p.endRun(g)
	return nil
}

// allDisabled reports a block of which nothing is to be read now.
func (dev *device) allDisabled(b *block, now time.Time) bool {
	for _, it := range b.items {
		for _, i := range it.points {
			if !now.Before(dev.points[i].disabled) {
				return false
			}
		}
	}
	return true
}

// took looks at what a block's request has brought, and reports its points.
func (p *poller) took(ctx context.Context, f *flight) {
	g, t, err := f.g, f.t, f.err
	var ex *wire.Exception
	switch judge(err) {
	case answered:
		switch {
		case err == nil:
			t.read()
			for _, it := range t.items {
				g.dev.store(g.dev.got, &t.span, it, f.reply.Data, f.reply.At, g.run)
			}
		case errors.As(err, &ex) && ex.Config():
			if p.split(g, t) {
				return
			}
			p.refuse(g.dev, t.block, wire.Reason(err))
		default:
			g.dev.mark(t.block, wire.Reason(err))
		}
	case silent:
		// A unit that is silent once is mostly silent twice: the run is over, and
		// the next one begins behind this block.
		g.todo, g.first = nil, (t.top+1)%len(g.blocks)
		if errors.Is(err, wire.ErrTimeout) && t.silent(f.unit.signs) {
			p.split(g, t)
			g.todo = nil // its halves are read in the next run
		}
		if g.dev.state.state == stateOffline {
			g.broken = true
			return // every tag says so already
		}
		g.dev.mark(t.block, wire.Reason(err))
	case lineGone:
		return
	case noVerdict:
		if ctx.Err() != nil {
			g.abort()
			return
		}
		g.dev.mark(t.block, wire.Reason(err))
	}
	p.addBlock(g, t.block)
}

// mark notes why the points of a block have no value in this run.
func (dev *device) mark(b *block, reason string) {
	for _, it := range b.items {
		for _, i := range it.points {
			dev.got[i].reason = reason
		}
	}
}

// addBlock reports the points of a block, except those that need another
// point of the run.
func (p *poller) addBlock(g *group, b *block) {
	now := clock.Now()
	for _, it := range b.items {
		for _, i := range it.points {
			if pt := g.dev.points[i]; !pt.hidden && (pt.scale < 0 || g.dev.got[i].reason != "") {
				p.addPoint(g.dev, i, g.run, now)
			}
		}
	}
}

func (p *poller) addPoint(dev *device, i int, run uint64, now clock.Stamp) {
	if s, keep := dev.sample(dev.got, i, run, now); keep {
		p.add(s)
	}
}

// split takes a refused block apart; false where it holds one value only.
func (p *poller) split(g *group, t todo) bool {
	kids, forGood, ok := t.refused()
	if !ok {
		return false
	}
	if forGood {
		p.d.log.Info("block split: the device does not give it whole", "device", g.dev.name, "from", t.addr, "registers", t.count, "at", kids[1].addr)
		if err := g.dev.learn(p.d.opt.Memory, p.d.bus.Name, t.area, kids[1].addr); err != nil {
			p.d.log.Warn("remember a split block", "device", g.dev.name, "error", err)
		}
	}
	if g.broken {
		return true
	}
	if g.extra+len(kids) > splitBudget {
		return true // the halves are read in the next run
	}
	g.extra += len(kids)
	g.push(t.top, kids)
	return true
}

// refuse handles an exception about what cannot be split: after three in
// separate polls it is left alone for a while.
func (p *poller) refuse(dev *device, b *block, reason string) {
	for _, i := range b.items[0].points {
		pt := dev.points[i]
		pt.strikes++
		dev.got[i].reason = reason
		if pt.strikes < tagStrikes {
			continue
		}
		dev.got[i].reason = drivers.ReasonConfig
		pt.disabled = time.Now().Add(tagDisabled)
		if pt.strikes == tagStrikes && !pt.hidden {
			text := dev.name + " has no " + pt.reg.Area.String() + " at " + pt.reg.Wire() + " (" + pt.reg.Modicon() + ") for tag " + pt.tag.Name +
				": " + reason + "; if the manual counts from 1, try one address lower"
			p.d.log.Warn(text, "device", dev.name, "code", drivers.CodeTagDisabled)
			p.d.event(drivers.Event{Code: drivers.CodeTagDisabled, Level: "warn", Device: dev.name, Text: text})
		}
	}
}

// endRun ends a run that has nothing more to ask for and nothing under way:
// points with a power of ten, the next slot, the counters.
func (p *poller) endRun(g *group) {
	if g.running() || g.broken {
		return
	}
	now := clock.Now()
	for _, i := range g.points {
		if pt, got := g.dev.points[i], &g.dev.got[i]; !pt.hidden && pt.scale >= 0 && got.reason == "" && got.run == g.run {
			p.addPoint(g.dev, i, g.run, now)
		}
	}
	missed := g.advance(time.Now())
	p.d.mu.Lock()
	st := p.d.stats[g.dev.name]
	st.Polls++
	st.Overruns += uint64(missed)
	g.dev.delays.add(g.delay)
	p.d.mu.Unlock()
	p.flush()
	if missed > 0 {
		p.noticeOverrun(g.dev, missed)
	}
}

// noticeOverrun warns at most every ten minutes.
func (p *poller) noticeOverrun(dev *device, missed int) {
	p.missed[dev] += missed
	if p.missed[dev] < 10 || time.Since(p.noticeAt) < overrunNotice && !p.noticeAt.IsZero() {
		return
	}
	p.noticeAt = time.Now()
	text := "polls of " + dev.name + " do not fit into their interval: the line is too slow for them; see `fieldgate plan`"
	p.d.log.Warn(text, "device", dev.name, "missed", p.missed[dev], "code", drivers.CodeOverrun)
	p.d.event(drivers.Event{Code: drivers.CodeOverrun, Level: "warn", Device: dev.name, Text: text})
	p.missed[dev] = 0
}
