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
// A block that was read before may be refused because of noise or because the
// device is busy starting; losing its merge for years over that would be wrong.
type block struct {
	span
	ok      bool // it was read once, whole
	strikes int  // refusals in separate runs since then
	split   bool // for good
	kids    []*block
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
func (b *block) read() { b.ok, b.strikes = true, 0 }
