package modbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/drivers"
	"fieldgate/drivers/modbus/wire"
)

// line is what the driver needs of a wire.Line.
type line interface {
	Do(ctx context.Context, r wire.Request) (wire.Reply, error)
	Close() error
}

// Options are a driver's surroundings; the zero value works.
type Options struct {
	Log    *slog.Logger        // nil: silent
	Memory Memory              // nil: what is learnt is forgotten at the end
	Event  func(drivers.Event) // nil: nobody is told
	Phase  float64             // 0 to 1: how far into the first second the bus begins
	Zone   *time.Location      // whose midnight aligned polls are counted from; nil: the system's

	open func(wire.Config) line // tests put their own line here
}

func (o *Options) zone() *time.Location {
	if o.Zone == nil {
		return time.Local
	}
	return o.Zone
}

const (
	maxJobs     = 32          // commands of a kind that may wait for the line
	staggerMost = time.Second // over which the first polls are spread
)

// Driver polls the devices of one bus.
//
// One goroutine, Run's, owns the line and everything that changes while
// polling (see poller). Write, Read and the raw commands hand it a job and
// wait. mu guards what Stats reads.
type Driver struct {
	bus     Bus
	wire    wire.Config // the bus's, with what its devices need
	opt     Options
	log     *slog.Logger
	devices []*device // enabled ones
	off     []*device // disabled ones
	jobs    chan *job // commands that write
	reads   chan *job // commands that read
	tariff  *tariff   // prices of requests

	mu    sync.Mutex
	line  line           // of the current Run, or of the last one
	end   chan struct{}  // closed when the current Run ends; nil: not running
	units map[byte]*unit // of the current Run
	stats map[string]*drivers.DeviceStats

	meters    map[meterKey]*meter // of the current Run
	began     time.Time           // it
	lineDown  bool                // the port or connection is gone
	lineSince time.Time
}

var (
	_ drivers.Driver  = (*Driver)(nil)
	_ drivers.Writer  = (*Driver)(nil)
	_ drivers.Reader  = (*Driver)(nil)
	_ drivers.Statser = (*Driver)(nil)
)

// New makes the driver of a bus and of those devices that name it. It touches
// no hardware. An error is a mistake in the configuration; Validate tells all
// of them.
func New(bus Bus, devices []Device, o Options) (*Driver, error) {
	var first error
	note := func(what string) conf.Bad {
		return func(p conf.Problem) {
			if first == nil && p.Code[0] == 'E' {
				first = fmt.Errorf("%s: %s: %s", what, p.Key, p.Text)
			}
		}
	}
	bus.Validate(note("bus " + bus.Name))
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.open == nil {
		o.open = func(c wire.Config) line { return wire.New(c) }
	}
	d := &Driver{
		bus: bus, wire: bus.lineFor(devices, o.Log), opt: o, log: o.Log.With("bus", bus.Name), jobs: make(chan *job, maxJobs), reads: make(chan *job, maxJobs),
		tariff: tariffOf(bus, devices), stats: map[string]*drivers.DeviceStats{},
	}
	for _, one := range devices {
		if one.Bus != bus.Name {
			continue
		}
		one.Validate(note("device " + one.Name))
		dev := compileDevice(&one, d.tariff, recall(o.Memory, bus.Name, &one), func(tag string, err error) {
			if first == nil {
				first = fmt.Errorf("device %s: tag %s: %w", one.Name, tag, err)
			}
		})
		for i := range one.Computed {
			t, err := one.Computed[i].tag(&one)
			if err != nil && first == nil {
				first = fmt.Errorf("device %s: %s: %w", one.Name, t.Name, err)
			}
			dev.computed = append(dev.computed, t)
		}
		st := &drivers.DeviceStats{Device: dev.name, Unit: int(dev.unit), State: stateUnknown}
		if one.Disabled {
			st.State = stateDisabled
			d.off = append(d.off, dev)
		} else {
			d.devices = append(d.devices, dev)
		}
		d.stats[dev.name] = st
	}
	if first != nil {
		return nil, first
	}
	protectFast(d.devices, d.tariff)
	return d, nil
}

// Name is the name of the bus.
func (d *Driver) Name() string { return d.bus.Name }

// Tags lists the tags of all devices, disabled ones too.
func (d *Driver) Tags() []drivers.Tag {
	var out []drivers.Tag
	for _, dev := range slices.Concat(d.devices, d.off) {
		for _, p := range dev.points {
			if !p.hidden {
				out = append(out, p.tag)
			}
		}
		out = append(out, dev.computed...)
	}
	return out
}

// Devices is what the supervisor must know of them.
func (d *Driver) Devices() []drivers.DeviceInfo {
	var out []drivers.DeviceInfo
	for _, dev := range slices.Concat(d.devices, d.off) {
		out = append(out, drivers.DeviceInfo{
			Name: dev.name, Label: dev.cfg.Label, Bus: d.bus.Name, Unit: int(dev.unit),
			Poll: dev.cfg.poll().String(), Disabled: dev.cfg.Disabled,
		})
	}
	return out
}

// Run polls until ctx ends. The line reopens by itself, so Run has no other
// reason to end.
func (d *Driver) Run(ctx context.Context, report func([]drivers.Sample)) error {
	end := make(chan struct{})
	d.mu.Lock()
	if d.end != nil {
		d.mu.Unlock()
		return errors.New("bus runs already")
	}
	l := d.opt.open(d.wire)
	p := newPoller(d, l, report)
	d.line, d.end, d.units, d.lineDown = l, end, p.sched.units, false
	d.meters, d.began = map[meterKey]*meter{}, time.Now()
	d.forgetMeters()
	d.mu.Unlock()
	p.loop(ctx)
	d.mu.Lock()
	d.end = nil
	d.mu.Unlock()
	close(end)
	if err := l.Close(); err != nil {
		d.log.Debug("close line", "error", err)
	}
	return ctx.Err()
}

// forgetMeters has the blocks of an earlier Run find their meters anew.
func (d *Driver) forgetMeters() {
	var forget func(b *block)
	forget = func(b *block) {
		b.meter = nil
		for _, k := range b.kids {
			forget(k)
		}
	}
	for _, dev := range d.devices {
		for _, g := range dev.groups {
			for _, b := range g.blocks {
				forget(b)
			}
		}
	}
}

// note changes a device's counters.
func (d *Driver) note(dev *device, change func(*drivers.DeviceStats)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d.stats[dev.name])
}

func (d *Driver) event(e drivers.Event) {
	if d.opt.Event != nil {
		d.opt.Event(e)
	}
}

// find is a device and a point by name.
func (d *Driver) find(device, tag string) (*device, *point, error) {
	for _, dev := range d.devices {
		if dev.name != device {
			continue
		}
		if i, ok := dev.byName[tag]; ok {
			return dev, dev.points[i], nil
		}
		return dev, nil, drivers.Refuse(drivers.CodeNotWritable, "there is no tag %s/%s", device, tag)
	}
	for _, dev := range d.off {
		if dev.name == device {
			return nil, nil, drivers.Refuse(drivers.CodeUnavailable, "%s is disabled in the configuration", device)
		}
	}
	return nil, nil, drivers.Refuse(drivers.CodeNotWritable, "there is no device %q on bus %s", device, d.bus.Name)
}

// startUnits makes the units of a Run and resets the groups. Devices begin one
// after another within the first second, or within their poll if that is less,
// and buses apart from each other by their phase: who begins together stays
// together, and would want the line, the processor and the disk together.
func (d *Driver) startUnits(now time.Time) schedule {
	s := schedule{units: map[byte]*unit{}, budget: newLossBudget(d.bus.Timeout.Or(DefaultTimeout), now), offset: wallOffset(now)}
	for i, dev := range d.devices {
		u := s.units[dev.unit]
		if u == nil {
			u = &unit{id: dev.unit, state: stateUnknown, since: now, after: DefaultAfter, backoffMax: DefaultBackoffMax}
			s.units[dev.unit] = u
		}
		if dev.cfg.Offline.After > 0 {
			u.after = dev.cfg.Offline.After
		}
		u.backoffMax = dev.cfg.Offline.BackoffMax.Or(u.backoffMax)
		u.devices = append(u.devices, dev)
		dev.state, dev.repriced = u, 0
		_, share := math.Modf(d.opt.Phase + float64(i)/float64(len(d.devices)))
		for _, g := range dev.groups {
			if g.zone = nil; dev.cfg.Align {
				g.zone = d.opt.zone()
			}
			g.start(now, share)
			s.aligns = s.aligns || g.aligned()
			s.groups = append(s.groups, g)
		}
	}
	return s
}
