package buffer

import (
	"strconv"

	"fieldgate/buffer/clock"
)

// adoptOld takes over what the counters of a damaged file say and memory does
// not know: upstreams, what they have acknowledged, what was given up.
func (w *writer) adoptOld(m *meta) error {
	b := w.b
	b.mu.Lock()
	b.raiseEpochLocked(m.epoch)
	for _, old := range m.cursors {
		b.adoptOneLocked(old)
	}
	b.dirty = true
	b.mu.Unlock()
	return w.flush()
}

// raiseEpochLocked takes the number of this start above one that a damaged file
// knows. What got its id before keeps it.
func (b *Buffer) raiseEpochLocked(found uint32) {
	if found < b.epoch || found >= maxEpoch {
		return
	}
	b.epoch = found + 1
	b.dirty = true
	b.state.saveEpoch(b.epoch, b.boots.encode())
}

func (b *Buffer) adoptOneLocked(old *Cursor) {
	c := b.cursors[old.bit]
	if c != nil && c.name != old.name || c == nil && b.knowsLocked(old.name) {
		return // its bit was given out anew
	}
	if c == nil {
		c = newCursor(b, old.name, old.bit)
		c.retired = true
		c.markLocked()
		b.cursors[old.bit] = c
	}
	if c.adopted {
		return // memory knew all of it when the file was moved aside
	}
	c.adopted = true
	for class := range classes {
		for _, x := range old.acked[class] {
			c.acked[class].add(x.lo, min(x.hi, classLow(class)|uint64(b.epoch)<<seqBits))
		}
		c.missing += old.stored[class]
	}
	c.missing += old.missing
	for why := range reasons {
		c.drops[why] += old.drops[why]
		c.gaps[why].add(old.gaps[why])
	}
}

func (b *Buffer) knowsLocked(name string) bool {
	for _, c := range b.cursors {
		if c != nil && c.name == name {
			return true
		}
	}
	return false
}

// putBack inserts segments that are not there and that somebody still needs.
// The counters go with them in one transaction.
func (w *writer) putBack(segs []*segment) (msgs int, err error) {
	b := w.b
	b.db.mu.Lock()
	defer b.db.mu.Unlock()
	err = b.db.txLocked(func() error {
		for _, s := range segs {
			put, err := w.putBackOne(s)
			if err != nil {
				return err
			}
			if put {
				msgs += s.head.n
			}
		}
		b.mu.Lock()
		counters := b.encodeMetaLocked(false)
		b.mu.Unlock()
		return b.db.execLocked("INSERT OR REPLACE INTO meta(k, v) VALUES(1, ?)", counters)
	})
	if err != nil {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.cursors {
		if c != nil {
			c.rewindLocked()
			poke(c.notify)
		}
	}
	return msgs, nil
}

func (w *writer) putBackOne(s *segment) (bool, error) {
	b := w.b
	b.mu.Lock()
	eachBit(s.head.targets, func(bit int) {
		if b.cursors[bit] == nil { // nobody knows any more who this was
			c := newCursor(b, "recovered-"+strconv.Itoa(bit), bit)
			c.retired, c.adopted = true, true
			c.markLocked()
			b.cursors[bit] = c
		}
	})
	done := b.completeLocked(&s.head)
	b.mu.Unlock()
	if done {
		return false, nil
	}
	found, err := b.db.numberLocked("SELECT count(*) FROM seg WHERE id = ?", int64(s.head.first))
	if err != nil || found > 0 {
		return false, err
	}
	_, recs, err := unpack(s.hb, s.body, b.boots.current())
	if err != nil {
		return false, nil // its checksum is right and its contents are not: not ours
	}
	if err := b.db.execLocked("INSERT INTO seg(id, head, body) VALUES(?, ?, ?)", int64(s.head.first), s.hb, s.body); err != nil {
		return false, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.raiseEpochLocked(epochOf(s.head.last))
	class := classOf(s.head.first)
	b.diskHigh[class] = max(b.diskHigh[class], s.head.last)
	for i := range recs {
		eachBit(recs[i].targets, func(bit int) {
			c := b.cursors[bit]
			if c.acked[class].has(recs[i].id) {
				return
			}
			c.stored[class]++
			c.waiting[class]++
			c.bytes[class] += int64(share(s.size(), i, len(recs)))
			c.missing--
			if h, out := c.out[recs[i].id]; out && h.lost {
				h.lost, h.share = false, share(s.size(), i, len(recs))
				c.out[recs[i].id] = h
			}
		})
	}
	return true, nil
}

// reportMissing counts what was stored by the counters and was not found.
func (w *writer) reportMissing() (lost uint64) {
	b := w.b
	b.mu.Lock()
	defer b.mu.Unlock()
	now := stampOf(b.boots.current(), clock.Now().Nanos)
	for _, c := range b.cursors {
		if c == nil {
			continue
		}
		if n := c.missing; n > 0 {
			lost += uint64(n)
			last := b.headLocked(0) & orderMask
			c.missLocked(reasonDamaged, gap{count: uint64(n), first: min(c.lowestLocked(), last), last: last, from: now, to: now})
		}
		c.missing = 0
		b.dirty = true
	}
	return lost
}

// lowestLocked is the order part of the lowest id that is not acknowledged.
func (c *Cursor) lowestLocked() uint64 {
	low := uint64(orderMask)
	for class := range classes {
		low = min(low, (c.acked[class].past(classLow(class)+1)+1)&orderMask)
	}
	return low
}

// forgetStoredLocked empties the counters of what was stored: the file is
// gone, and what is found of it will be counted again. What the upstream has in
// hand can still be acknowledged, and is not missing then.
func (c *Cursor) forgetStoredLocked() {
	for class := range classes {
		c.missing += c.stored[class]
		c.waiting[class] -= c.stored[class]
		c.stored[class], c.bytes[class] = 0, 0
	}
	for id, h := range c.out {
		if h.counted == 0 && (h.rec == nil || h.rec.state == recStored) {
			h.rec, h.share, h.lost = nil, 0, true
			c.out[id] = h
		}
	}
	c.rewindLocked()
}

// endSalvage makes absence mean something again.
func (w *writer) endSalvage() error {
	b := w.b
	b.mu.Lock()
	b.salvage = false
	b.dirty = true
	for _, c := range b.cursors {
		if c != nil {
			c.adopted = true
			c.rewindLocked()
			poke(c.notify)
		}
	}
	b.mu.Unlock()
	return w.flush()
}
