package modbus

import (
	"context"
	"errors"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/drivers"
	"fieldgate/drivers/modbus/wire"
)

const (
	flushAfter    = 50 * time.Millisecond // samples wait no longer for the rest of their poll
	downMin       = 250 * time.Millisecond
	downMax       = 2 * time.Second // the wire has its own back-off; this only paces the asking
	tagDisabled   = 10 * time.Minute
	tagStrikes    = 3
	overrunNotice = 10 * time.Minute
	jobsInARow    = 8 // then a group that is due gets a turn, however many commands wait
)

// poller is one Run of a driver. Its goroutine owns all of it, and the devices,
// groups, blocks and points of the driver.
type poller struct {
	d      *Driver
	line   line
	report func([]drivers.Sample)
	sched  schedule

	out      []drivers.Sample // read, not yet reported
	outSince time.Time
	jobRun   uint64 // marks what a job read, apart from the groups' runs

	down      bool // the line is gone, and the tags say so
	downUntil time.Time
	downPause time.Duration

	missed   map[*device]int // slots since the last notice
	noticeAt time.Time
}

// todo is a block that a run must still read, with its place in the plan.
type todo struct {
	*block
	top int
}

func newPoller(d *Driver, l line, report func([]drivers.Sample)) *poller {
	now := time.Now()
	return &poller{d: d, line: l, report: report, sched: d.startUnits(now), jobRun: 1 << 63, missed: map[*device]int{}}
}

// loop serves jobs first, then groups as they become due.
func (p *poller) loop(ctx context.Context) {
	p.reportDisabled()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	defer p.flush()
	for jobs := 0; ctx.Err() == nil; {
		if jobs < jobsInARow {
			select {
			case j := <-p.d.jobs:
				p.serve(ctx, j)
				jobs++
				continue
			default:
			}
		}
		jobs = 0
		now := time.Now()
		g, wait := (*group)(nil), p.downUntil.Sub(now)
		if wait <= 0 {
			g, wait = p.sched.next(now)
		}
		if g != nil {
			p.turn(ctx, g)
			continue
		}
		p.flush()
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case j := <-p.d.jobs:
			p.serve(ctx, j)
		case <-timer.C:
		}
	}
}

// turn lets a group have one request.
func (p *poller) turn(ctx context.Context, g *group) {
	if g.dev.state.state == stateOffline {
		p.probe(ctx, g)
	} else {
		p.step(ctx, g)
	}
	if len(p.out) > 0 && time.Since(p.outSince) > flushAfter {
		p.flush()
	}
}

func (p *poller) serve(ctx context.Context, j *job) {
	defer close(j.done)
	p.flush() // what was read before a write must not be reported after it
	if j.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if until, ok := j.ctx.Deadline(); ok {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadline(ctx, until)
		defer stop()
	}
	defer context.AfterFunc(j.ctx, cancel)()
	j.do(ctx, p)
	p.flush()
}

func (p *poller) flush() {
	if len(p.out) > 0 {
		p.report(p.out)
		p.out = nil // the receiver may keep it
	}
}

func (p *poller) add(s drivers.Sample) {
	if len(p.out) == 0 {
		p.outSince = time.Now()
	}
	p.out = append(p.out, s)
}

// addBad reports a point as bad.
func (p *poller) addBad(pt *point, reason string) {
	if !pt.hidden {
		p.add(drivers.Sample{Device: pt.tag.Device, Tag: pt.tag.Name, Quality: drivers.Bad, Reason: reason, Time: clock.Now()})
	}
}

func (p *poller) reportDisabled() {
	for _, dev := range p.d.off {
		for _, pt := range dev.points {
			p.addBad(pt, drivers.ReasonDisabled)
		}
	}
	p.flush()
}

// probe asks an offline unit for one short value.
func (p *poller) probe(ctx context.Context, g *group) {
	u := g.dev.state
	first := spanOf(g.blocks[0].items[:1])
	req := first.request(u.id)
	req.NoRetry = true
	_, err := p.ask(ctx, u, req)
	if judge(err) == noVerdict && ctx.Err() == nil {
		p.d.mu.Lock()
		u.nextTry = time.Now().Add(backoffMin) // never sent: do not spin
		p.d.mu.Unlock()
	}
}

// step reads the next block of a group's run, and ends the run after the last.
func (p *poller) step(ctx context.Context, g *group) {
	if len(g.todo) == 0 {
		g.begin()
	}
	now := time.Now()
	going := true
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
		going = p.readBlock(ctx, g, t)
		break
	}
	if going && len(g.todo) == 0 {
		p.finish(g)
	}
}

// begin starts a run. It begins with the block after the one that was lost
// last time, so that one register that a device never answers for does not
// hide all behind it.
func (g *group) begin() {
	g.run++
	g.extra = 0
	for _, i := range g.points {
		g.dev.points[i].reason = ""
	}
	n := len(g.blocks)
	for k := range n {
		top := (g.first + k) % n
		g.todo = append(g.todo, todo{g.blocks[top], top})
	}
	g.first = 0
}

// push puts the halves of a block in front.
func (g *group) push(top int, kids []*block) {
	list := make([]todo, 0, len(kids)+len(g.todo))
	for _, k := range kids {
		list = append(list, todo{k, top})
	}
	g.todo = append(list, g.todo...)
}

// allDisabled reports a block of which nothing is to be read now.
func (dev *device) allDisabled(b *block, now time.Time) bool {
	for _, it := range b.items {
		if !now.Before(dev.points[it.point].disabled) {
			return false
		}
	}
	return true
}

// readBlock reads a block and reports its points. It returns false where the
// run is over without having come to its end: the unit is offline, the line
// gone, the driver ends.
func (p *poller) readBlock(ctx context.Context, g *group, t todo) bool {
	reply, err := p.ask(ctx, g.dev.state, t.request(g.dev.unit))
	var ex *wire.Exception
	switch judge(err) {
	case answered:
		switch {
		case err == nil:
			t.read()
			for _, it := range t.items {
				g.dev.store(&t.span, it, reply.Data, reply.At, g.run)
			}
		case errors.As(err, &ex) && ex.Config():
			if p.split(g, t) {
				return true
			}
			p.refuse(g.dev, t.block, wire.Reason(err))
		default:
			g.dev.mark(t.block, wire.Reason(err))
		}
	case silent:
		g.todo, g.first = nil, (t.top+1)%len(g.blocks)
		if g.dev.state.state == stateOffline {
			return false // every tag says so already
		}
		g.dev.mark(t.block, wire.Reason(err))
	case lineGone:
		return false
	case noVerdict:
		if ctx.Err() != nil {
			return false
		}
		g.dev.mark(t.block, wire.Reason(err))
	}
	p.addBlock(g, t.block)
	return true
}

// mark notes why the points of a block have no value in this run.
func (dev *device) mark(b *block, reason string) {
	for _, it := range b.items {
		dev.points[it.point].reason = reason
	}
}

// addBlock reports the points of a block, except those that need another
// point of the run.
func (p *poller) addBlock(g *group, b *block) {
	now := clock.Now()
	for _, it := range b.items {
		if pt := g.dev.points[it.point]; !pt.hidden && (pt.scale < 0 || pt.reason != "") {
			p.addPoint(g.dev, pt, g.run, now)
		}
	}
}

func (p *poller) addPoint(dev *device, pt *point, run uint64, now clock.Stamp) {
	if s, keep := dev.sample(pt, run, now); keep {
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
		p.d.log.Info("block split: the device refuses to read it whole", "device", g.dev.name, "from", t.addr, "registers", t.count, "at", kids[1].addr)
		if err := g.dev.learn(p.d.opt.Memory, p.d.bus.Name, t.area, kids[1].addr); err != nil {
			p.d.log.Warn("remember a split block", "device", g.dev.name, "error", err)
		}
	}
	if g.extra+len(kids) > splitBudget {
		return true // the halves are read in the next run
	}
	g.extra += len(kids)
	g.push(t.top, kids)
	return true
}

// refuse handles an exception about a single value: after three in separate
// polls it is left alone for a while.
func (p *poller) refuse(dev *device, b *block, reason string) {
	pt := dev.points[b.items[0].point]
	pt.strikes++
	pt.reason = reason
	if pt.strikes < tagStrikes {
		return
	}
	pt.reason = drivers.ReasonConfig
	pt.disabled = time.Now().Add(tagDisabled)
	if pt.strikes == tagStrikes && !pt.hidden {
		text := dev.name + " has no " + pt.reg.Area.String() + " at " + pt.reg.Wire() + " (" + pt.reg.Modicon() + ") for tag " + pt.tag.Name +
			": " + reason + "; if the manual counts from 1, try one address lower"
		p.d.log.Warn(text, "device", dev.name, "code", drivers.CodeTagDisabled)
		p.d.event(drivers.Event{Code: drivers.CodeTagDisabled, Level: "warn", Device: dev.name, Text: text})
	}
}

// finish ends a run: points with a power of ten, the next slot, the counters.
func (p *poller) finish(g *group) {
	now := clock.Now()
	for _, i := range g.points {
		if pt := g.dev.points[i]; !pt.hidden && pt.scale >= 0 && pt.reason == "" && pt.rawRun == g.run {
			p.addPoint(g.dev, pt, g.run, now)
		}
	}
	missed := g.advance(time.Now())
	p.d.note(g.dev, func(s *drivers.DeviceStats) { s.Polls++; s.Overruns += uint64(missed) })
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
