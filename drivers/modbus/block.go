package modbus

// How a refused block is taken apart.
const (
	splitBudget  = 8 // extra requests in one run of a group
	splitStrikes = 3 // refusals in separate runs, after which a block that once was read stays split
)

// block is one request of a plan. Where a device refuses it with an exception
// that means "not these addresses", it is read as its two halves, and so on
// down to single values: the good ones go on, and the bad one is found.
//
//	whole ── refused, never read before ───────────────▶ split for good, remembered
//	whole ── refused, but was read before: halves now ──▶ whole again at the next run,
//	                                      third time ───▶ split for good, remembered
//
// Some devices answer nothing where others refuse. So a block that was never read
// whole is split as well when it was lost several times while the unit answered
// other requests.
//
// A block that was read before may be refused because of noise or because the
// device is busy starting; losing its merge for years over that would be wrong.
type block struct {
	span
	ok      bool // it was read once, whole
	strikes int  // refusals in separate runs since then
	split   bool // for good
	kids    []*block

	lost  int    // time-outs since the last success, each after a sign of life of the unit
	signs int    // of life, at the last of them
	meter *meter // nil: not asked yet
}

// refused notes a refusal; forGood says that the block stays split from now on.
// ok is false where there is nothing to split.
func (b *block) refused() (kids []*block, forGood, ok bool) {
	if b.kids == nil {
		first, second, can := b.halve()
		if !can {
			return nil, false, false
		}
		b.kids = []*block{{span: first}, {span: second}}
	}
	b.strikes++
	if !b.split && (!b.ok || b.strikes >= splitStrikes) {
		b.split, forGood = true, true
	}
	return b.kids, forGood, true
}

// read notes a success.
func (b *block) read() { b.ok, b.strikes, b.lost = true, 0, 0 }

// silent notes a time-out; signs counts what the unit has answered so far. It
// reports a block of which a part seems to be what the unit does not answer.
func (b *block) silent(signs int) (suspect bool) {
	if b.lost == 0 || signs > b.signs {
		b.lost++
	}
	b.signs = signs
	return !b.ok && b.lost >= splitStrikes
}

// all appends the block and what it was taken apart into.
func (b *block) all(list []*block) []*block {
	list = append(list, b)
	for _, k := range b.kids {
		list = k.all(list)
	}
	return list
}
