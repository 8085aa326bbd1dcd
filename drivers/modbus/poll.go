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
// With a width of one it sends requests itself. Where a device allows more at
// a time, as many workers send them (see flight); what they bring is looked at
// by the poller alone.
type poller struct {
	d      *Driver
	line   line
	report func([]drivers.Sample)
	sched  schedule

	width   int          // requests that may be under way at once
	flying  int          // that are
	takeoff chan *flight // to the workers; nil where width is one
	landed  chan *flight // back from them

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
}

func newPoller(d *Driver, l line, report func([]drivers.Sample)) *poller {
	return &poller{d: d, line: l, report: report, sched: d.startUnits(time.Now()), width: d.width(), missed: map[*device]int{}}
}

// width is how many requests may be under way at once.
func (d *Driver) width() int {
	if d.bus.modbusTCP() == "" {
		return 1 // nothing in an RTU frame tells which request it answers
	}
	return max(1, d.bus.MaxInFlight)
}

// loop serves commands and groups until ctx ends. Its workers end with it.
func (p *poller) loop(ctx context.Context) {
	defer p.startWorkers(ctx)()
	p.reportDisabled()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	defer p.flush()
	for ctx.Err() == nil {
		p.fetchJobs()
		g, wait := p.next()
		if place := p.nextJob(g != nil); place != nil {
			if p.flying == 0 {
				p.serve(ctx, place)
			} else {
				p.await(ctx) // a command has the line for itself
			}
			continue
		}
		switch {
		case g != nil && p.flying < p.width:
			p.turn(ctx, g)
			continue
		case g == nil && p.flying == 0:
			p.flush()
		}
		if g != nil {
			wait = time.Hour // until one lands
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case p.urgent = <-orNil(p.d.jobs, p.urgent):
		case p.polite = <-orNil(p.d.reads, p.polite):
		case f := <-p.landed:
			p.land(ctx, f)
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

// turn lets a group have one request.
func (p *poller) turn(ctx context.Context, g *group) {
	p.row = 0
	if g.dev.state.state == stateOffline {
		p.probe(ctx, g)
	} else {
		p.step(ctx, g)
	}
	if len(p.out) > 0 && time.Since(p.outSince) > flushAfter {
		p.flush()
	}
}

func (p *poller) flush() {
	if len(p.out) > 0 {
		p.report(p.out)
		p.out = nil // the receiver may keep it
	}
}

// room prepares for n samples, so that they cost one allocation.
func (p *poller) room(n int) {
	if p.out == nil {
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
func (p *poller) probe(ctx context.Context, g *group) {
	first := spanOf(g.blocks[0].items[:1])
	req := first.request(g.dev.unit)
	req.NoRetry = true
	p.launch(ctx, &flight{g: g, req: req, probe: true})
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
