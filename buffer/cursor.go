package buffer

import (
	"sort"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// Lane is a part of what waits for an upstream.
type Lane int

// The lanes. A bridge uses either Live and Backlog (or Newest) side by side,
// or Strict, or Urgent.
const (
	Live    Lane = iota // what was appended after the last Mark
	Backlog             // what was there at the last Mark
	Strict              // both, the backlog first
	Newest              // the backlog, each priority from the newest to the oldest
	Urgent              // the alarms of both
	lanes
)

// Values of Next's after that leave out whole priorities.
const (
	NoBulk     uint64 = 1<<64 - 2 // alarms and normal messages
	AlarmsOnly uint64 = 1<<64 - 1
)

// Entry is a stored message on its way to an upstream.
type Entry struct {
	ID       uint64 // names it towards Ack; its order is the order of delivery
	Epoch    uint32 // with Seq: the same message for ever, over restarts too
	Seq      uint64
	Priority Priority
	Message  mqtt.Message // as appended; stamps of earlier boots carry their number
}

// Cursor is the place of one upstream in the queue. Its methods may be called
// from any goroutine.
type Cursor struct {
	b      *Buffer
	name   string
	bit    int
	notify chan struct{}

	// Guarded by Buffer.mu.
	retired bool
	mark    uint64 // order part of the id that divides backlog from live
	pos     [lanes][classes]uint64
	cache   [lanes]loaded
	acked   [classes]spans // what needs no delivery any more, or never did
	fresh   [classes]spans // stored ids acknowledged since the writer last looked
	out     map[uint64]handed
	limbo   int            // of these, given up meanwhile
	waiting [classes]int64 // messages queued, in memory and stored
	stored  [classes]int64 // of these, stored
	bytes   [classes]int64 // their share of the stored bytes
	drops   [reasons]uint64
	gaps    [reasons]gap
	report  bool // gap records are wanted now

	shelf      int64     // not an upstream: keeps at most so many bytes, the newest; 0: an upstream. Set before it is used
	budgetTold time.Time // when a gap record of reasonBudget was made last
	// uncertain: the counters may be too low (damage, acknowledgements that
	// were forgotten), so zero does not prove that nothing is stored.
	uncertain bool
	missing   int64 // was stored in a damaged file and was not found in it yet
	adopted   bool  // knows what the counters of a damaged file say
	reading   bool  // Next was called since the last tick
	lowLimit  int64 // stored bytes when the disk ran low
	offered   uint64
	passed    uint64
	quickest  time.Duration // from Append to the acknowledgement, of late; 0: not known
	trend     trend
	oldest    oldest
}

// handed is what Next has handed out and nobody has acknowledged.
type handed struct {
	rec   *record // while it is in memory
	share int32   // its share of the stored bytes otherwise
	lost  bool    // it was stored in a file that was moved aside, and was not found there yet
	// Given up meanwhile: counted is what was counted as missing for it, which
	// an acknowledgement takes back.
	counted uint64
	why     reason
	told    bool // it is a gap record itself
}

// loaded is a segment that a lane reads from: what is stored of a class in
// (from, to].
type loaded struct {
	class    int
	from, to uint64
	recs     []unpacked
	size     int // stored bytes of the whole segment
}

func newCursor(b *Buffer, name string, bit int) *Cursor {
	return &Cursor{b: b, name: name, bit: bit, notify: make(chan struct{}, 1), out: make(map[uint64]handed)}
}

// Name is the upstream's.
func (c *Cursor) Name() string { return c.name }

// Bit is this upstream's in Item.Targets.
func (c *Cursor) Bit() uint64 { return 1 << c.bit }

// Notify gets a value when something new may be readable.
func (c *Cursor) Notify() <-chan struct{} { return c.notify }

// Mark says that a connection was made: what is stored now is backlog, what
// comes is live, and what was handed out and not acknowledged will be handed
// out again. What was given up since the last Mark is reported as gap records.
func (c *Cursor) Mark() {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	c.markLocked()
	for i := range c.gaps {
		if c.gaps[i].count > 0 {
			c.report = true
			poke(c.b.urgent)
		}
	}
	poke(c.notify)
}

func (c *Cursor) markLocked() {
	c.mark = c.b.headLocked(0) & orderMask
	c.forgetOutLocked()
	c.rewindLocked()
	c.quickest = 0
}

// rewindLocked makes every lane look again from its start; what is handed out
// or acknowledged is passed over.
func (c *Cursor) rewindLocked() {
	c.pos = [lanes][classes]uint64{}
	c.cache = [lanes]loaded{}
}

// low and high bound a lane: it holds the ids in (low, high].
func (c *Cursor) low(lane Lane, class int) uint64 {
	if lane == Live {
		return classLow(class) | c.mark
	}
	return classLow(class)
}

func (c *Cursor) high(lane Lane, class int) uint64 {
	switch {
	case lane == Backlog || lane == Newest:
		return classLow(class) | c.mark
	case lane == Urgent && classPriority(class) != Alarm:
		return classLow(class)
	}
	return classHigh(class)
}

// Next hands out up to max entries of a lane, alarms first, then by age (in
// Newest the youngest first), and
// stops early once they have maxBytes of topic and payload (one entry is
// always handed out). The cursor remembers what it handed out: an entry comes
// again only after Requeue or Mark. after leaves out the ids up to it within
// its priority; pass 0 to leave out nothing, NoBulk or AlarmsOnly to leave out
// what is less urgent. Reading does not remove.
//
// No entry means that the lane is empty for now; wait for Notify. The error
// is ErrClosed; trouble with the disk is the writer's to repair.
func (c *Cursor) Next(lane Lane, after uint64, max, maxBytes int) ([]Entry, error) {
	last := classes
	switch after {
	case NoBulk:
		last, after = 2, 0
	case AlarmsOnly:
		last, after = 1, 0
	}
	t := taker{c: c, lane: lane, after: after, max: max, maxBytes: maxBytes}
	for class := range last {
		for {
			c.b.mu.Lock()
			if c.b.closed {
				c.b.mu.Unlock()
				return nil, ErrClosed
			}
			c.reading = true
			t.expectLocked()
			take, fetch := t.takeLocked, c.load
			if lane == Newest {
				take, fetch = t.takeDownLocked, func(_ Lane, class int, from uint64) bool { return c.loadDown(class, from) }
			}
			load, from := take(class)
			c.b.mu.Unlock()
			if !load {
				break
			}
			if !fetch(lane, class, from) {
				// The disk is out of order: what is in memory need not wait for it.
				c.b.mu.Lock()
				t.onlyMemoryLocked(class)
				c.b.mu.Unlock()
				break
			}
		}
		if t.full() {
			break
		}
	}
	return t.got, nil
}

// taker is one call of Next.
type taker struct {
	c             *Cursor
	lane          Lane
	after         uint64
	max, maxBytes int
	got           []Entry
	bytes         int
}

// expectLocked makes room for what there is to take.
func (t *taker) expectLocked() {
	if t.got != nil {
		return
	}
	n := int64(0)
	for _, w := range t.c.waiting {
		n += w
	}
	if n = min(n-int64(len(t.c.out)), int64(t.max)); n > 0 {
		t.got = make([]Entry, 0, n)
	}
}

func (t *taker) full() bool {
	return len(t.got) >= t.max || len(t.got) > 0 && t.bytes >= t.maxBytes
}

// takeLocked takes what is in memory: records not yet stored and the segment
// that was loaded last. It reports whether, and from where, more must be
// loaded.
func (t *taker) takeLocked(class int) (load bool, from uint64) {
	c, b := t.c, t.c.b
	pos := &c.pos[t.lane][class]
	*pos = max(*pos, c.low(t.lane, class))
	if classOf(t.after) == class {
		*pos = max(*pos, t.after)
	}
	high := min(c.high(t.lane, class), b.headLocked(class))
	for !t.full() {
		*pos = c.acked[class].past(*pos + 1)
		if *pos >= high {
			return false, 0
		}
		if *pos >= b.diskHigh[class] {
			t.fromMemoryLocked(class, pos, high)
			return false, 0
		}
		if c.stored[class] <= 0 && !b.salvage && !c.uncertain {
			end := min(b.diskHigh[class], high)
			c.passLocked(class, *pos+1, end)
			*pos = end
			continue
		}
		l := &c.cache[t.lane]
		if l.class != class || *pos < l.from || *pos >= l.to {
			return true, *pos
		}
		t.fromSegmentLocked(l, pos, high)
	}
	return false, 0
}

// fromSegmentLocked goes through the loaded segment.
func (t *taker) fromSegmentLocked(l *loaded, pos *uint64, high uint64) {
	c := t.c
	i := sort.Search(len(l.recs), func(i int) bool { return l.recs[i].id > *pos })
	for ; i < len(l.recs) && !t.full(); i++ {
		r := &l.recs[i]
		if r.id > high {
			c.passLocked(l.class, *pos+1, high)
			*pos = high
			return
		}
		c.passLocked(l.class, *pos+1, r.id-1)
		*pos = r.id
		_, out := c.out[r.id]
		switch {
		case out || c.acked[l.class].has(r.id):
		case r.targets&c.Bit() == 0:
			c.passLocked(l.class, r.id, r.id)
		default:
			n := len(l.recs)
			t.take(r.id, &r.msg, handed{share: share(l.size, i, n)})
		}
	}
	if i == len(l.recs) && *pos < l.to {
		end := min(l.to, high)
		c.passLocked(l.class, *pos+1, end)
		*pos = end
	}
}

// share divides a segment's bytes among its records so that the shares add up.
func share(size, i, n int) int32 { return int32(size*(i+1)/n - size*i/n) }

// fromMemoryLocked goes through the records that are not stored yet.
func (t *taker) fromMemoryLocked(class int, pos *uint64, high uint64) {
	c := t.c
	list := c.b.ram[class]
	i := sort.Search(len(list), func(i int) bool { return list[i].id > *pos })
	for ; i < len(list) && !t.full(); i++ {
		r := list[i]
		if r.id > high {
			break
		}
		if c.b.earlyLocked(r) {
			return // settle will say that it is there
		}
		c.skipLocked(class, *pos+1, r.id-1)
		*pos = r.id
		_, out := c.out[r.id]
		switch {
		case out || r.need&c.Bit() != 0 && c.acked[class].has(r.id):
		case r.need&c.Bit() == 0:
			c.acked[class].add(r.id, r.id)
		default:
			t.take(r.id, &r.msg, handed{rec: r})
		}
	}
	if !t.full() {
		c.skipLocked(class, *pos+1, high)
		*pos = high
	}
}

// onlyMemoryLocked takes from memory without a word on what is stored before.
func (t *taker) onlyMemoryLocked(class int) {
	c := t.c
	low, high := c.low(t.lane, class), c.high(t.lane, class)
	for _, r := range c.b.ram[class] {
		if t.full() {
			return
		}
		if _, out := c.out[r.id]; !out && r.id > low && r.id <= high && r.need&c.Bit() != 0 {
			t.take(r.id, &r.msg, handed{rec: r})
		}
	}
}

func (t *taker) take(id uint64, m *mqtt.Message, h handed) {
	t.c.out[id] = h
	t.bytes += len(m.Topic) + len(m.Payload)
	e := Entry{ID: id, Epoch: epochOf(id), Seq: seqOf(id), Priority: classPriority(classOf(id)), Message: *m}
	e.Message.Exchange = nil // queued again, in quarantine, it is no repetition
	t.got = append(t.got, e)
}

// skipLocked notes that a range which is not stored holds nothing for this
// upstream: all that is not stored is in memory. While a damaged file is
// searched, what was stored may still turn up.
func (c *Cursor) skipLocked(class int, lo, hi uint64) {
	if !c.b.salvage {
		c.acked[class].add(lo, hi)
	}
}

// passLocked notes that a stored range holds nothing for this upstream. While
// a damaged file is searched, what is missing may still turn up.
func (c *Cursor) passLocked(class int, lo, hi uint64) {
	if hi < lo || c.b.salvage {
		return
	}
	c.acked[class].add(lo, hi)
	c.fresh[class].add(lo, hi)
	c.b.dirty = true
}

// Ack says that the upstream has taken these entries; it is remembered on
// disk with the next commit. Ids that are not handed out are passed over.
func (c *Cursor) Ack(ids ...uint64) {
	b := c.b
	b.mu.Lock()
	defer b.mu.Unlock()
	newest := clock.Stamp{}
	for _, id := range ids {
		h, ok := c.out[id]
		if !ok {
			continue
		}
		delete(c.out, id)
		c.passed++
		if h.rec != nil && newest.Before(h.rec.msg.Stamp) {
			newest = h.rec.msg.Stamp
		}
		if h.counted > 0 {
			c.foundLocked(h)
			continue
		}
		c.ackLocked(id, h)
	}
	if !newest.IsZero() {
		c.answeredLocked(clock.Now().Sub(newest))
	}
	if b.cfg.Full == FullBlock {
		b.roomLocked()
	}
}

// ackLocked takes one message out of what this upstream waits for.
func (c *Cursor) ackLocked(id uint64, h handed) {
	b, class := c.b, classOf(id)
	c.acked[class].add(id, id)
	if h.lost {
		c.missing--
		b.dirty = true
		return
	}
	c.waiting[class]--
	r := h.rec
	if r == nil || r.state == recCounted || r.state == recStored {
		if r != nil {
			h.share = r.share
		}
		c.unstoreLocked(class, 1, int64(h.share))
	}
	if r != nil {
		r.need &^= c.Bit()
		if r.need == 0 {
			if r.state == recWaiting {
				b.stats.elided++
				b.goneLocked(r)
				return
			}
			r.wait.release()
			r.wait = nil
		}
		if r.state == recWaiting {
			return
		}
	}
	c.fresh[class].add(id, id)
	b.dirty = true
}

// Requeue gives entries back that could not be sent; they are handed out
// again.
func (c *Cursor) Requeue(ids ...uint64) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	for _, id := range ids {
		c.takeBackLocked(id)
	}
	c.rewindLocked()
	poke(c.notify)
}

// unstoreLocked takes messages out of the stored counters.
func (c *Cursor) unstoreLocked(class int, n, bytes int64) {
	c.stored[class] = max(c.stored[class]-n, 0)
	c.bytes[class] = max(c.bytes[class]-bytes, 0)
	if c.stored[class] == 0 {
		c.bytes[class] = 0
	}
}
