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
// runs: keep it short, it is for writes. The line keeps its books about units
// meanwhile.
func (d *Driver) Exclusive(ctx context.Context, f func(ctx context.Context, line Doer) error) error {
	return d.borrow(ctx, d.jobs, f)
}

func (d *Driver) borrow(ctx context.Context, queue chan *job, f func(ctx context.Context, line Doer) error) error {
	var failure error
	err := d.submit(ctx, queue, func(ctx context.Context, p *poller) { failure = f(ctx, borrowed{p}) })
	if err != nil {
		return err
	}
	return failure
}

// Do sends one request over the driver's line, between two polls. A poll is
// held up by one reading request at most, however many wait.
func (d *Driver) Do(ctx context.Context, r wire.Request) (wire.Reply, error) {
	queue := d.jobs
	if onlyReads(r.Function) {
		queue = d.reads
	}
	var got wire.Reply
	err := d.borrow(ctx, queue, func(ctx context.Context, line Doer) (err error) {
		got, err = line.Do(ctx, r)
		return err
	})
	if err != nil {
		return wire.Reply{}, err
	}
	return got, nil
}

// onlyReads reports a function that changes nothing in a device.
func onlyReads(function byte) bool {
	switch function {
	case 1, 2, 3, 4, wire.FuncReadExceptionStatus, wire.FuncCommEventCounter, wire.FuncCommEventLog,
		wire.FuncReportServerID, wire.FuncReadFileRecord, wire.FuncDeviceIdentity:
		return true
	}
	return false
}

// borrowed is the line in the hands of a job.
type borrowed struct{ p *poller }

func (b borrowed) Do(ctx context.Context, r wire.Request) (wire.Reply, error) {
	if u := b.p.sched.units[r.Unit]; u != nil {
		return b.p.ask(ctx, u, r)
	}
	r.NoRetry = true // a unit that nobody polls: maybe there is none
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

// commandGap is the widest hole, in registers, that a command reads along: of a
// unit that it knows nothing about.
const commandGap = 8

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
		items[i] = item{area: r.Area, addr: int(r.Addr), count: r.count(), points: []int{i}}
	}
	todo := plan(items, limits{maxGap: commandGap, maxRegisters: maxRegisters})
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
			v := &out.Values[it.points[0]]
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
