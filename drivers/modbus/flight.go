package modbus

import (
	"context"
	"time"

	"fieldgate/drivers/modbus/wire"
)

// flight is a request under way: a block of a run, a probe, or a command's.
type flight struct {
	g     *group // nil: a command's
	t     todo   // of a run
	probe bool
	unit  *unit
	req   wire.Request

	started time.Time
	landed  time.Time
	reply   wire.Reply
	err     error
}

// do sends the request and waits for its answer.
func (f *flight) do(ctx context.Context, l line) {
	f.started = time.Now() // a command's is not launched
	f.reply, f.err = l.Do(ctx, f.req)
	f.landed = time.Now()
}

// newFlight is an empty flight; where only one can be under way, always the same.
func (p *poller) newFlight() *flight {
	if p.streamer != nil {
		return &flight{}
	}
	p.own = flight{}
	return &p.own
}

// launch notes that a request is under way from now on.
func (p *poller) launch(f *flight) {
	f.unit = f.g.dev.state
	f.req.NoRetry = f.req.NoRetry || f.unit.suspect()
	f.g.flying++
	f.unit.flying++
	f.started = time.Now()
}

// streamer is a line that can keep several requests under way.
type streamer interface {
	Stream(ctx context.Context, next func() (wire.Request, bool), done func(n int, reply wire.Reply, err error))
}

// stream sends what is due with several requests under way, until nothing is
// due or a command wants the line: that waits until all have been answered, so
// that no read passes a write.
func (p *poller) stream(ctx context.Context) {
	flights, asked := map[int]*flight{}, 0
	next := func() (wire.Request, bool) {
		f := p.following(ctx)
		if f == nil {
			return wire.Request{}, false
		}
		flights[asked] = f
		asked++
		return f.req, true
	}
	done := func(n int, reply wire.Reply, err error) {
		f := flights[n]
		delete(flights, n)
		f.reply, f.err, f.landed = reply, err, time.Now()
		p.land(ctx, f)
		p.flushLate()
	}
	p.streamer.Stream(ctx, next, done)
}

// following is the request that goes out beside those under way, nil for none.
func (p *poller) following(ctx context.Context) *flight {
	for ctx.Err() == nil {
		p.fetchJobs()
		g, _ := p.next()
		if g == nil || p.nextJob(true) != nil {
			return nil
		}
		if f := p.ready(g); f != nil {
			return f
		}
	}
	return nil
}

// land looks at the outcome of a request.
func (p *poller) land(ctx context.Context, f *flight) {
	f.g.flying--
	f.unit.flying--
	p.book(f)
	if f.probe {
		p.probed(ctx, f)
		return
	}
	p.measure(f)
	p.took(ctx, f)
	p.endRun(f.g)
}
