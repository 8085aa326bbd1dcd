package modbus

import (
	"cmp"
	"slices"

	"fieldgate/drivers/modbus/wire"
)

// The limits of one read (Modbus V1.1b3 §6.1, §6.3).
const (
	maxRegisters = 125
	maxBits      = 2000
	bitsPerGap   = 16 // a gap of one register is worth this many bits
)

// item is what one request has to read whole: a value, or values that must
// belong to one moment. It is never split over two requests, for then its
// halves could belong to two moments.
type item struct {
	area   Area
	addr   int
	count  int   // registers or bits
	points []int // the caller's indices
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

// first is the register it begins with, for people.
func (s *span) first() Register {
	return Register{Area: s.area, Addr: uint16(s.addr), Bit: -1, Type: typeUint16}
}

// request reads a span from a unit.
func (s *span) request(unit byte) wire.Request {
	return wire.Request{Unit: unit, Function: s.area.readFunction(), Address: uint16(s.addr), Quantity: uint16(s.count)}
}

// limits bound what goes into one request, and price what may.
type limits struct {
	maxGap       int            // unused registers between two values, whatever the price
	maxRegisters int            // per request
	price        price          // zero: as few requests as the limits allow
	slack        int            // most registers, lest a faster poll on the line comes late; 0: no limit
	single       bool           // one request for each item
	breaks       map[Area][]int // learnt: no request may go on across these addresses
	noRead       []stretch      // no request may touch these
}

// stretch is a run of addresses that must not be read.
type stretch struct {
	area     Area
	from, to int // both included
}

// touches reports whether [from, end) holds an address of the stretch.
func (s stretch) touches(a Area, from, end int) bool {
	return a == s.area && from <= s.to && end > s.from
}

func (l limits) gap(a Area) int {
	switch {
	case !a.Bits():
		return l.maxGap
	case l.priced():
		return min(l.maxGap*bitsPerGap, autoBitGapCap)
	}
	return l.maxGap * bitsPerGap
}

// priced reports limits that weigh holes against requests.
func (l limits) priced() bool { return l.price.request > 0 }

func (l limits) size(a Area) int {
	n := l.maxRegisters
	if l.slack > 0 {
		n = min(n, l.slack)
	}
	if a.Bits() {
		return min(maxBits, n*bitsPerGap)
	}
	return n
}

// crosses reports a break within (from, to].
func (l limits) crosses(a Area, from, to int) bool {
	return slices.ContainsFunc(l.breaks[a], func(b int) bool { return b > from && b <= to })
}

// forbidden reports an address of [from, end) that must not be read.
func (l limits) forbidden(a Area, from, end int) bool {
	return from < end && slices.ContainsFunc(l.noRead, func(s stretch) bool { return s.touches(a, from, end) })
}

// plan packs items into the requests that cost least. It is a pure function:
// every item is in exactly one span, whole; areas are never mixed.
//
// A span is a run of the sorted items, so the cheapest division is found by
// looking, for each item, at all runs that may end there: best[n] is the price
// of the first n items, and from[n] where their last run begins.
func plan(items []item, l limits) []span {
	items = slices.Clone(items)
	slices.SortStableFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.area, b.area), cmp.Compare(a.addr, b.addr), cmp.Compare(b.count, a.count))
	})
	best := make([]int64, len(items)+1)
	from := make([]int, len(items)+1)
	for n := 1; n <= len(items); n++ {
		best[n] = -1
	}
	for first := range items {
		s := spanOf(items[first : first+1])
		for n := first; ; {
			n++
			// "<=": of divisions that cost the same the one with the longer runs in front
			if total := best[first] + l.cost(&s); best[n] < 0 || total <= best[n] {
				best[n], from[n] = total, first
			}
			if n == len(items) || !l.joins(&s, items[n]) {
				break
			}
			s.count = max(s.end(), items[n].end()) - s.addr
		}
	}
	var spans []span
	for n := len(items); n > 0; n = from[n] {
		spans = append(spans, spanOf(items[from[n]:n]))
	}
	slices.Reverse(spans)
	return spans
}

// joins reports whether an item that begins at or after a span may be read
// with it.
func (l limits) joins(s *span, it item) bool {
	return !l.single && it.area == s.area &&
		it.addr-s.end() <= l.gap(s.area) &&
		max(it.end(), s.end())-s.addr <= l.size(s.area) &&
		!l.crosses(s.area, s.addr, it.addr) &&
		!l.forbidden(s.area, s.end(), it.addr)
}

// cost is the price of a span in nanoseconds of line time. Without prices a
// request costs more than any number of registers.
func (l limits) cost(s *span) int64 {
	n := s.count
	if s.area.Bits() {
		n = (n + bitsPerGap - 1) / bitsPerGap
	}
	if !l.priced() {
		return maxRegisters*2 + int64(n)
	}
	return int64(l.price.request) + int64(n)*int64(l.price.register)
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
