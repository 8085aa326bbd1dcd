package buffer

import (
	"encoding/binary"
	"slices"
)

// span is the ids lo to hi, both included.
type span struct{ lo, hi uint64 }

// spans is a set of ids as sorted spans that neither overlap nor touch. It
// carries no lock: its owner locks.
type spans []span

// at is the index of the first span that ends at or after id.
func (s spans) at(id uint64) int {
	// Most questions are about the end.
	if n := len(s); n == 0 || s[n-1].hi < id {
		return n
	}
	i, _ := slices.BinarySearchFunc(s, id, func(x span, id uint64) int {
		if x.hi < id {
			return -1
		}
		return 1
	})
	return i
}

// add puts lo to hi in. An empty range (hi < lo) changes nothing.
func (s *spans) add(lo, hi uint64) {
	if hi < lo {
		return
	}
	from := (*s).at(max(lo, 1) - 1) // a span that ends at lo-1 touches
	to := from
	for to < len(*s) && (*s)[to].lo <= hi+1 {
		lo, hi = min(lo, (*s)[to].lo), max(hi, (*s)[to].hi)
		to++
	}
	if to == from+1 {
		(*s)[from] = span{lo, hi}
		return
	}
	*s = slices.Replace(*s, from, to, span{lo, hi})
}

// has reports whether id is in.
func (s spans) has(id uint64) bool { return s.covers(id, id) }

// covers reports whether all of lo to hi is in.
func (s spans) covers(lo, hi uint64) bool {
	if hi < lo {
		return true
	}
	i := s.at(lo)
	return i < len(s) && s[i].lo <= lo && s[i].hi >= hi
}

// past is the last id of the span that holds id, else id-1: the id up to
// which all is known to be in.
func (s spans) past(id uint64) uint64 {
	if i := s.at(id); i < len(s) && s[i].lo <= id {
		return s[i].hi
	}
	return id - 1
}

// holds reports whether id is in, and the first id of its span.
func (s spans) holds(id uint64) (first uint64, ok bool) {
	if i := s.at(id); i < len(s) && s[i].lo <= id {
		return s[i].lo, true
	}
	return 0, false
}

func (s spans) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	var prev uint64
	for _, x := range s {
		dst = binary.AppendUvarint(dst, x.lo-prev)
		dst = binary.AppendUvarint(dst, x.hi-x.lo)
		prev = x.hi
	}
	return dst
}

func readSpans(r *wireReader) spans {
	n := r.count()
	s := make(spans, 0, n)
	var prev uint64
	for range n {
		lo := prev + r.uvarint()
		hi := lo + r.uvarint()
		if hi < lo || lo < prev {
			r.fail()
			return nil
		}
		s.add(lo, hi)
		prev = hi
	}
	return s
}

// without is the set less everything up to id.
func (s spans) without(id uint64) spans {
	i := s.at(id)
	if i < len(s) && s[i].lo <= id {
		if s[i].hi == id {
			i++
		} else {
			s[i].lo = id + 1
		}
	}
	return slices.Delete(s, 0, i)
}

// count is how many ids of lo to hi are in.
func (s spans) count(lo, hi uint64) (n uint64) {
	for i := s.at(lo); i < len(s) && s[i].lo <= hi; i++ {
		n += min(s[i].hi, hi) - max(s[i].lo, lo) + 1
	}
	return n
}
