package bridge

import "iter"

// flight are the parcels that wait for the upstream's answer, in the order they
// were sent. It belongs to one sender and has no lock.
type flight struct {
	first, last *parcel
	n           int
}

func (f *flight) add(p *parcel) {
	p.flying, p.prev, p.next = true, f.last, nil
	if f.last == nil {
		f.first = p
	} else {
		f.last.next = p
	}
	f.last = p
	f.n++
	p.lane.flying++
}

func (f *flight) remove(p *parcel) {
	if p.prev == nil {
		f.first = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		f.last = p.prev
	} else {
		p.next.prev = p.prev
	}
	p.flying, p.prev, p.next = false, nil, nil
	f.n--
	p.lane.flying--
}

// all ranges over the parcels; the one in hand may be removed.
func (f *flight) all() iter.Seq[*parcel] {
	return func(yield func(*parcel) bool) {
		for p := f.first; p != nil; {
			next := p.next
			if !yield(p) {
				return
			}
			p = next
		}
	}
}
