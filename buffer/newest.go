package buffer

import "sort"

// The lane Newest is the backlog read downwards. Here pos is the id that was
// looked at last, zero before the first; everything above it is known.

// takeDownLocked is takeLocked for it.
func (t *taker) takeDownLocked(class int) (load bool, from uint64) {
	c, b := t.c, t.c.b
	low, high := c.low(t.lane, class), min(c.high(t.lane, class), b.headLocked(class))
	pos := &c.pos[t.lane][class]
	if *pos == 0 {
		*pos = high + 1
	}
	for !t.full() && *pos > low+1 {
		id := *pos - 1
		if first, ok := c.acked[class].holds(id); ok {
			*pos = max(first, low+1)
			continue
		}
		if id > b.diskHigh[class] {
			if !t.downMemoryLocked(class, pos, low) {
				break // settle will say that it is there
			}
			continue
		}
		if c.stored[class] <= 0 && !b.salvage && !c.uncertain {
			c.passLocked(class, low+1, id)
			*pos = low + 1
			break
		}
		l := &c.cache[t.lane]
		if l.class != class || id <= l.from || id > l.to {
			return true, id
		}
		t.downSegmentLocked(l, pos, low)
	}
	return false, 0
}

// downMemoryLocked goes down through the records that are not stored yet. It
// reports false where one must be stored before it is handed out.
func (t *taker) downMemoryLocked(class int, pos *uint64, low uint64) bool {
	c := t.c
	list := c.b.ram[class]
	low = max(low, c.b.diskHigh[class])
	i := sort.Search(len(list), func(i int) bool { return list[i].id >= *pos }) - 1
	for ; i >= 0 && list[i].id > low && !t.full(); i-- {
		r := list[i]
		if c.b.earlyLocked(r) {
			return false
		}
		c.acked[class].add(r.id+1, *pos-1)
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
	if i < 0 || list[i].id <= low {
		c.acked[class].add(low+1, *pos-1)
		*pos = low + 1
	}
	return true
}

// downSegmentLocked goes down through the loaded segment.
func (t *taker) downSegmentLocked(l *loaded, pos *uint64, low uint64) {
	c := t.c
	low = max(low, l.from)
	i := sort.Search(len(l.recs), func(i int) bool { return l.recs[i].id >= *pos }) - 1
	for ; i >= 0 && l.recs[i].id > low && !t.full(); i-- {
		r := &l.recs[i]
		c.passLocked(l.class, r.id+1, *pos-1)
		*pos = r.id
		_, out := c.out[r.id]
		switch {
		case out || c.acked[l.class].has(r.id):
		case r.targets&c.Bit() == 0:
			c.passLocked(l.class, r.id, r.id)
		default:
			t.take(r.id, &r.msg, handed{share: share(l.size, i, len(l.recs))})
		}
	}
	if i < 0 || l.recs[i].id <= low {
		c.passLocked(l.class, low+1, *pos-1)
		*pos = low + 1
	}
}

// loadDown reads the segment that holds id or comes next below it.
func (c *Cursor) loadDown(class int, id uint64) bool {
	b := c.b
	for below := id; ; {
		b.db.mu.Lock()
		s, next, err := b.segmentBeforeLocked(class, below, c.Bit(), 500)
		b.db.mu.Unlock()
		switch {
		case err != nil:
			b.report(err)
			return false
		case s != nil:
			return c.keepDown(class, id, s)
		case next > classLow(class):
			below = next
		default:
			b.mu.Lock()
			c.cache[Newest] = loaded{class: class, from: classLow(class), to: id}
			b.mu.Unlock()
			return true
		}
	}
}

// keepDown unpacks a segment into the lane; above it there is nothing up to id.
func (c *Cursor) keepDown(class int, id uint64, s *stored) bool {
	b := c.b
	l := loaded{class: class, from: s.id - 1, to: id, size: len(s.hb) + len(s.body)}
	err := s.bad
	if err == nil {
		_, l.recs, err = unpack(s.hb, s.body, b.boots.current())
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		c.cache[Newest] = l
		return true
	}
	b.badSegs = append(b.badSegs, s.id) // as keep does
	b.dirty = true
	c.uncertain = true
	poke(b.urgent)
	c.pos[Newest][class] = min(c.pos[Newest][class], s.id)
	return true
}

// segmentBeforeLocked finds the last stored segment that begins at id or below
// it and holds, by its head, something for mask; a damaged head counts as
// holding something. rows bounds the search; next is where to go on where
// nothing was found within it, or 0 where there is no more. The caller holds
// db.mu.
func (b *Buffer) segmentBeforeLocked(class int, id, mask uint64, rows int) (found *stored, next uint64, err error) {
	n := 0
	err = b.db.queryLocked("SELECT id, head FROM seg WHERE id <= ? AND id > ? ORDER BY id DESC LIMIT ?", func(scan func(...any) error) error {
		if found != nil {
			return nil
		}
		var at int64
		var hb []byte
		if err := scan(&at, &hb); err != nil {
			return err
		}
		n++
		next = uint64(at) - 1
		h, err := readHead(hb)
		if err == nil && h.first != uint64(at) {
			err = errShort
		}
		if err == nil && h.targets&mask == 0 {
			return nil
		}
		found = &stored{id: uint64(at), hb: hb, head: h, bad: err}
		return nil
	}, int64(id), int64(classLow(class)), rows)
	if err != nil || found == nil {
		if n < rows {
			next = 0
		}
		return nil, next, err
	}
	err = b.db.queryLocked("SELECT body FROM seg WHERE id = ?", func(scan func(...any) error) error { return scan(&found.body) }, int64(found.id))
	return found, 0, err
}
