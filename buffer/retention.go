package buffer

import (
	"time"

	"fieldgate/buffer/clock"
)

// What a class may keep of max_size while another one has something to give:
// alarms 5 %, normal messages 60 %, bulk nothing.
const (
	alarmShare  = 5
	normalShare = 60
)

// storedLocked is the stored bytes of all classes.
func (c *Cursor) storedLocked() (n int64) {
	for class := range classes {
		n += c.bytes[class]
	}
	return n
}

// limitLocked is max_size, or what is stored at the moment while the disk has
// less than min_free: then the queue stays as large as it is.
func (c *Cursor) limitLocked() int64 {
	limit := c.roomLocked()
	if c.b.lowDisk {
		limit = min(limit, max(c.lowLimit, MinMaxSize))
	}
	return limit
}

// roomLocked is what the upstream's part may take by the configuration.
func (c *Cursor) roomLocked() int64 {
	if c.shelf > 0 {
		return min(c.shelf, int64(c.b.cfg.MaxSize))
	}
	return int64(c.b.cfg.MaxSize)
}

// fullLocked reports whether the upstream's part is at its limit for a class.
// Alarms are taken until they fill their own share as well.
func (c *Cursor) fullLocked(class int) bool {
	limit := c.limitLocked()
	return c.storedLocked() >= limit && (class != 0 || c.bytes[0] >= limit*alarmShare/100)
}

// refusesLocked reports whether a new message of class is refused by policy.
func (c *Cursor) refusesLocked(class int) bool {
	return (c.b.cfg.Full == FullDropNewest || c.b.cfg.Full == FullBlock) && c.shelf == 0 && c.fullLocked(class)
}

// victimLocked is the class that gives something up next, or -1 where nothing
// is stored: bulk first, then normal messages beyond their share, alarms
// beyond theirs, and at last whatever there is.
func (c *Cursor) victimLocked() int {
	limit := c.limitLocked()
	switch {
	case c.stored[2] > 0:
		return 2
	case c.stored[1] > 0 && (c.bytes[1] > limit*normalShare/100 || c.bytes[0] <= limit*alarmShare/100):
		return 1
	case c.stored[0] > 0 && c.bytes[0] > limit*alarmShare/100:
		return 0
	case c.stored[1] > 0:
		return 1
	case c.stored[0] > 0:
		return 0
	}
	return -1
}

// enforce brings every upstream's part under its limit.
func (w *writer) enforce() {
	b := w.b
	evicts := b.cfg.Full == FullDropOldest || b.cfg.Full == FullThin
	for _, c := range b.allCursors() {
		if !evicts && c.shelf == 0 {
			continue
		}
		for range 1000 { // more in the next commit
			b.mu.Lock()
			class, over := c.victimLocked(), c.storedLocked() > c.limitLocked()
			b.mu.Unlock()
			if !over || class < 0 {
				break
			}
			if b.cfg.Full == FullThin && c.shelf == 0 && class != 0 && w.thinOne(c, class) {
				continue
			}
			if !w.evictOne(c, class, reasonFull, nil) {
				break
			}
		}
	}
}

// evictAny gives up to n of the oldest segments up, of the upstream that has
// most, and returns how many.
func (w *writer) evictAny(n int) (dropped int) {
	b := w.b
	for dropped < n {
		var most *Cursor
		class := -1
		b.mu.Lock()
		for _, c := range b.cursors {
			if c != nil && (most == nil || c.storedLocked() > most.storedLocked()) {
				most = c
			}
		}
		if most != nil {
			class = most.victimLocked()
		}
		b.mu.Unlock()
		if class < 0 || !w.evictOne(most, class, reasonFull, nil) {
			return dropped
		}
		dropped++
	}
	return dropped
}

// evictOne takes the oldest segment of a class away from one upstream, but for
// what is handed out: that may be there already, and would be delivered and
// reported. (A person who drops everything means that too.) Where when is
// given, only if it agrees. It reports false where there was nothing to take.
func (w *writer) evictOne(c *Cursor, class int, why reason, when func(*head) bool) bool {
	b := w.b
	b.mu.Lock()
	pos := c.acked[class].past(classLow(class) + 1)
	b.mu.Unlock()
	for range evictLook {
		s := w.segmentAfter(c, class, pos)
		if s == nil || when != nil && (s.bad != nil || !when(&s.head)) {
			return false
		}
		_, recs, err := unpack(s.hb, s.body, b.boots.current())
		if s.bad != nil || err != nil {
			b.mu.Lock()
			b.badSegs = append(b.badSegs, s.id)
			b.mu.Unlock()
			w.quarantine()
			return true
		}
		if w.takeAway(c, s, recs, pos, why) {
			return true
		}
		b.mu.Lock()
		pos = c.acked[class].past(s.head.last + 1)
		b.mu.Unlock()
	}
	return false
}

// evictLook is how many segments evictOne looks at for one that is not handed
// out altogether; a bridge reads ahead less than that.
const evictLook = 64

// takeAway gives up what a cursor has in a segment and reports whether that
// was anything. Nothing for the cursor lies between pos and the segment.
func (w *writer) takeAway(c *Cursor, s *stored, recs []unpacked, pos uint64, why reason) bool {
	b, class := w.b, classOf(s.head.first)
	b.mu.Lock()
	defer b.mu.Unlock()
	size, kept, taken := s.size(), 0, 0
	for i := range recs {
		r := &recs[i]
		if r.targets&c.Bit() == 0 || c.acked[class].has(r.id) {
			continue
		}
		if _, out := c.out[r.id]; out && why != reasonOperator {
			kept++
			continue
		}
		taken++
		c.waiting[class]--
		c.unstoreLocked(class, 1, int64(share(size, i, len(recs))))
		c.giveUpLocked(why, r.id, &r.msg)
		c.acked[class].add(r.id, r.id)
	}
	if kept == 0 {
		if !b.salvage {
			c.acked[class].add(pos+1, s.head.first-1)
		}
		c.acked[class].add(s.head.first, s.head.last)
	}
	c.fresh[class].add(s.head.first, s.head.last)
	b.dirty = true
	b.roomLocked()
	return taken > 0 || kept == 0
}

// segmentAfter finds a stored segment for an upstream beyond pos; nil where
// there is none, or where the disk fails (which the next commit will see to).
func (w *writer) segmentAfter(c *Cursor, class int, pos uint64) *stored {
	for {
		w.b.db.mu.Lock()
		s, next, err := w.b.segmentAfterLocked(class, pos, c.Bit(), 500)
		w.b.db.mu.Unlock()
		if err != nil {
			w.b.report(err)
			return nil
		}
		if s != nil || next <= pos {
			return s
		}
		pos = next
	}
}

// expire gives up what is older than max_age. Nothing is, while the clock of
// this boot was never synchronised, or where a segment's boot never was.
func (w *writer) expire() {
	b := w.b
	maxAge := b.cfg.MaxAge.Std()
	if !b.boots.trusted() {
		return
	}
	old := func(h *head) bool {
		age, certain := b.boots.age(clock.Stamp{Boot: h.boot, Nanos: h.newest})
		return certain && age > maxAge
	}
	for _, c := range b.allCursors() {
		for class := range classes {
			for range 1000 {
				if !w.evictOne(c, class, reasonAge, old) {
					break
				}
			}
		}
	}
}

// oldest is the time of the oldest stored message of an upstream.
type oldest struct {
	stamp clock.Stamp
	known bool
}

// findOldest looks the oldest stored message of each upstream up.
func (w *writer) findOldest() {
	b := w.b
	for _, c := range b.allCursors() {
		var o oldest
		for class := range classes {
			b.mu.Lock()
			pos, n := c.acked[class].past(classLow(class)+1), c.stored[class]
			b.mu.Unlock()
			if n == 0 {
				continue
			}
			s := w.segmentAfter(c, class, pos)
			if s == nil || s.bad != nil {
				continue
			}
			stamp := clock.Stamp{Boot: s.head.boot, Nanos: s.head.oldest}
			if !o.known || stamp.Before(o.stamp) {
				o = oldest{stamp, true}
			}
		}
		b.mu.Lock()
		c.oldest = o
		b.mu.Unlock()
	}
}

// allCursors is every cursor there is at the moment.
func (b *Buffer) allCursors() (out []*Cursor) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.cursors {
		if c != nil {
			out = append(out, c)
		}
	}
	return out
}

// tick does once a second what has no other occasion.
func (w *writer) tick() {
	b := w.b
	now := time.Now()
	dt := now.Sub(w.lastTick)
	w.lastTick = now
	w.measure()
	w.keepShort(w.diskFree.Load() < tightBelow)
	if b.boots.note() {
		w.saveBoots()
	}
	b.mu.Lock()
	for _, c := range b.cursors {
		if c == nil {
			continue
		}
		c.trend.note(c.storedLocked(), dt)
		c.forgetLocked()
		if c.reading {
			c.reading = false
			c.report = c.report || c.gapDueLocked(now)
			b.dirty = b.dirty || c.report
		}
	}
	b.mu.Unlock()
	if w.down != nil {
		w.flush()
		return
	}
	w.settleCounts()
	w.saveMark()
	w.expire()
	w.findOldest()
	w.shrink()
}

func stampOf(boot uint32, nanos int64) clock.Stamp { return clock.Stamp{Boot: boot, Nanos: nanos} }
