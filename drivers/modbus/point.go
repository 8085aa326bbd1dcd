package modbus

import (
	"fmt"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/drivers"
	"fieldgate/drivers/modbus/wire"
)

// point is a tag, compiled, with what is known of it while polling.
type point struct {
	tag    drivers.Tag
	reg    Register
	pipe   *drivers.Pipeline
	scale  int  // index of the point that holds its power of ten; -1: none
	hidden bool // no tag: read only as somebody's power of ten

	// what the last read of this point's group brought
	raw    drivers.Value
	rawAt  clock.Stamp
	rawRun uint64 // the run of the group in which it was read
	reason string // why it was not, in that run

	strikes  int       // exceptions 1 to 3 in separate polls, since the last success
	disabled time.Time // not asked for before this
}

// device is one [[device]], compiled.
type device struct {
	name   string
	cfg    *Device
	unit   byte
	points []*point
	byName map[string]int
	groups []*group
	limits limits
	state  *unit

	// found out: the unit refuses FC 6 or FC 5 and wants FC 16 or FC 15
	multiRegisters, multiCoils bool
}

// group is the tags of a device with one poll interval: they are due together.
type group struct {
	dev    *device
	poll   time.Duration
	points []int
	blocks []*block

	due   time.Time // of the slot that is to be served, or is being served
	run   uint64    // counts the runs
	todo  []todo    // what the current run must still read
	extra int       // requests that splitting has cost in this run
	first int       // the block that a run begins with, see next
}

// compileDevice builds a device. Tags with errors are passed to bad and left
// out; breaks are what an earlier run has learnt.
func compileDevice(d *Device, breaks map[Area][]int, bad func(tag string, err error)) *device {
	dev := &device{name: d.Name, cfg: d, unit: d.unit(), byName: map[string]int{}, limits: d.limits()}
	dev.limits.breaks = breaks
	if dev.limits.breaks == nil {
		dev.limits.breaks = map[Area][]int{}
	}
	order, err := ParseOrder(d.Order)
	if err != nil {
		bad("", err)
	}
	tags, _ := d.all()
	for _, t := range tags {
		p, err := compilePoint(d, t, order)
		if err != nil {
			bad(t.Name, err)
			continue
		}
		if _, twice := dev.byName[t.Name]; twice {
			bad(t.Name, fmt.Errorf("tag %q exists twice", t.Name))
			continue
		}
		dev.byName[t.Name] = len(dev.points)
		dev.points = append(dev.points, p)
	}
	for _, t := range tags {
		if i, ok := dev.byName[t.Name]; ok && t.ScaleTag != "" && dev.points[i].tag.Name == t.Name {
			if err := dev.linkScale(i, t.ScaleTag, order); err != nil {
				bad(t.Name, err)
			}
		}
	}
	dev.group()
	return dev
}

func compilePoint(d *Device, t *Tag, order Order) (*point, error) {
	r, err := ParseReg(t.Reg, order)
	if err != nil {
		return nil, err
	}
	pipe, err := drivers.NewPipeline(t.rules(r), r.Type.rawType())
	if err != nil {
		return nil, err
	}
	p := &point{reg: r, pipe: pipe, scale: -1}
	p.tag = drivers.Tag{
		Device: d.Name, Name: t.Name, Label: t.Label, Unit: t.Unit, Kind: t.Kind,
		Poll: t.Poll.Or(d.Poll.Or(DefaultPoll)), Address: r.String(),
	}
	if p.tag.Write, err = t.writeRule(); err != nil {
		return nil, err
	}
	if p.tag.Write != nil && !r.Area.Writable() {
		return nil, fmt.Errorf("%s cannot be written", r.Area)
	}
	p.tag.Publish, err = t.publishRule(p.tag.Poll)
	return p, err
}

func (t *Tag) publishRule(poll time.Duration) (drivers.PublishRule, error) {
	rule := drivers.PublishRule{
		OnPoll: t.Report == "poll", OnChange: t.Report == "change", MaxAge: t.MaxAge.Std(),
		StaleAfter: t.StaleAfter.Or(max(stalePolls*poll, staleLeast)),
	}
	var err error
	rule.Deadband, rule.Percent, err = drivers.ParseDeadband(t.Deadband)
	return rule, err
}

func (t *Tag) writeRule() (*drivers.WriteRule, error) {
	if t.Write == nil {
		return nil, nil
	}
	least, err := drivers.ParseRate(t.Write.Rate)
	verify := t.Write.Verify == nil || *t.Write.Verify
	return &drivers.WriteRule{Min: t.Write.Min, Max: t.Write.Max, Step: t.Write.Step, Verify: verify, MinInterval: least}, err
}

// linkScale finds the power of ten of a point. It has to be read in the same
// run as the value, or a change of both would give a wrong product; so a tag
// of another interval is read once more, as a hidden point.
func (dev *device) linkScale(i int, name string, order Order) error {
	p := dev.points[i]
	j, isTag := dev.byName[name]
	if isTag && j != i && dev.points[j].tag.Poll == p.tag.Poll {
		p.scale = j
		return nil
	}
	var reg Register
	if isTag && j != i {
		reg = dev.points[j].reg
	} else {
		r, err := ParseReg(name, order)
		if err != nil || r.Area.Bits() {
			return fmt.Errorf("scale_tag %q is neither another tag nor a register", name)
		}
		if reg = r; reg.Type == typeUint16 {
			reg.Type = typeInt16 // a power of ten has a sign
		}
	}
	for k, h := range dev.points {
		if h.hidden && h.reg == reg && h.tag.Poll == p.tag.Poll {
			p.scale = k
			return nil
		}
	}
	p.scale = len(dev.points)
	dev.points = append(dev.points, &point{reg: reg, scale: -1, hidden: true, tag: drivers.Tag{Device: dev.name, Poll: p.tag.Poll}})
	return nil
}

// group sorts the points by interval and plans each group's requests.
func (dev *device) group() {
	byPoll := map[time.Duration]*group{}
	for i, p := range dev.points {
		g := byPoll[p.tag.Poll]
		if g == nil {
			g = &group{dev: dev, poll: p.tag.Poll}
			byPoll[p.tag.Poll] = g
			dev.groups = append(dev.groups, g)
		}
		g.points = append(g.points, i)
	}
	for _, g := range dev.groups {
		g.plan()
	}
}

func (g *group) plan() {
	items := make([]item, 0, len(g.points))
	for _, i := range g.points {
		r := g.dev.points[i].reg
		items = append(items, item{area: r.Area, addr: int(r.Addr), count: r.count(), point: i})
	}
	g.blocks = nil
	for _, s := range plan(items, g.dev.limits) {
		g.blocks = append(g.blocks, &block{span: s})
	}
}

// store takes an item's part out of a reply.
func (dev *device) store(s *span, it item, data []byte, at clock.Stamp, run uint64) {
	p := dev.points[it.point]
	p.raw = extract(p.reg, s, data)
	p.rawAt, p.rawRun, p.reason = at, run, ""
	p.strikes = 0
}

// extract decodes a register's value out of the reply to a request.
func extract(r Register, s *span, data []byte) drivers.Value {
	offset := int(r.Addr) - s.addr
	if s.area.Bits() { // the first bit is the lowest of the first byte, Modbus V1.1b3 §6.1
		return drivers.BoolValue(data[offset/8]>>(offset%8)&1 == 1)
	}
	return decode(r.Type, r.Order, data[2*offset:2*(offset+r.count())])
}

// sample runs a point's raw value of this run through its pipeline.
func (dev *device) sample(p *point, run uint64, now clock.Stamp) (s drivers.Sample, keep bool) {
	switch {
	case p.rawRun != run && p.reason == "":
		return s, false // not read in this run
	case p.reason != "":
		s, keep = drivers.Sample{Quality: drivers.Bad, Reason: p.reason, Time: now}, true
	case p.scale < 0:
		s, keep = p.pipe.Apply(p.raw, p.rawAt)
	default:
		s, keep = dev.scaled(p, run)
	}
	s.Device, s.Tag = p.tag.Device, p.tag.Name
	return s, keep
}

// scaled applies the power of ten of this run.
func (dev *device) scaled(p *point, run uint64) (drivers.Sample, bool) {
	sf := dev.points[p.scale]
	shift, ok := sf.exponent()
	switch {
	case sf.rawRun != run && sf.reason == "", sf.reason != "":
		reason := sf.reason
		if reason == "" {
			reason = drivers.ReasonNotRead
		}
		return drivers.Sample{Quality: drivers.Bad, Reason: reason, Time: p.rawAt}, true
	case !ok:
		return drivers.Sample{Quality: drivers.Bad, Reason: drivers.ReasonInvalid, Time: p.rawAt}, true
	}
	return p.pipe.ApplyShift(p.raw, shift, p.rawAt)
}

// exponent is the point's raw value as a power of ten; SunSpec uses -10 to 10
// and 0x8000 for "none".
func (p *point) exponent() (int, bool) {
	i, ok := p.raw.Int()
	if !ok || i < -10 || i > 10 {
		return 0, false
	}
	return int(i), true
}

// request reads a span from a unit.
func (s *span) request(unit byte) wire.Request {
	return wire.Request{Unit: unit, Function: s.area.readFunction(), Address: uint16(s.addr), Quantity: uint16(s.count)}
}
