package modbus

import (
	"fmt"
	"time"

	"fieldgate/drivers"
)

// point is a tag, compiled, with what is known of it while polling.
type point struct {
	tag    drivers.Tag
	poll   Poll
	reg    Register
	pipe   *drivers.Pipeline
	scale  int  // index of the point that holds its power of ten; -1: none
	hidden bool // no tag: read only as somebody's power of ten
	first  bool // a coil of a device that wants to be read from address 0 on

	strikes  int       // exceptions 1 to 3 in separate polls, since the last success
	disabled time.Time // not asked for before this
}

// item is what must be read for the point, whose index the caller names.
func (p *point) item(index int) item {
	it := item{area: p.reg.Area, addr: int(p.reg.Addr), count: p.reg.count(), points: []int{index}}
	if p.first {
		it.addr, it.count = 0, p.reg.end()
	}
	return it
}

// device is one [[device]], compiled.
type device struct {
	name   string
	cfg    *Device
	unit   byte
	points []*point
	byName map[string]int
	groups []*group
	got    []reading // by point: what the last run of its group brought
	limits limits
	tariff *tariff // nil: max_gap is a number
	state  *unit
	delays delays // of its polls, behind their slots
	writes int    // to it

	computed []drivers.Tag // by the supervisor, from what is read

	repriced int // the unit's answers when the plan was last looked at

	// found out: the unit refuses FC 6 or FC 5 and wants FC 16 or FC 15
	multiRegisters, multiCoils bool
}

// compileDevice builds a device. Tags with errors are passed to bad and left
// out; t prices its requests; breaks are what an earlier run has learnt.
func compileDevice(d *Device, t *tariff, breaks map[Area][]int, bad func(tag string, err error)) *device {
	dev := &device{name: d.Name, cfg: d, unit: d.unit(), byName: map[string]int{}, limits: d.limits()}
	if _, auto, _ := d.gap(); auto {
		dev.tariff = t
		dev.limits.price = t.priceOf(d, 0)
	}
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
	dev.got = make([]reading, len(dev.points))
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
	p := &point{reg: r, pipe: pipe, scale: -1, poll: d.pollOf(t), first: d.CoilsFromZero && r.Area == Coil}
	p.tag = drivers.Tag{
		Device: d.Name, Name: t.Name, Label: t.Label, Unit: t.Unit, Kind: t.Kind,
		Poll: p.poll.Every(), Address: r.String(),
	}
	if p.tag.Write, err = t.writeRule(); err != nil {
		return nil, err
	}
	if p.tag.Write != nil && !r.Area.Writable() {
		return nil, fmt.Errorf("%s cannot be written", r.Area)
	}
	p.tag.Publish, err = t.publishRule(p.poll)
	return p, err
}

func (t *Tag) publishRule(poll Poll) (drivers.PublishRule, error) {
	rule := drivers.PublishRule{
		OnPoll: t.Report == "poll", OnChange: t.Report == "change", MaxAge: t.MaxAge.Std(), StaleAfter: t.StaleAfter.Std(),
	}
	if every := poll.Every(); every > 0 && rule.StaleAfter == 0 {
		rule.StaleAfter = max(stalePolls*every, staleLeast)
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
	if isTag && j != i && dev.points[j].poll == p.poll {
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
		if h.hidden && h.reg == reg && h.poll == p.poll {
			p.scale = k
			return nil
		}
	}
	p.scale = len(dev.points)
	dev.points = append(dev.points, &point{reg: reg, scale: -1, hidden: true, poll: p.poll, tag: drivers.Tag{Device: dev.name}})
	return nil
}
