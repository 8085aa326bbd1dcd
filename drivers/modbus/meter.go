package modbus

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"fieldgate/drivers/modbus/wire"
)

const (
	meterRing = 64   // answers that percentiles cover
	maxMeters = 4096 // requests of a bus that are counted apart; plans change, and old ones stay
	meterIdle = 3    // polls after which a request that is not sent any more is not shown
)

// meter counts what became of one request. Driver.mu guards it.
type meter struct {
	plan   PlannedRequest
	counts wire.Counts // by the line

	ok, timeouts, crc, misfits, lost uint64
	exceptions                       map[byte]uint64
	busy                             time.Duration
	ring                             [meterRing]time.Duration
	answers                          int
	longest                          time.Duration
	failure                          string
	at                               time.Time // of the last
}

// meterKey tells the requests of a bus apart.
type meterKey struct {
	device      string
	area        Area
	addr, count int
	poll        Poll
}

// counted has the line count for a run's request.
func (p *poller) counted(f *flight) {
	if f.t.meter == nil {
		p.d.mu.Lock()
		f.t.meter = p.d.meterLocked(f.g, f.t.block)
		p.d.mu.Unlock()
	}
	f.req.Counts = &f.t.meter.counts
}

// measure counts the outcome of a run's request.
func (p *poller) measure(f *flight) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	f.t.meter.count(f)
}

// meterLocked finds or makes the meter of a block: one that was planned before
// goes on.
func (d *Driver) meterLocked(g *group, b *block) *meter {
	key := meterKey{g.dev.name, b.area, b.addr, b.count, g.poll}
	m := d.meters[key]
	if m == nil {
		m = &meter{plan: planned(d.bus, d.wire, g.dev, g, b)}
		if len(d.meters) < maxMeters {
			d.meters[key] = m
		}
	}
	return m
}

func (m *meter) count(f *flight) {
	took := f.landed.Sub(f.started)
	if f.err == nil && f.reply.Took > 0 {
		took = f.reply.Took // without waiting for the line
	}
	m.at = f.landed
	m.busy += took
	var ex *wire.Exception
	var misfit *wire.ReplyError
	switch {
	case f.err == nil:
		m.ok++
	case errors.As(f.err, &ex):
		if m.exceptions == nil {
			m.exceptions = map[byte]uint64{}
		}
		m.exceptions[ex.Code]++
	case errors.As(f.err, &misfit):
		m.misfits++
	case errors.Is(f.err, wire.ErrTimeout):
		m.timeouts++
	case errors.Is(f.err, wire.ErrCRC):
		m.crc++
	default:
		m.lost++
	}
	if f.err != nil {
		m.failure = f.err.Error()
	}
	if f.err == nil || ex != nil {
		m.ring[m.answers%meterRing] = took
		m.answers++
		m.longest = max(m.longest, took)
	}
}

// Measured is one request that a running driver sends, with what became of it.
type Measured struct {
	PlannedRequest
	OK, Timeouts, CRC, Misfits, Lost uint64
	Exceptions                       map[byte]uint64 // by code
	Late, Retries                    uint64          // answers that came after their time; repeats
	P50, P95, Max                    time.Duration   // of answers, from the request's first byte to their last
	Share                            float64         // of the line, since the driver runs
	Failure                          string          // the last one
}

// Measured lists the requests of the polls, in the order of the devices.
func (d *Driver) Measured() []Measured {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	var out []Measured
	for _, m := range d.meters {
		if every := m.plan.Poll.Every(); every > 0 && now.Sub(m.at) > meterIdle*every+time.Minute {
			continue
		}
		one := Measured{
			PlannedRequest: m.plan, OK: m.ok, Timeouts: m.timeouts, CRC: m.crc, Misfits: m.misfits, Lost: m.lost,
			Exceptions: maps.Clone(m.exceptions), Late: m.counts.Late.Load(), Retries: m.counts.Retries.Load(),
			Max: m.longest, Failure: m.failure,
		}
		if n := min(m.answers, meterRing); n > 0 {
			sorted := slices.Clone(m.ring[:n])
			slices.Sort(sorted)
			one.P50, one.P95 = sorted[n/2], sorted[n*95/100]
		}
		if ran := now.Sub(d.began); ran > 0 {
			one.Share = m.busy.Seconds() / ran.Seconds()
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b Measured) int {
		return cmp.Or(cmp.Compare(a.Device, b.Device), cmp.Compare(a.Poll, b.Poll), cmp.Compare(a.Function, b.Function), cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.Count, b.Count))
	})
	return out
}

// Exchanges lists the last exchanges of the line, oldest first; unit < 0 means
// all units. There are none before the driver has run.
func (d *Driver) Exchanges(unit int) []wire.Exchange {
	d.mu.Lock()
	l := d.line
	d.mu.Unlock()
	if ring, ok := l.(interface {
		Exchanges(unit int) []wire.Exchange
	}); ok {
		return ring.Exchanges(unit)
	}
	return nil
}

// LineStats counts what happened on the line since a moment, by unit too; ok
// is false before the driver has run.
func (d *Driver) LineStats() (s wire.Stats, since time.Time, ok bool) {
	d.mu.Lock()
	l, since := d.line, d.began
	d.mu.Unlock()
	counting, ok := l.(interface{ Stats() wire.Stats })
	if !ok {
		return s, since, false
	}
	return counting.Stats(), since, true
}
