package buffer

// headsLocked reads the heads of the stored segments that overlap lo to hi,
// at most limit, in order. A head that cannot be read is left to the reader
// of its segment. The caller holds db.mu.
func (b *Buffer) headsLocked(lo, hi uint64, limit int) (out []head, err error) {
	row := func(scan func(...any) error) error {
		var id int64
		var hb []byte
		if err := scan(&id, &hb); err != nil {
			return err
		}
		h, err := readHead(hb)
		if err == nil && h.first == uint64(id) && h.last >= lo {
			out = append(out, h)
		}
		return nil
	}
	err = b.db.queryLocked("SELECT id, head FROM seg WHERE id <= ? AND id > ? ORDER BY id DESC LIMIT 1", row,
		int64(lo), int64(classLow(classOf(lo))))
	if err != nil {
		return nil, err
	}
	err = b.db.queryLocked("SELECT id, head FROM seg WHERE id > ? AND id <= ? ORDER BY id LIMIT ?", row,
		int64(lo), int64(hi), limit-len(out))
	return out, err
}

// stored is a segment as it lies in the file.
type stored struct {
	id       uint64
	hb, body []byte
	head     head
	bad      error // why the head cannot be read
}

// segmentAfterLocked finds the first stored segment that holds an id beyond
// pos of its class and, by its head, something for mask; a damaged head counts
// as holding something. rows bounds the search; next is where to go on where
// nothing was found within it, or 0 where there is no more. The caller holds
// db.mu.
func (b *Buffer) segmentAfterLocked(class int, pos, mask uint64, rows int) (found *stored, next uint64, err error) {
	n := 0
	try := func(scan func(...any) error) error {
		if found != nil {
			return nil
		}
		var id int64
		var hb []byte
		if err := scan(&id, &hb); err != nil {
			return err
		}
		n++
		next = uint64(id)
		h, err := readHead(hb)
		if err == nil && h.first != uint64(id) {
			err = errShort
		}
		if err == nil && (h.last <= pos || h.targets&mask == 0) {
			next = max(h.last, uint64(id))
			return nil
		}
		if err != nil && uint64(id) <= pos {
			return nil // a damaged one that was passed before
		}
		found = &stored{id: uint64(id), hb: hb, head: h, bad: err}
		return nil
	}
	err = b.db.queryLocked("SELECT id, head FROM seg WHERE id <= ? AND id > ? ORDER BY id DESC LIMIT 1", try,
		int64(pos+1), int64(classLow(class)))
	if err == nil && found == nil {
		n = 0
		err = b.db.queryLocked("SELECT id, head FROM seg WHERE id > ? AND id <= ? ORDER BY id LIMIT ?", try,
			int64(pos+1), int64(classHigh(class)), rows)
	}
	if err != nil || found == nil {
		if n < rows {
			next = 0
		}
		return nil, next, err
	}
	err = b.db.queryLocked("SELECT body FROM seg WHERE id = ?", func(scan func(...any) error) error { return scan(&found.body) }, int64(found.id))
	return found, 0, err
}

// load brings the next stored segment of a lane to memory. It reports false
// where that failed and the writer was told.
func (c *Cursor) load(lane Lane, class int, pos uint64) bool {
	b := c.b
	from := pos
	b.mu.Lock()
	high := b.diskHigh[class]
	b.mu.Unlock()
	for {
		b.db.mu.Lock()
		s, next, err := b.segmentAfterLocked(class, pos, c.Bit(), 500)
		b.db.mu.Unlock()
		switch {
		case err != nil:
			b.report(err)
			return false
		case s != nil:
			return c.keep(lane, class, from, s)
		case next > pos && next < high:
			pos = next
		default:
			c.b.mu.Lock()
			c.cache[lane] = loaded{class: class, from: from, to: max(high, from+1)}
			c.b.mu.Unlock()
			return true
		}
	}
}

// keep unpacks a segment into the lane.
func (c *Cursor) keep(lane Lane, class int, from uint64, s *stored) bool {
	b := c.b
	err := s.bad
	l := loaded{class: class, from: from, to: s.id, size: len(s.hb) + len(s.body)}
	if err == nil {
		l.to = s.head.last
		_, l.recs, err = unpack(s.hb, s.body, b.boots.current())
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		// The writer sets the segment aside and counts what is lost with it.
		b.badSegs = append(b.badSegs, s.id)
		b.dirty = true
		l.recs = nil
		c.uncertain = true
		poke(b.urgent)
		// Nothing in it is acknowledged by passing over it here.
		c.pos[lane][class] = max(c.pos[lane][class], l.to)
		return true
	}
	c.cache[lane] = l
	return true
}

// report hands an error of the database to the writer.
func (b *Buffer) report(err error) {
	b.mu.Lock()
	if b.fault == nil {
		b.fault = err
	}
	b.mu.Unlock()
	poke(b.urgent)
}
