package modbus

import (
	"fieldgate/buffer/clock"
	"fieldgate/drivers"
)

// reading is what a point's register held, or why that is not known.
type reading struct {
	raw    drivers.Value
	at     clock.Stamp
	run    uint64 // the run of the group in which it was read
	reason string // why it was not, in that run
}

// store takes an item's points out of a reply.
func (dev *device) store(got []reading, s *span, it item, data []byte, at clock.Stamp, run uint64) {
	for _, i := range it.points {
		p := dev.points[i]
		got[i] = reading{raw: extract(p.reg, s, data), at: at, run: run}
		p.strikes = 0
	}
}

// extract decodes a register's value out of the reply to a request.
func extract(r Register, s *span, data []byte) drivers.Value {
	offset := int(r.Addr) - s.addr
	if s.area.Bits() { // the first bit is the lowest of the first byte, Modbus V1.1b3 §6.1
		return drivers.BoolValue(data[offset/8]>>(offset%8)&1 == 1)
	}
	return decode(r.Type, r.Order, data[2*offset:2*(offset+r.count())])
}

// sample runs the raw value that a point got in a run through its pipeline.
// keep is false where there is nothing to report.
func (dev *device) sample(got []reading, i int, run uint64, now clock.Stamp) (s drivers.Sample, keep bool) {
	p, g := dev.points[i], &got[i]
	switch {
	case g.run != run && g.reason == "":
		return s, false // not read in this run
	case g.reason != "":
		s, keep = drivers.Sample{Quality: drivers.Bad, Reason: g.reason, Time: now}, true
	case p.scale < 0:
		s, keep = p.pipe.Apply(g.raw, g.at)
	default:
		s, keep = dev.scaled(got, i, run)
	}
	s.Device, s.Tag = p.tag.Device, p.tag.Name
	return s, keep
}

// scaled applies the power of ten of this run.
func (dev *device) scaled(got []reading, i int, run uint64) (drivers.Sample, bool) {
	p, g := dev.points[i], &got[i]
	sf := &got[p.scale]
	shift, ok := exponent(sf.raw)
	switch {
	case sf.run != run && sf.reason == "", sf.reason != "":
		reason := sf.reason
		if reason == "" {
			reason = drivers.ReasonNotRead
		}
		return drivers.Sample{Quality: drivers.Bad, Reason: reason, Time: g.at}, true
	case !ok:
		return drivers.Sample{Quality: drivers.Bad, Reason: drivers.ReasonInvalid, Time: g.at}, true
	}
	return p.pipe.ApplyShift(g.raw, shift, g.at)
}

// exponent is a raw value as a power of ten; SunSpec uses -10 to 10 and 0x8000
// for "none".
func exponent(raw drivers.Value) (int, bool) {
	i, ok := raw.Int()
	if !ok || i < -10 || i > 10 {
		return 0, false
	}
	return int(i), true
}
