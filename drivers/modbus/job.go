package modbus

import (
	"context"
	"time"

	"fieldgate/drivers"
)

// job is work for the goroutine that owns the line, between two requests.
type job struct {
	ctx  context.Context
	do   func(ctx context.Context, p *poller)
	done chan struct{}
}

// submit has a job done and waits for it. When ctx ends first the job is not
// begun, or ends by itself; its results are then not to be looked at.
func (d *Driver) submit(ctx context.Context, queue chan *job, do func(ctx context.Context, p *poller)) error {
	d.mu.Lock()
	end := d.end
	d.mu.Unlock()
	if end == nil {
		return drivers.Refuse(drivers.CodeUnavailable, "bus %s is not running", d.bus.Name)
	}
	j := &job{ctx: ctx, do: do, done: make(chan struct{})}
	select {
	case queue <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-end:
		return drivers.Refuse(drivers.CodeUnavailable, "bus %s has stopped", d.bus.Name)
	}
	select {
	case <-j.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-end:
		return drivers.Refuse(drivers.CodeUnavailable, "bus %s has stopped", d.bus.Name)
	}
}

// orNil is the queue while the place for its next job is free.
func orNil(queue chan *job, place *job) chan *job {
	if place != nil {
		return nil
	}
	return queue
}

// fetchJobs looks who is next, without waiting. Who has given up is let go.
func (p *poller) fetchJobs() {
	fetch := func(queue chan *job, place **job) {
		for *place == nil || (*place).ctx.Err() != nil {
			if *place != nil {
				close((*place).done)
				*place = nil
			}
			select {
			case *place = <-queue:
			default:
				return
			}
		}
	}
	fetch(p.d.jobs, &p.urgent)
	fetch(p.d.reads, &p.polite)
}

// nextJob is the place of the command that goes before the groups, nil where
// none does. Writes go first, but not for ever; a read does unless a poll that
// is due now was held up by one already.
func (p *poller) nextJob(due bool) **job {
	if p.urgent != nil && (p.row < jobsInARow || !due) {
		return &p.urgent
	}
	if p.polite != nil && !p.sched.anyDisturbed(time.Now()) {
		return &p.polite
	}
	return nil
}

// serve does a command's work.
func (p *poller) serve(ctx context.Context, place **job) {
	j := *place
	*place = nil
	if place == &p.urgent {
		p.row++
	} else {
		defer func() { p.sched.disturb(time.Now()) }()
	}
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
