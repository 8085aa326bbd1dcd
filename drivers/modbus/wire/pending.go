package wire

import "time"

// shape is what an answer looks like from outside: all that tells it from
// others on a line without transaction numbers.
type shape struct {
	function byte
	size     int // of the PDU data
}

type owed struct {
	shape
	at     time.Time
	counts *Counts
}

// maxOwed bounds the list per unit; the oldest are forgotten.
const maxOwed = 8

// pending lists per unit the requests that were never answered, oldest first.
type pending map[byte][]owed

func (r Request) shape() shape { return shape{r.Function, r.replySize()} }

func (p pending) add(r Request) {
	list := append(p[r.Unit], owed{r.shape(), time.Now(), r.Counts})
	if len(list) > maxOwed {
		list = list[1:]
	}
	p[r.Unit] = list
}

// suspect reports that an answer of this shape may still be on its way.
func (p pending) suspect(unit byte, s shape) bool {
	for _, o := range p[unit] {
		if time.Since(o.at) < suspectFor && (o.shape == s || o.function == s.function && (o.size < 0 || s.size < 0)) {
			return true
		}
	}
	return false
}

// answered crosses off the request a late frame belongs to, and those before
// it: a unit answers in order. It returns how old that request is.
func (p pending) answered(f frame) (age time.Duration, known bool) {
	list := p[f.unit]
	for i, o := range list {
		if o.function == f.function&0x7F && (f.isException() || o.size == len(f.data) || o.size < 0) {
			o.counts.late()
			p.cut(f.unit, i+1)
			return time.Since(o.at), true
		}
	}
	return 0, false
}

func (p pending) cut(unit byte, n int) {
	if n >= len(p[unit]) {
		delete(p, unit)
		return
	}
	p[unit] = p[unit][n:]
}

// inOrder forgets everything older than an answer that has just come.
func (p pending) inOrder(unit byte) { delete(p, unit) }

// owed reports whether a frame answers an earlier request; it is crossed off
// and counted.
func (l *Line) owed(f frame) bool {
	since, known := l.pending.answered(f)
	if known {
		l.stats.late(f.unit, since, true)
	}
	return known
}
