package modbus

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/drivers"
	"fieldgate/drivers/modbus/wire"
)

// Doer sends requests: a *wire.Line of one's own, or the line of a running
// driver (see Driver.Exclusive).
type Doer interface {
	Do(ctx context.Context, r wire.Request) (wire.Reply, error)
}

// Exclusive gives f the driver's line between two polls, for as long as f
// runs: keep it short. The line keeps its books about units meanwhile.
func (d *Driver) Exclusive(ctx context.Context, f func(ctx context.Context, line Doer) error) error {
	var failure error
	err := d.submit(ctx, func(ctx context.Context, p *poller) { failure = f(ctx, borrowed{p}) })
	if err != nil {
		return err
	}
	return failure
}

// Do sends one request over the driver's line, between two polls.
func (d *Driver) Do(ctx context.Context, r wire.Request) (reply wire.Reply, err error) {
	var got wire.Reply
	err = d.Exclusive(ctx, func(ctx context.Context, line Doer) (err error) {
		got, err = line.Do(ctx, r)
		return err
	})
	if err != nil {
		return wire.Reply{}, err
	}
	return got, nil
}

// borrowed is the line in the hands of a job.
type borrowed struct{ p *poller }

func (b borrowed) Do(ctx context.Context, r wire.Request) (wire.Reply, error) {
	if u := b.p.sched.units[r.Unit]; u != nil {
		return b.p.ask(ctx, u, r)
	}
	return b.p.line.Do(ctx, r)
}

// Unit is the unit number of one of the driver's devices.
func (d *Driver) Unit(device string) (byte, bool) {
	for _, dev := range slices.Concat(d.devices, d.off) {
		if dev.name == device {
			return dev.unit, true
		}
	}
	return 0, false
}

// RegisterValue is one register that was read for a command.
type RegisterValue struct {
	Register Register
	Value    drivers.Value
	Raw      []byte // as on the wire; for a bit 0 or 1
	At       clock.Stamp
	Err      error // why there is no value
}

// Reading is what ReadOnce brought.
type Reading struct {
	Values   []RegisterValue // in the order asked for
	Requests int
	Took     time.Duration
}

// ReadOnce reads registers of a unit, near ones together. The error is set
// where the line or the unit did not answer at all; a refused register has its
// own.
func ReadOnce(ctx context.Context, line Doer, unit byte, regs ...Register) (Reading, error) {
	out := Reading{Values: make([]RegisterValue, len(regs))}
	items := make([]item, len(regs))
	for i, r := range regs {
		out.Values[i].Register = r
		items[i] = item{area: r.Area, addr: int(r.Addr), count: r.count(), point: i}
	}
	todo := plan(items, limits{maxGap: defaultMaxGap, maxRegisters: maxRegisters})
	started := time.Now()
	for len(todo) > 0 {
		s := todo[0]
		todo = todo[1:]
		reply, err := line.Do(ctx, s.request(unit))
		out.Requests++
		var ex *wire.Exception
		if errors.As(err, &ex) && ex.Config() {
			if first, second, ok := s.halve(); ok {
				todo = append([]span{first, second}, todo...)
				continue
			}
		}
		if err != nil && !errors.As(err, &ex) {
			out.Took = time.Since(started)
			return out, err
		}
		for _, it := range s.items {
			v := &out.Values[it.point]
			if v.Err = err; err == nil {
				v.set(&s, reply)
			}
		}
	}
	out.Took = time.Since(started)
	return out, nil
}

func (v *RegisterValue) set(s *span, reply wire.Reply) {
	r := v.Register
	v.At = reply.At
	v.Value = whole(r, extract(r, s, reply.Data))
	if s.area.Bits() {
		v.Raw = []byte{0}
		if on, _ := v.Value.Bool(); on {
			v.Raw[0] = 1
		}
		return
	}
	offset := 2 * (int(r.Addr) - s.addr)
	v.Raw = slices.Clone(reply.Data[offset : offset+2*r.count()])
}

// whole takes the bit that the register names.
func whole(r Register, v drivers.Value) drivers.Value {
	if r.Bit < 0 || v.IsNull() {
		return v
	}
	return drivers.BoolValue(pattern(v)>>r.Bit&1 == 1)
}

// WriteOnce writes a raw value to a register and reads it back. On a running
// driver call it within Exclusive, so that a bit's register does not change
// between its read and its write.
func WriteOnce(ctx context.Context, line Doer, unit byte, r Register, v drivers.Value) (drivers.WriteResult, error) {
	var result drivers.WriteResult
	if !r.Area.Writable() {
		return result, drivers.Refuse(drivers.CodeNotWritable, "a %s cannot be written", r.Area)
	}
	rules := drivers.Rules{}
	if r.Bit >= 0 {
		rules.Bits = strconv.Itoa(r.Bit)
	}
	pipe, err := drivers.NewPipeline(rules, r.Type.rawType())
	if err != nil {
		return result, drivers.Refuse(drivers.CodeType, "%v", err)
	}
	pt := &point{reg: r, pipe: pipe, scale: -1}
	raw, err := pipe.Invert(v, 0)
	if err != nil {
		return result, err
	}
	started := time.Now()
	data, err := pt.compose(ctx, line.Do, unit, raw)
	if err != nil {
		return result, err
	}
	written := extract(r, pt.span(), data)
	result.Value = whole(r, written)
	dev := &device{unit: unit}
	if err := dev.send(ctx, line.Do, pt, data); err != nil {
		return result, commandError(err)
	}
	reply, err := line.Do(ctx, pt.span().request(unit))
	result.Took = time.Since(started)
	if err != nil {
		return result, drivers.Refuse(drivers.CodeReadBack, "written, but the read-back failed: %v", err)
	}
	shown := extract(r, pt.span(), reply.Data)
	result.ReadBack = whole(r, shown)
	if !sameValue(pt, shown, written) {
		return result, drivers.Refuse(drivers.CodeReadBack, "written %s, but the device shows %s", result.Value, result.ReadBack)
	}
	return result, nil
}

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
// after any poll, and returns them with the time of each request.
func (d *Driver) PollOnce(ctx context.Context, device string, tags ...string) ([]drivers.Sample, []PolledRequest, error) {
	dev, _, err := d.find(device, "")
	if dev == nil {
		return nil, nil, err
	}
	var points []int
	for _, tag := range tags {
		i, ok := dev.byName[tag]
		if !ok {
			return nil, nil, drivers.Refuse(drivers.CodeRequest, "there is no tag %s/%s", device, tag)
		}
		points = append(points, i)
	}
	if len(tags) == 0 {
		for i := range dev.points {
			points = append(points, i)
		}
	}
	var samples []drivers.Sample
	var requests []PolledRequest
	err = d.submit(ctx, func(ctx context.Context, p *poller) { samples, requests = p.readPoints(ctx, dev, points) })
	if err != nil {
		return nil, nil, err
	}
	var failed error
	for _, r := range requests {
		if r.Err != nil && judge(r.Err) != answered {
			failed = commandError(r.Err)
		}
	}
	return samples, requests, failed
}

// Read implements drivers.Reader.
func (d *Driver) Read(ctx context.Context, device string, tags ...string) ([]drivers.Sample, error) {
	samples, _, err := d.PollOnce(ctx, device, tags...)
	return samples, err
}

// readPoints reads points with as few requests as their plan allows. A unit
// that does not answer one is not asked for the rest.
func (p *poller) readPoints(ctx context.Context, dev *device, points []int) ([]drivers.Sample, []PolledRequest) {
	p.jobRun++
	items, seen := []item{}, map[int]bool{}
	need := func(i int) {
		if r := dev.points[i].reg; !seen[i] {
			seen[i] = true
			dev.points[i].reason = ""
			items = append(items, item{area: r.Area, addr: int(r.Addr), count: r.count(), point: i})
		}
	}
	for _, i := range points {
		need(i)
		if sf := dev.points[i].scale; sf >= 0 {
			need(sf)
		}
	}
	var requests []PolledRequest
	todo := plan(items, dev.limits)
	for len(todo) > 0 {
		s := todo[0]
		todo = todo[1:]
		r := PolledRequest{First: Register{Area: s.area, Addr: uint16(s.addr), Bit: -1, Type: typeUint16}, Count: s.count, Function: int(s.area.readFunction())}
		started := time.Now()
		reply, err := p.ask(ctx, dev.state, s.request(dev.unit))
		r.Took, r.Err = time.Since(started), err
		var ex *wire.Exception
		first, second, can := s.halve()
		again := errors.As(err, &ex) && ex.Config() && can
		for _, it := range s.items {
			pt := dev.points[it.point]
			if err == nil {
				dev.store(&s, it, reply.Data, reply.At, p.jobRun)
			} else if !again {
				pt.reason = wire.Reason(err)
			}
			if !pt.hidden {
				r.Tags = append(r.Tags, pt.tag.Name)
			}
		}
		requests = append(requests, r)
		if again {
			todo = append([]span{first, second}, todo...)
		} else if err != nil && judge(err) != answered {
			break
		}
	}
	return p.samplesOf(dev, points), requests
}

// samplesOf reports what readPoints read, and returns it.
func (p *poller) samplesOf(dev *device, points []int) []drivers.Sample {
	var samples []drivers.Sample
	now := clock.Now()
	for _, i := range points {
		pt := dev.points[i]
		if pt.hidden {
			continue
		}
		s, keep := dev.sample(pt, p.jobRun, now)
		if !keep {
			continue
		}
		samples = append(samples, s)
		p.add(s)
	}
	return samples
}
