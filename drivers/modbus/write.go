package modbus

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/drivers"
	"fieldgate/drivers/modbus/wire"
)

// The functions that write (Modbus V1.1b3 §6.5, §6.6, §6.11, §6.12).
const (
	writeCoil      = 5
	writeRegister  = 6
	writeCoils     = 15
	writeRegisters = 16
)

const (
	verifyTries = 3                      // read-backs of a device that takes its time to show a write
	verifyPause = 100 * time.Millisecond // between them
)

// Write sets a tag between two polls, reads it back and reports what it read.
// Nothing that was read before the write is reported after it. Errors are
// *drivers.CommandError or the context's.
func (d *Driver) Write(ctx context.Context, device, tag string, v drivers.Value) (drivers.WriteResult, error) {
	dev, pt, err := d.find(device, tag)
	if err != nil {
		return drivers.WriteResult{}, err
	}
	if pt.tag.Write == nil {
		return drivers.WriteResult{}, drivers.Refuse(drivers.CodeNotWritable, "%s/%s is read only; give the tag a write key", device, tag)
	}
	var result drivers.WriteResult
	var failure error
	err = d.submit(ctx, d.jobs, func(ctx context.Context, p *poller) { result, failure = p.write(ctx, dev, pt, v) })
	if err != nil {
		return drivers.WriteResult{}, err
	}
	return result, failure
}

// write is Write in the goroutine that owns the line.
func (p *poller) write(ctx context.Context, dev *device, pt *point, v drivers.Value) (drivers.WriteResult, error) {
	var result drivers.WriteResult
	shift, err := p.currentShift(ctx, dev, pt)
	if err != nil {
		return result, err
	}
	raw, err := pt.pipe.Invert(v, shift)
	if err != nil {
		return result, err
	}
	started := time.Now()
	data, err := pt.compose(ctx, p.asker(dev.state), dev.unit, raw)
	if err != nil {
		return result, err
	}
	written := extract(pt.reg, pt.span(), data)
	result.Value = pt.pipe.Value(written, shift)
	p.d.note(dev, func(s *drivers.DeviceStats) { s.Writes++ })
	dev.wrote(pt)
	err = dev.send(ctx, p.asker(dev.state), pt, data)
	verify := pt.tag.Write == nil || pt.tag.Write.Verify
	if err != nil && (judge(err) != silent || !verify) {
		return result, commandError(err)
	}
	if !verify {
		result.Took = time.Since(started)
		return result, nil
	}
	return p.verify(ctx, dev, pt, written, shift, result, started, err)
}

// wrote makes sure that nothing which was read before a write is reported
// after it: values that still wait for their power of ten in a run.
func (dev *device) wrote(pt *point) {
	dev.writes++
	for i, other := range dev.points {
		if other.scale >= 0 || other == pt {
			dev.got[i].run = 0
		}
	}
}

// verify reads back. writeErr is a write without an answer, whose fate only
// the read-back can tell.
func (p *poller) verify(ctx context.Context, dev *device, pt *point, written drivers.Value, shift int,
	result drivers.WriteResult, started time.Time, writeErr error) (drivers.WriteResult, error) {
	var shown drivers.Value
	for try := range verifyTries {
		if try > 0 {
			if err := pause(ctx, verifyPause); err != nil {
				return result, err
			}
		}
		reply, err := p.ask(ctx, dev.state, pt.asked().request(dev.unit))
		if err != nil {
			result.Took = time.Since(started)
			if writeErr != nil {
				return result, drivers.Refuse(drivers.CodeNoAnswer, "no answer to the write nor to the read-back: it is unknown whether the value was set (%v)", writeErr)
			}
			return result, drivers.Refuse(drivers.CodeReadBack, "written, but the read-back failed: %v", err)
		}
		shown = extract(pt.reg, pt.asked(), reply.Data)
		if same := sameValue(pt, shown, written); same || try == verifyTries-1 {
			p.reportShown(dev, pt, shown, shift, reply.At)
			break
		}
	}
	result.Took = time.Since(started)
	result.ReadBack = pt.pipe.Value(shown, shift)
	switch {
	case sameValue(pt, shown, written):
		return result, nil
	case writeErr != nil:
		return result, drivers.Refuse(drivers.CodeNoAnswer, "no answer to the write, and the device shows %s", result.ReadBack)
	}
	return result, drivers.Refuse(drivers.CodeReadBack, "written %s, but the device shows %s", result.Value, result.ReadBack)
}

// sameValue compares what was written with what is shown, within the bits that
// the tag sets.
func sameValue(pt *point, shown, written drivers.Value) bool {
	lo, hi, part := pt.pipe.Bits()
	if !part {
		return shown == written
	}
	mask := (uint64(1)<<(hi-lo+1) - 1) << lo
	return pattern(shown)&mask == pattern(written)&mask
}

// pattern is an integer as it stands in its register, sign extended.
func pattern(v drivers.Value) uint64 {
	if u, ok := v.Uint(); ok {
		return u
	}
	i, _ := v.Int()
	return uint64(i)
}

// reportShown reports the read-back as the sample it is.
func (p *poller) reportShown(dev *device, pt *point, shown drivers.Value, shift int, at clock.Stamp) {
	s, keep := pt.pipe.ApplyShift(shown, shift, at)
	if keep {
		s.Device, s.Tag = pt.tag.Device, pt.tag.Name
		p.add(s)
	}
}

// currentShift reads the power of ten that belongs to a point now.
func (p *poller) currentShift(ctx context.Context, dev *device, pt *point) (int, error) {
	if pt.scale < 0 {
		return 0, nil
	}
	sf := dev.points[pt.scale]
	reply, err := p.ask(ctx, dev.state, sf.span().request(dev.unit))
	if err != nil {
		return 0, commandError(err)
	}
	shift, ok := exponent(extract(sf.reg, sf.span(), reply.Data))
	if !ok {
		return 0, drivers.Refuse(drivers.CodeType, "the device gives no power of ten for %s", pt.tag.Name)
	}
	return shift, nil
}

// span is the point alone.
func (pt *point) span() *span {
	return &span{area: pt.reg.Area, addr: int(pt.reg.Addr), count: pt.reg.count()}
}

// asked is what is read for the point alone.
func (pt *point) asked() *span {
	it := pt.item(0)
	return &span{area: it.area, addr: it.addr, count: it.count}
}

// asker sends one request.
type asker func(context.Context, wire.Request) (wire.Reply, error)

func (p *poller) asker(u *unit) asker {
	return func(ctx context.Context, r wire.Request) (wire.Reply, error) { return p.ask(ctx, u, r) }
}

// compose makes the bytes of a write. Where the tag is a part of a register,
// the rest is read first and kept; nobody else has the line in between.
func (pt *point) compose(ctx context.Context, ask asker, unit byte, raw drivers.Value) ([]byte, error) {
	if pt.reg.Area.Bits() {
		on, _ := raw.Bool()
		if on {
			return []byte{1}, nil
		}
		return []byte{0}, nil
	}
	lo, hi, part := pt.pipe.Bits()
	if !part && !pt.reg.Type.isByte() {
		return encode(pt.reg.Type, pt.reg.Order, raw)
	}
	reply, err := ask(ctx, pt.span().request(unit))
	if err != nil {
		return nil, commandError(err)
	}
	before := pt.reg.Order.arrange(slices.Clone(reply.Data))
	if part {
		return pt.reg.Order.arrange(setBits(before, pt.reg.Type, lo, hi, raw)), nil
	}
	half, err := encode(pt.reg.Type, Order{}, raw)
	if err != nil {
		return nil, err
	}
	if pt.reg.Type.form == formHigh || pt.reg.Type.form == formHighInt {
		before[0] = half[0]
	} else {
		before[1] = half[1]
	}
	return pt.reg.Order.arrange(before), nil
}

// setBits puts a value into the bits lo to hi of a big-endian number.
func setBits(b []byte, t Type, lo, hi int, raw drivers.Value) []byte {
	if t.form == formHigh || t.form == formHighInt {
		lo, hi = lo+8, hi+8
	}
	var bits uint64
	if on, ok := raw.Bool(); ok {
		if on {
			bits = 1
		}
	} else {
		bits, _ = raw.Uint()
	}
	mask := (uint64(1)<<(hi-lo+1) - 1) << lo
	putNumber(b, number(b)&^mask|bits<<lo&mask)
	return b
}

// send writes with the function that fits: 5 and 6 for one bit or register, 16
// for more. A unit that refuses 5 or 6 as unknown gets 15 or 16 from then on.
func (dev *device) send(ctx context.Context, ask asker, pt *point, data []byte) error {
	single, multi := &dev.multiRegisters, false
	if pt.reg.Area == Coil {
		single = &dev.multiCoils
	}
	multi = *single || len(data) > 2
	_, err := ask(ctx, writeRequest(pt.reg, dev.unit, data, multi))
	var ex *wire.Exception
	if !multi && errors.As(err, &ex) && ex.Code == wire.IllegalFunction {
		if _, err = ask(ctx, writeRequest(pt.reg, dev.unit, data, true)); err == nil {
			*single = true
		}
	}
	return err
}

func writeRequest(r Register, unit byte, data []byte, multi bool) wire.Request {
	req := wire.Request{Unit: unit, Address: r.Addr, Quantity: uint16(r.count()), Data: data}
	switch {
	case r.Area == Coil && multi:
		req.Function = writeCoils
	case r.Area == Coil:
		req.Function = writeCoil
		req.Data = binary.BigEndian.AppendUint16(nil, uint16(data[0])*0xFF00)
	case multi:
		req.Function = writeRegisters
	default:
		req.Function = writeRegister
	}
	return req
}

// commandError gives an error of the wire its code.
func commandError(err error) error {
	var refused *drivers.CommandError
	var ex *wire.Exception
	var re *wire.ReplyError
	switch {
	case err == nil, errors.As(err, &refused):
		return err
	case errors.As(err, &ex):
		return drivers.Refuse(drivers.CodeException, "%v", ex)
	case errors.As(err, &re):
		return drivers.Refuse(drivers.CodeReadBack, "%v", re)
	case errors.Is(err, wire.ErrGone), errors.Is(err, wire.ErrClosed):
		return drivers.Refuse(drivers.CodeUnavailable, "%v", err)
	case errors.Is(err, wire.ErrRequest):
		return drivers.Refuse(drivers.CodeType, "%v", err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return drivers.Refuse(drivers.CodeNoAnswer, "%v", err)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
