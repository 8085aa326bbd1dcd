package modbus

import (
	"context"
	"errors"
	"slices"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/drivers"
	"fieldgate/drivers/modbus/wire"
)

// PolledRequest is one request of PollOnce.
type PolledRequest struct {
	First    Register // of the area and address it begins with
	Count    int
	Function int
	Tags     []string
	Took     time.Duration
	Err      error
}

// PollOnce reads tags of a device now (none named: all), reports the samples as
// after any poll, and returns them with the time of each request. Polls that
// are due have their turn between two of them.
func (d *Driver) PollOnce(ctx context.Context, device string, tags ...string) ([]drivers.Sample, []PolledRequest, error) {
	dev, _, err := d.find(device, "")
	if dev == nil {
		return nil, nil, err
	}
	points, err := dev.pointsOf(tags)
	if err != nil {
		return nil, nil, err
	}
	o := once{dev: dev, got: make([]reading, len(dev.points))}
	// What was learnt of the device, and its pipelines, are the poller's.
	err = d.submit(ctx, d.jobs, func(context.Context, *poller) { o.todo, o.writes = plan(dev.items(points), dev.limits), dev.writes })
	for err == nil && len(o.todo) > 0 {
		err = d.submit(ctx, d.reads, o.next)
	}
	if err == nil {
		err = d.submit(ctx, d.jobs, func(_ context.Context, p *poller) { o.finish(p, points) })
	}
	if err != nil {
		return nil, nil, err
	}
	return o.samples, o.requests, o.failed
}

// Read implements drivers.Reader.
func (d *Driver) Read(ctx context.Context, device string, tags ...string) ([]drivers.Sample, error) {
	samples, _, err := d.PollOnce(ctx, device, tags...)
	return samples, err
}

// pointsOf are the points of some tags, of all where none is named, with the
// powers of ten that they need.
func (dev *device) pointsOf(tags []string) ([]int, error) {
	var points []int
	if len(tags) == 0 {
		for i := range dev.points {
			points = append(points, i)
		}
		return points, nil
	}
	seen := map[int]bool{}
	need := func(i int) {
		if i >= 0 && !seen[i] {
			seen[i] = true
			points = append(points, i)
		}
	}
	for _, tag := range tags {
		i, ok := dev.byName[tag]
		if !ok {
			return nil, drivers.Refuse(drivers.CodeRequest, "there is no tag %s/%s", dev.name, tag)
		}
		need(i)
		need(dev.points[i].scale)
	}
	return points, nil
}

// once is a poll out of turn. Each step is a job of its own, and reports what
// it has read at once: a write that comes next is reported after it.
type once struct {
	dev      *device
	todo     []span
	got      []reading
	writes   int // to the device, when it began
	samples  []drivers.Sample
	requests []PolledRequest
	failed   error // a unit that does not answer is not asked for the rest
}

// onceRun marks what a poll out of turn has read.
const onceRun = 1

// next sends one request.
func (o *once) next(ctx context.Context, p *poller) {
	s := o.todo[0]
	o.todo = o.todo[1:]
	r := PolledRequest{First: s.first(), Count: s.count, Function: int(s.area.readFunction()), Tags: o.dev.namesOf(&s)}
	started := time.Now()
	reply, err := p.ask(ctx, o.dev.state, s.request(o.dev.unit))
	r.Took, r.Err = time.Since(started), err
	o.requests = append(o.requests, r)
	var ex *wire.Exception
	if first, second, can := s.halve(); can && errors.As(err, &ex) && ex.Config() {
		o.todo = append([]span{first, second}, o.todo...)
		return
	}
	for _, it := range s.items {
		for _, i := range it.points {
			o.take(p, &s, i, reply, err)
		}
	}
	if err != nil && judge(err) != answered {
		o.failed, o.todo = commandError(err), nil
	}
}

// take keeps what a request brought for a point, and reports it unless it has
// to wait for its power of ten.
func (o *once) take(p *poller, s *span, i int, reply wire.Reply, err error) {
	if err != nil {
		o.got[i].reason = wire.Reason(err)
	} else {
		o.got[i] = reading{raw: extract(o.dev.points[i].reg, s, reply.Data), at: reply.At, run: onceRun}
	}
	if o.dev.points[i].scale < 0 {
		o.add(p, i)
	}
}

func (o *once) add(p *poller, i int) {
	if o.dev.points[i].hidden {
		return
	}
	if s, keep := o.dev.sample(o.got, i, onceRun, clock.Now()); keep {
		o.samples = append(o.samples, s)
		p.add(s)
	}
}

// finish reports what had to wait for its power of ten. Where the device was
// written to meanwhile, it is too old for that.
func (o *once) finish(p *poller, points []int) {
	for _, i := range points {
		if o.dev.points[i].scale < 0 {
			continue
		}
		if o.dev.writes == o.writes {
			o.add(p, i)
		} else {
			pt := o.dev.points[i].tag
			o.samples = append(o.samples, drivers.Sample{Device: pt.Device, Tag: pt.Name, Quality: drivers.Bad, Reason: drivers.ReasonNotRead, Time: clock.Now()})
		}
	}
	slices.SortStableFunc(o.samples, func(a, b drivers.Sample) int { return o.dev.byName[a.Tag] - o.dev.byName[b.Tag] })
}
