package modbus

import (
	"context"
	"sync"
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
	f.started = time.Now()
	f.reply, f.err = l.Do(ctx, f.req)
	f.landed = time.Now()
}

// startWorkers starts what sends requests beside the poller, where the device
// allows several at a time. stop waits for their end.
func (p *poller) startWorkers(ctx context.Context) (stop func()) {
	if p.width == 1 {
		return func() {}
	}
	p.takeoff, p.landed = make(chan *flight, p.width), make(chan *flight, p.width)
	var workers sync.WaitGroup
	for range p.width {
		workers.Go(func() {
			for f := range p.takeoff {
				f.do(ctx, p.line)
				p.landed <- f // has room for all that are under way
			}
		})
	}
	return func() {
		close(p.takeoff)
		workers.Wait()
	}
}

// launch sends a run's block or a probe. It lands at once where only one
// request may be under way.
func (p *poller) launch(ctx context.Context, f *flight) {
	f.unit = f.g.dev.state
	f.req.NoRetry = f.req.NoRetry || f.unit.suspect()
	f.g.flying++
	f.unit.flying++
	p.flying++
	if p.width > 1 {
		p.takeoff <- f
		return
	}
	f.do(ctx, p.line)
	p.land(ctx, f)
}

// await waits until a request that is under way lands.
func (p *poller) await(ctx context.Context) {
	select {
	case <-ctx.Done():
	case f := <-p.landed:
		p.land(ctx, f)
	}
}

// land looks at the outcome of a request.
func (p *poller) land(ctx context.Context, f *flight) {
	f.g.flying--
	f.unit.flying--
	p.flying--
	p.book(f)
	if f.probe {
		p.probed(ctx, f)
		return
	}
	p.took(ctx, f)
	p.endRun(f.g)
}
