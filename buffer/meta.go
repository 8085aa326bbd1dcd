package buffer

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// metaVersion is the layout of what every commit writes: epoch, counters and
// places of all upstreams. Start-up reads it, and so a fixed number of rows
// however much is queued.
const metaVersion = 2

// metaBeside is up to how many bytes the counters are written beside a
// segment. There they cost no page of their own, which would double what a
// small commit writes; large ones are better kept once, in the table meta.
const metaBeside = 512

// maxSpans bounds what is stored of one upstream's acknowledgements. What is
// beyond it is forgotten by a crash and repeated.
const maxSpans = 1024

// maxUnchecked bounds what is stored of places to look at; beyond it their
// hull is.
const maxUnchecked = 64

// meta is the decoded row.
type meta struct {
	epoch   uint32
	serial  uint64 // rises with every commit
	clean   bool   // the last run closed the file
	todo    [classes]spans
	cursors []*Cursor
	taken   []exchangeMark
}

// encodeMetaLocked writes the row.
func (b *Buffer) encodeMetaLocked(clean bool) []byte {
	dst := []byte{metaVersion, 0}
	if clean {
		dst[1] = 1
	}
	dst = binary.AppendUvarint(dst, uint64(b.epoch))
	b.serial++
	dst = binary.AppendUvarint(dst, b.serial)
	for class := range classes {
		dst = b.uncheckedLocked(class).append(dst)
	}
	n := 0
	for _, c := range b.cursors {
		if c != nil {
			n++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(n))
	for _, c := range b.cursors {
		if c != nil {
			dst = c.appendLocked(dst)
		}
	}
	dst = b.exchanges.append(dst, &b.ram)
	return seal(dst)
}

// uncheckedLocked is where acknowledgements may have finished a segment that
// is not deleted yet; the next start goes on from there.
func (b *Buffer) uncheckedLocked(class int) spans {
	all := append(spans(nil), b.w.todo[class]...)
	for _, c := range b.cursors {
		if c == nil {
			continue
		}
		for _, x := range c.fresh[class] {
			all.add(x.lo, x.hi)
		}
	}
	if n := len(all); n > maxUnchecked {
		all = spans{{all[0].lo, all[n-1].hi}}
	}
	return all
}

// uncheckedAnyLocked reports whether there is any such place.
func (b *Buffer) uncheckedAnyLocked() bool {
	for class := range classes {
		if len(b.w.todo[class]) > 0 {
			return true
		}
		for _, c := range b.cursors {
			if c != nil && len(c.fresh[class]) > 0 {
				return true
			}
		}
	}
	return false
}

func (c *Cursor) appendLocked(dst []byte) []byte {
	dst = appendString(dst, c.name)
	cut := c.uncertain
	for class := range classes {
		cut = cut || len(c.acked[class]) > maxSpans
	}
	dst = append(dst, byte(c.bit), bitIf(c.retired, 1)|bitIf(cut, 2)|bitIf(c.adopted, 4))
	dst = binary.AppendUvarint(dst, uint64(max(c.missing, 0)))
	for class := range classes {
		dst = binary.AppendUvarint(dst, uint64(c.stored[class]))
		dst = binary.AppendUvarint(dst, uint64(c.bytes[class]))
		s := c.acked[class]
		dst = s[:min(len(s), maxSpans)].append(dst)
	}
	for why := range reasons {
		dst = binary.AppendUvarint(dst, c.drops[why])
		dst = c.gaps[why].append(dst)
	}
	return dst
}

func bitIf(on bool, bit byte) byte {
	if on {
		return bit
	}
	return 0
}

// decodeMeta reads the row; the cursors belong to b.
func (b *Buffer) decodeMeta(row []byte) (m meta, err error) {
	body, err := unseal(row)
	if err != nil {
		return m, err
	}
	r := wireReader{buf: body}
	v := r.byte()
	known := reasons
	switch v {
	case metaVersion:
	case 1:
		known = firstReasons
	default:
		return m, fmt.Errorf("%w (layout %d); use that version, or move the file away", errLayout, v)
	}
	m.clean = r.byte() == 1
	m.epoch, m.serial = uint32(r.uvarint()), r.uvarint()
	for class := range classes {
		m.todo[class] = readSpans(&r)
	}
	for range r.count() {
		c, err := b.readCursor(&r, known)
		if err != nil {
			return m, err
		}
		m.cursors = append(m.cursors, c)
	}
	if len(r.buf) > 0 { // earlier versions had none
		m.taken = readExchanges(&r)
	}
	return m, r.err
}

func (b *Buffer) readCursor(r *wireReader, known reason) (*Cursor, error) {
	name := r.string()
	bit, flags := int(r.byte()), r.byte()
	if bit > 63 {
		return nil, errShort
	}
	c := newCursor(b, name, bit)
	c.retired, c.uncertain, c.adopted = flags&1 != 0, flags&2 != 0, flags&4 != 0
	c.missing = int64(r.uvarint())
	for class := range classes {
		c.stored[class], c.bytes[class] = int64(r.uvarint()), int64(r.uvarint())
		c.waiting[class] = c.stored[class]
		c.acked[class] = readSpans(r)
	}
	for why := range known {
		c.drops[why] = r.uvarint()
		c.gaps[why] = readGap(r)
	}
	return c, r.err
}

// adoptLocked makes stored cursors the buffer's.
func (b *Buffer) adoptLocked(cursors []*Cursor) {
	for _, c := range cursors {
		b.cursors[c.bit] = c
	}
	names := []string{}
	for _, c := range b.cursors {
		if c == nil {
			continue
		}
		if slices.Contains(names, c.name) { // cannot be, and must not confuse
			b.cursors[c.bit] = nil
			continue
		}
		names = append(names, c.name)
		if !c.retired {
			b.active |= 1 << c.bit
		}
		c.markLocked()
	}
}

// encodeNamesLocked writes which upstream has which bit, for state.db: it
// finds the owners of segments again when queue.db has lost its counters.
func (b *Buffer) encodeNamesLocked() []byte {
	var dst []byte
	for _, c := range b.cursors {
		if c != nil {
			dst = appendString(append(dst, byte(c.bit)), c.name)
		}
	}
	return seal(dst)
}

// restoreNamesLocked makes the cursors that the counters do not know.
func (b *Buffer) restoreNamesLocked(table []byte) {
	body, err := unseal(table)
	if err != nil {
		return
	}
	r := wireReader{buf: body}
	for len(r.buf) > 0 {
		bit, name := int(r.byte()), r.string()
		if r.err != nil || bit > 63 {
			return
		}
		if b.cursors[bit] == nil && !b.knowsLocked(name) {
			c := newCursor(b, name, bit)
			c.retired, c.adopted = true, !b.damaged
			c.markLocked()
			b.cursors[bit] = c
		}
	}
}
