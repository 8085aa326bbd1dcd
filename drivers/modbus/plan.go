package modbus

import (
	"cmp"
	"slices"
)

// The limits of one read (Modbus V1.1b3 §6.1, §6.3) and the defaults.
const (
	maxRegisters  = 125
	maxBits       = 2000
	defaultMaxGap = 8
	bitsPerGap    = 16 // a gap of one register is worth this many bits
)

// item is a value to read: it is never split over two requests, for then its
// halves could belong to two moments.
type item struct {
	area  Area
	addr  int
	count int // registers, or 1 bit
	point int // the caller's index
}

func (i item) end() int { return i.addr + i.count }

// span is one request and the items it reads.
type span struct {
	area  Area
	addr  int
	count int
	items []item
}

func (s *span) end() int { return s.addr + s.count }

// limits bound what goes into one request.
type limits struct {
	maxGap       int            // unused registers between two values
	maxRegisters int            // per request
	breaks       map[Area][]int // learnt: no request may go on across these addresses
}

func (l limits) gap(a Area) int {
	if a.Bits() {
		return l.maxGap * bitsPerGap
	}
	return l.maxGap
}

func (l limits) size(a Area) int {
	if a.Bits() {
		return min(maxBits, l.maxRegisters*bitsPerGap)
	}
	return l.maxRegisters
}

// crosses reports a break within [from, to].
func (l limits) crosses(a Area, from, to int) bool {
	return slices.ContainsFunc(l.breaks[a], func(b int) bool { return b > from && b <= to })
}

// plan packs items into few requests. It is a pure function: every item is in
// exactly one span, whole; spans of one area do not overlap more than their
// items do; areas are never mixed.
func plan(items []item, l limits) []span {
	items = slices.Clone(items)
	slices.SortStableFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.area, b.area), cmp.Compare(a.addr, b.addr), cmp.Compare(b.count, a.count))
	})
	var spans []span
	for _, it := range items {
		if n := len(spans); n > 0 && l.joins(&spans[n-1], it) {
			s := &spans[n-1]
			s.items = append(s.items, it)
			s.count = max(s.count, it.end()-s.addr)
			continue
		}
		spans = append(spans, span{area: it.area, addr: it.addr, count: it.count, items: []item{it}})
	}
	return spans
}

// joins reports whether an item that begins at or after a span may be read
// with it.
func (l limits) joins(s *span, it item) bool {
	return it.area == s.area &&
		it.addr-s.end() <= l.gap(s.area) &&
		max(it.end(), s.end())-s.addr <= l.size(s.area) &&
		!l.crosses(s.area, s.addr, it.addr)
}

// halve splits a span in two, for a device that refuses a part of it: at the
// widest hole among the borders around the middle, for what a device lacks is
// mostly in a hole, and near the middle the search stays a bisection. ok is
// false where there is one item only.
func (s *span) halve() (first, second span, ok bool) {
	n := len(s.items)
	if n < 2 {
		return span{}, span{}, false
	}
	middle := s.addr + s.count/2
	cut, widest, end := 0, 0, s.items[0].end()
	for i := 1; i < n; i++ {
		hole, off := s.items[i].addr-end, abs(s.items[i].addr-middle)
		end = max(end, s.items[i].end())
		if i < n/4 || i > max(1, n*3/4) {
			continue
		}
		if cut == 0 || hole > widest || hole == widest && off < abs(s.items[cut].addr-middle) {
			cut, widest = i, hole
		}
	}
	return spanOf(s.items[:cut]), spanOf(s.items[cut:]), true
}

func abs(n int) int { return max(n, -n) }

func spanOf(items []item) span {
	s := span{area: items[0].area, addr: items[0].addr, count: items[0].count, items: items}
	for _, it := range items[1:] {
		s.count = max(s.count, it.end()-s.addr)
	}
	return s
}
