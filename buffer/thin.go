package buffer

import (
	"fieldgate/mqtt"
)

// thinner is where full = "thin" stands: it sweeps from the oldest segment to
// the middle of what is stored and starts again, so that what has waited
// longest has lost most of its resolution, and nothing its whole history.
// It belongs to the writer.
type thinner struct {
	sweeps map[sweepKey]*sweep
}

type sweepKey struct{ bit, class int }

type sweep struct {
	pos   uint64
	bytes int64           // swept over since the oldest
	odd   map[string]bool // topics whose last value was kept
}

const (
	maxThinTopics = 10000 // topics whose turn is remembered
	thinLook      = 16    // segments looked at for one that can be thinned
)

func (t *thinner) of(bit, class int) *sweep {
	if t.sweeps == nil {
		t.sweeps = make(map[sweepKey]*sweep)
	}
	s := t.sweeps[sweepKey{bit, class}]
	if s == nil {
		s = &sweep{odd: make(map[string]bool)}
		t.sweeps[sweepKey{bit, class}] = s
	}
	return s
}

// keep says of every second value of a topic that it stays.
func (s *sweep) keep(topic string) bool {
	if len(s.odd) >= maxThinTopics {
		clear(s.odd)
	}
	keep := !s.odd[topic]
	s.odd[topic] = keep
	return keep
}

// thinOne takes every second value out of the next segments in the sweep. It
// reports false where there was nothing to thin.
func (w *writer) thinOne(c *Cursor, class int) bool {
	s := w.thinned.of(c.bit, class)
	for range thinLook {
		w.b.mu.Lock()
		low := c.acked[class].past(classLow(class) + 1)
		half := c.bytes[class] / 2
		w.b.mu.Unlock()
		if s.pos < low || s.bytes > half {
			s.pos, s.bytes = low, 0
			clear(s.odd)
		}
		seg := w.segmentAfter(c, class, s.pos)
		if seg == nil || seg.bad != nil {
			s.pos = 0
			return false
		}
		s.pos = max(seg.head.last, seg.id)
		n, err := w.thinSegment(c, s, seg)
		s.bytes += int64(seg.size())
		if err != nil {
			w.b.report(err)
			return false
		}
		if n > 0 {
			return true
		}
	}
	return false
}

func (s *stored) size() int { return len(s.hb) + len(s.body) }

// thinSegment rewrites one segment without what c gives up, and returns how
// many messages that is.
func (w *writer) thinSegment(c *Cursor, sw *sweep, seg *stored) (int, error) {
	b := w.b
	h, recs, err := unpack(seg.hb, seg.body, b.boots.current())
	if err != nil {
		return 0, nil // the reader that comes to it sets it aside
	}
	class := classOf(seg.id)
	give := make([]bool, len(recs))
	n := 0
	b.mu.Lock()
	for i := range recs {
		r := &recs[i]
		_, out := c.out[r.id]
		if r.targets&c.Bit() == 0 || out || c.acked[class].has(r.id) || !thinnable(&r.msg) {
			continue
		}
		if !sw.keep(r.msg.Topic) {
			give[i] = true
			n++
		}
	}
	b.mu.Unlock()
	if n == 0 {
		return 0, nil
	}
	return n, w.rewrite(c, &h, seg, recs, give)
}

// thinnable: values have neighbours that speak for them, events do not.
func thinnable(m *mqtt.Message) bool {
	return m.Kind == mqtt.KindSample || m.Kind == mqtt.KindMessage
}

// rewrite stores a segment anew without c's part of the records in give; the
// counters go with it in one transaction.
func (w *writer) rewrite(c *Cursor, h *head, seg *stored, recs []unpacked, give []bool) error {
	b := w.b
	class := classOf(seg.id)
	var kept []packed
	for i := range recs {
		targets := recs[i].targets
		if give[i] {
			targets &^= c.Bit()
		}
		if targets != 0 {
			kept = append(kept, packed{recs[i].id, targets, &recs[i].msg})
		}
	}
	var next *segment
	if len(kept) > 0 {
		next, _ = w.pack.take(kept, b.boots.current(), h.thin+1)
	}
	b.db.mu.Lock()
	defer b.db.mu.Unlock()
	return b.db.txLocked(func() error {
		if err := b.db.execLocked("DELETE FROM seg WHERE id = ?", int64(seg.id)); err != nil {
			return err
		}
		b.mu.Lock()
		b.recountLocked(class, seg.size(), recs, next, kept)
		for i := range recs {
			if give[i] {
				c.waiting[class]--
				c.unstoreLocked(class, 1, 0)
				c.dropLocked(reasonThinned, recs[i].id, &recs[i].msg)
			}
		}
		b.roomLocked()
		for _, x := range b.cursors {
			if x != nil {
				x.cache = [lanes]loaded{}
			}
		}
		counters := b.encodeMetaLocked(false)
		b.mu.Unlock()
		// The rewritten segment is not the last of its class, so the counters
		// must not lie beside it.
		if err := b.db.execLocked("INSERT OR REPLACE INTO meta(k, v) VALUES(1, ?)", counters); err != nil {
			return err
		}
		if next == nil {
			return nil
		}
		return b.db.execLocked(insertSegment, int64(next.head.first), next.hb, nil, next.body)
	})
}

// recountLocked moves the shares of stored bytes from a segment's old form to
// its new one.
func (b *Buffer) recountLocked(class, size int, recs []unpacked, next *segment, kept []packed) {
	for i := range recs {
		old := int64(share(size, i, len(recs)))
		eachBit(recs[i].targets, func(bit int) {
			if c := b.cursors[bit]; c != nil && !c.acked[class].has(recs[i].id) {
				c.bytes[class] = max(c.bytes[class]-old, 0)
			}
		})
	}
	for k := range kept {
		now := int64(share(next.size(), k, len(kept)))
		eachBit(kept[k].targets, func(bit int) {
			if c := b.cursors[bit]; c != nil && !c.acked[class].has(kept[k].id) {
				c.bytes[class] += now
			}
		})
	}
}
