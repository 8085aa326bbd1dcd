package wire

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

// turnarounds is how many of a unit's last answers its percentiles cover.
const turnarounds = 128

// lateWindow is the number of requests over which late answers are judged.
const lateWindow = 100

// Stats is what happened on a line since New.
type Stats struct {
	Name, Kind, Target string
	Open               bool
	Error              string // why it is not open, or why it was lost last
	Requests           uint64 // sent, repeats and check reads included
	OK                 uint64 // answered as asked
	Timeouts           uint64
	CRC                uint64 // answers without a valid frame
	Misfits            uint64 // valid frames that do not fit the request
	Lost               uint64 // exchanges that ended with the wire or the caller
	Exceptions         map[byte]uint64
	Late               uint64 // answers that came after their time, or unasked
	Retries            uint64
	Checks             uint64 // reads sent first, to tell a late answer or an echo
	Reconnects         uint64
	BytesIn, BytesOut  uint64
	Busy               time.Duration // time with a request outstanding
	InFlight           int           // requests that may be under way at once
	Latency            int           // the adapter's latency timer in ms, 0: none
	Notes              []string      // what the port could not do, as it was opened last
	Units              []UnitStats   // by unit
	Hints              []string      // what to do about it, in plain words
}

// UnitStats is the share of one unit.
type UnitStats struct {
	Unit                       byte
	OK, Timeouts, CRC, Misfits uint64
	Exceptions                 map[byte]uint64
	Late, Retries              uint64        // as on the line
	Busy                       time.Duration // time with a request to it outstanding
	Last                       string        // the last error
	P50, P95, Max              time.Duration // turn-around of the last answers; Max of all
	misses                     bool          // the request after a change of unit
}

// counters guards a Stats; the line's holder adds, anybody copies.
type counters struct {
	mu    sync.Mutex
	s     Stats
	units map[byte]*unitCounters
	late_ lateJudge
	alone string // why requests go one after another though several may; "": they do not
	noise uint64 // failures that brought only 00 and FF

	switchPause time.Duration // learnt, see switch.go
}

type unitCounters struct {
	UnitStats
	edges [5]edge // by read function
	judge switchJudge
	ring  [turnarounds]time.Duration
	count int
}

// lateJudge keeps the late answers of the last window.
type lateJudge struct {
	requests, late, lateBefore int
	slowest                    time.Duration // of the late answers whose request is known
}

func (c *counters) unit(u byte) *unitCounters {
	if c.units == nil {
		c.units = map[byte]*unitCounters{}
	}
	if c.units[u] == nil {
		c.units[u] = &unitCounters{UnitStats: UnitStats{Unit: u}}
	}
	return c.units[u]
}

// exchanged counts one finished exchange.
func (c *counters) exchanged(req Request, o *outcome, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	took := o.end.Sub(o.start)
	c.s.Requests++
	c.s.Busy += took
	c.late_.request()
	if err == nil && req.Unit == 0 && len(o.rx) == 0 {
		c.s.OK++ // a broadcast says nothing about a unit
		return
	}
	u := c.unit(req.Unit)
	u.Busy += took
	ex := (*Exception)(nil)
	answered := err == nil || errors.As(err, &ex)
	c.changed(u, o.fresh, answered)
	if err == nil {
		c.s.OK++
		u.OK++
		u.answered(took)
		u.served(req)
		return
	}
	if o.excuse {
		return // the repeat tells
	}
	c.failed(u, err)
	u.Last = err.Error()
	if answered {
		u.answered(took)
		u.refused(req, ex.Code)
		return
	}
	if onlyZerosAndOnes(o.rx) {
		c.noise++
	}
}

func (u *unitCounters) answered(took time.Duration) {
	u.ring[u.count%turnarounds] = took
	u.count++
	u.Max = max(u.Max, took)
}

func (c *counters) failed(u *unitCounters, err error) {
	var ex *Exception
	var re *ReplyError
	switch {
	case errors.As(err, &ex):
		addException(&c.s.Exceptions, ex.Code)
		addException(&u.Exceptions, ex.Code)
	case errors.As(err, &re):
		c.s.Misfits++
		u.Misfits++
	case errors.Is(err, ErrTimeout):
		c.s.Timeouts++
		u.Timeouts++
	case errors.Is(err, ErrCRC):
		c.s.CRC++
		u.CRC++
	default:
		c.s.Lost++
	}
}

func addException(m *map[byte]uint64, code byte) {
	if *m == nil {
		*m = map[byte]uint64{}
	}
	(*m)[code]++
}

func (c *counters) add(n *uint64, d int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n += uint64(max(d, 0))
}

func (c *counters) sent(n int)     { c.add(&c.s.BytesOut, n) }
func (c *counters) received(n int) { c.add(&c.s.BytesIn, n) }
func (c *counters) checked()       { c.add(&c.s.Checks, 1) }

func (c *counters) retried(req Request) {
	if req.Counts != nil {
		req.Counts.Retries.Add(1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Retries++
	c.unit(req.Unit).Retries++
}

// late counts an answer that nobody waits for; known tells how old its request is.
func (c *counters) late(unit byte, age time.Duration, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Late++
	if u := c.units[unit]; u != nil { // never for a unit that was not asked
		u.Late++
	}
	c.late_.late++
	if known {
		c.late_.slowest = max(c.late_.slowest, age)
	}
}

// narrow notes that a device cannot take several requests at once.
func (c *counters) narrow(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alone = why
}

func (c *counters) narrowed() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.alone
}

func (c *counters) opened(again bool, latency int, notes []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Open, c.s.Error, c.s.Latency, c.s.Notes = true, "", latency, notes
	if again {
		c.s.Reconnects++
	}
}

func (c *counters) closed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Open = false
}

func (c *counters) down(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Open, c.s.Error = false, err.Error()
}

func (j *lateJudge) request() {
	if j.requests++; j.requests == lateWindow {
		j.requests, j.lateBefore, j.late = 0, j.late, 0
	}
}

// tooMany reports more than 3 late answers in about 100 requests.
func (j *lateJudge) tooMany() bool { return max(j.late, j.lateBefore) > 3 }

// Stats is a copy of the counters.
func (l *Line) Stats() Stats {
	c := &l.stats
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.s
	s.Name, s.Kind, s.Target = l.cfg.Name, l.cfg.Kind.String(), l.cfg.Target()
	if s.InFlight = l.cfg.MaxInFlight; c.alone != "" {
		s.InFlight = 1
	}
	s.Exceptions = maps.Clone(c.s.Exceptions)
	for _, u := range c.units {
		one := u.UnitStats
		one.Exceptions = maps.Clone(u.Exceptions)
		one.P50, one.P95 = u.percentiles()
		s.Units = append(s.Units, one)
	}
	slices.SortFunc(s.Units, func(a, b UnitStats) int { return int(a.Unit) - int(b.Unit) })
	s.Hints = c.hints(l.cfg, s)
	return s
}

func (u *unitCounters) percentiles() (p50, p95 time.Duration) {
	n := min(u.count, turnarounds)
	if n == 0 {
		return 0, 0
	}
	sorted := slices.Clone(u.ring[:n])
	slices.Sort(sorted)
	return sorted[n/2], sorted[n*95/100]
}
