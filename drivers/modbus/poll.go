package modbus

import (
	"context"
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
//
// It sends requests one by one, or several at a time where the device allows
// that (see stream); either way in its own goroutine.
type poller struct {
	d      *Driver
	line   line
	report func([]drivers.Sample)
	sched  schedule

	streamer streamer // nil: one request at a time
	own      flight   // the only one then

	urgent *job // the next writing command
	polite *job // the next reading one
	row    int  // urgent ones served while a group was due

	out      []drivers.Sample // read, not yet reported
	outSince time.Time

	down      bool // the line is gone, and the tags say so
	downUntil time.Time
	downPause time.Duration

	missed   map[*device]int // slots since the last notice
	noticeAt time.Time

	told    map[string]bool // hints, without their numbers
	hintsAt time.Time       // when they were looked at last
}

func newPoller(d *Driver, l line, report func([]drivers.Sample)) *poller {
	p := &poller{d: d, line: l, report: report, sched: d.startUnits(time.Now()), missed: map[*device]int{}, told: map[string]bool{}, hintsAt: time.Now()}
	if d.width() > 1 {
		p.streamer, _ = l.(streamer)
	}
	return p
}

// width is how many requests may be under way at once.
func (d *Driver) width() int {
	if !d.bus.transactions() {
		return 1 // nothing in an RTU frame tells which request it answers
	}
	return max(1, d.bus.MaxInFlight)
}

// loop serves commands and groups until ctx ends.
func (p *poller) loop(ctx context.Context) {
	p.reportDisabled()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	defer p.flush()
	for ctx.Err() == nil {
		p.tellHints(time.Now())
		p.fetchJobs()
		g, wait := p.next()
		if place := p.nextJob(g != nil); place != nil {
			p.serve(ctx, place)
			continue
		}
		if g != nil {
			p.turn(ctx, g)
			continue
		}
		p.flush()
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case p.urgent = <-orNil(p.d.jobs, p.urgent):
		case p.polite = <-orNil(p.d.reads, p.polite):
		case <-timer.C:
		}
	}
}

// next is the group that is due, nil where none is or the line is down.
func (p *poller) next() (*group, time.Duration) {
	now := time.Now()
	if wait := p.downUntil.Sub(now); wait > 0 {
		return nil, wait
	}
	return p.sched.next(now)
}

// turn lets a group have a request, and others beside it where the device
// allows that.
func (p *poller) turn(ctx context.Context, g *group) {
	p.row = 0
	if p.streamer != nil {
		p.stream(ctx)
	} else if f := p.ready(g); f != nil {
		f.do(ctx, p.line)
		p.land(ctx, f)
	}
	p.flushLate()
}

// ready is the next request of a group; nil where its run is over without one.
func (p *poller) ready(g *group) *flight {
	var f *flight
	if g.dev.state.state == stateOffline {
		f = p.probe(g)
	} else {
		f = p.step(g)
	}
	if f != nil {
		p.launch(f)
	}
	return f
}

// flushLate reports what has waited long enough for the rest of its poll.
func (p *poller) flushLate() {
	if len(p.out) > 0 && time.Since(p.outSince) > flushAfter {
		p.flush()
	}
}

func (p *poller) flush() {
	if len(p.out) > 0 {
		p.report(p.out)
		clear(p.out)
		p.out = p.out[:0]
	}
}

// room prepares for n samples, so that they cost one allocation in all.
func (p *poller) room(n int) {
	if cap(p.out) < n && len(p.out) == 0 {
		p.out = make([]drivers.Sample, 0, n)
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
func (p *poller) probe(g *group) *flight {
	first := spanOf(g.blocks[0].items[:1])
	req := first.request(g.dev.unit)
	req.NoRetry = true
	f := p.newFlight()
	f.g, f.req, f.probe = g, req, true
	return f
}

// probed looks at a probe's outcome.
func (p *poller) probed(ctx context.Context, f *flight) {
	if judge(f.err) == noVerdict && ctx.Err() == nil {
		p.d.mu.Lock()
		f.g.dev.state.nextTry = time.Now().Add(backoffMin) // never sent: do not spin
		p.d.mu.Unlock()
	}
}

// ask sends a request of a command and keeps the books. Nothing else is under way.
func (p *poller) ask(ctx context.Context, u *unit, req wire.Request) (wire.Reply, error) {
	req.NoRetry = req.NoRetry || u.suspect()
	f := &flight{unit: u, req: req}
	f.do(ctx, p.line)
	p.book(f)
	return f.reply, f.err
}
