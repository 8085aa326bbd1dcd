package buffer

import (
	"context"
	"fmt"
)

// Peek reads up to max messages that wait for an upstream, in the order in
// which they would be sent, after the entry with the given id (0: from the
// start). It neither hands out nor removes. An empty name means every
// upstream's, each message once.
func (b *Buffer) Peek(ctx context.Context, name string, after uint64, max int) (out []Entry, err error) {
	err = b.walk(ctx, name, after, func(e Entry, _ uint64) bool {
		out = append(out, e)
		return len(out) < max
	})
	return out, err
}

// Export calls f for every message that waits for an upstream (an empty name:
// for any), in order, until f fails. targets are the upstreams' bits that
// still need it. New messages may or may not be among them.
func (b *Buffer) Export(ctx context.Context, name string, f func(e Entry, targets uint64) error) error {
	var fail error
	err := b.walk(ctx, name, 0, func(e Entry, targets uint64) bool {
		fail = f(e, targets)
		return fail == nil
	})
	if fail != nil {
		return fail
	}
	return err
}

// walk goes through what is stored and what is in memory. Between two
// segments it holds no lock, so it disturbs nobody for long.
func (b *Buffer) walk(ctx context.Context, name string, after uint64, f func(Entry, uint64) bool) error {
	mask, err := b.maskOf(name)
	if err != nil {
		return err
	}
	for class := classOf(after); class < classes; class++ {
		pos := max(after, classLow(class))
		for {
			if err := ctx.Err(); err != nil {
				return err
			}
			recs, next, err := b.page(class, pos, mask)
			if err != nil {
				return fmt.Errorf("read the queue: %w", err)
			}
			for i := range recs {
				r := &recs[i]
				if r.id <= pos {
					continue
				}
				e := Entry{ID: r.id, Epoch: epochOf(r.id), Seq: seqOf(r.id), Priority: classPriority(class), Message: r.msg}
				if !f(e, r.targets) {
					return nil
				}
			}
			if next == 0 {
				break
			}
			pos = next
		}
	}
	return nil
}

// maskOf is the bit of a name, or all bits that are in use.
func (b *Buffer) maskOf(name string) (mask uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.cursors {
		if c != nil && (name == "" || c.name == name) {
			mask |= c.Bit()
		}
	}
	if mask == 0 && name != "" {
		return 0, fmt.Errorf("%w: %s", ErrUnknown, name)
	}
	return mask, nil
}

// page reads what waits of a class beyond pos: the records of one segment, or
// those in memory. next is where to go on, 0 at the end.
func (b *Buffer) page(class int, pos, mask uint64) (recs []unpacked, next uint64, err error) {
	b.db.mu.Lock()
	defer b.db.mu.Unlock() // nothing moves from memory to disk meanwhile
	seg, next, err := b.segmentAfterLocked(class, pos, mask, 500)
	switch {
	case err != nil:
		return nil, 0, err
	case seg == nil && next > pos:
		return nil, next, nil
	case seg == nil:
		return b.memory(class, pos, mask), 0, nil
	case seg.bad != nil:
		return nil, seg.id, nil // damaged: the upstream's reader reports it
	}
	_, all, err := unpack(seg.hb, seg.body, b.boots.current())
	if err != nil {
		return nil, seg.head.last, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range all {
		if r.targets = b.stillNeededLocked(class, r.id, r.targets&mask); r.targets != 0 {
			recs = append(recs, r)
		}
	}
	return recs, all[len(all)-1].id, nil
}

func (b *Buffer) stillNeededLocked(class int, id, targets uint64) uint64 {
	need := targets
	eachBit(targets, func(bit int) {
		if c := b.cursors[bit]; c == nil || c.acked[class].has(id) {
			need &^= 1 << bit
		}
	})
	return need
}

func (b *Buffer) memory(class int, pos, mask uint64) (recs []unpacked) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.ram[class] {
		if need := r.need & mask; r.id > pos && need != 0 {
			recs = append(recs, unpacked{r.id, need, r.msg})
		}
	}
	return recs
}

// Drop gives up everything that waits for an upstream, counts it (reason
// "operator"), and returns how many messages that was. An upstream that is
// not configured any more is forgotten with its queue.
func (b *Buffer) Drop(ctx context.Context, name string) (n int64, err error) {
	c, err := b.Cursor(name)
	if err != nil {
		return 0, err
	}
	before := c.Stats().Messages
	for ctx.Err() == nil {
		more := false
		err := b.call(func() error {
			for class := range classes {
				for range 64 {
					if !b.w.evictOne(c, class, reasonOperator, nil) {
						break
					}
					more = true
				}
			}
			b.dropMemory(c)
			return b.w.flush()
		})
		if err != nil {
			return before - c.Stats().Messages, err
		}
		if !more {
			break
		}
	}
	if err := ctx.Err(); err != nil {
		return before - c.Stats().Messages, err
	}
	return before, b.forget(c)
}

// dropMemory gives up what is not stored yet.
func (b *Buffer) dropMemory(c *Cursor) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for class := range classes {
		for _, r := range b.ram[class] {
			if r.need&c.Bit() == 0 || r.state != recWaiting {
				continue
			}
			r.need &^= c.Bit()
			c.waiting[class]--
			c.acked[class].add(r.id, r.id)
			c.giveUpLocked(reasonOperator, r.id, &r.msg)
			if r.need == 0 {
				b.goneLocked(r)
			}
		}
	}
}

// forget removes the cursor of an upstream that is gone, once its bit is in
// no stored segment's way: a segment asks only for cursors that exist.
func (b *Buffer) forget(c *Cursor) error {
	return b.call(func() error {
		b.mu.Lock()
		gone := c.retired
		if gone {
			b.cursors[c.bit] = nil
			b.dirty = true
		}
		table := b.encodeNamesLocked()
		b.mu.Unlock()
		if !gone {
			return nil
		}
		if err := b.state.Put(keyNames, table); err != nil {
			return err
		}
		return b.w.flush()
	})
}

// Unsearched names the files that were moved aside damaged and that nobody has
// searched to the end for what can be put back. Upstreams begins that.
func (b *Buffer) Unsearched() []string { return unsalvaged(b.db.path) }

// Verification is what Verify found.
type Verification struct {
	Segments int      `json:"segments"`
	Messages int64    `json:"messages"`
	Bytes    int64    `json:"bytes"`
	Damaged  []string `json:"damaged,omitempty"` // ids of segments whose checksum is wrong
	Tree     string   `json:"tree"`              // "ok", or what SQLite's check says
	// Files that were moved aside damaged and are not searched yet: a running
	// gateway is about to put back what can be read.
	Unsearched []string `json:"unsearched,omitempty"`
}

// Verify reads every segment and checks its checksum, then lets SQLite check
// the file. It stops nobody for longer than one segment, but for the last
// step, which takes about a second per 50 MiB of a slow card.
func (b *Buffer) Verify(ctx context.Context, progress func(segments int)) (v Verification, err error) {
	pos := int64(-1)
	for {
		if err := ctx.Err(); err != nil {
			return v, err
		}
		var id int64
		var hb, body []byte
		n := 0
		b.db.mu.Lock()
		err := b.db.queryLocked("SELECT id, head, body FROM seg WHERE id > ? ORDER BY id LIMIT 1", func(scan func(...any) error) error {
			n++
			return scan(&id, &hb, &body)
		}, pos)
		b.db.mu.Unlock()
		if err != nil {
			return v, fmt.Errorf("verify the queue: %w", err)
		}
		if n == 0 {
			break
		}
		pos = id
		v.Segments++
		v.Bytes += int64(len(hb) + len(body))
		if h, _, err := unpack(hb, body, 0); err != nil || h.first != uint64(id) {
			v.Damaged = append(v.Damaged, idText(uint64(id)))
		} else {
			v.Messages += int64(h.n)
		}
		if progress != nil {
			progress(v.Segments)
		}
	}
	v.Unsearched = b.Unsearched()
	b.db.mu.Lock()
	defer b.db.mu.Unlock()
	v.Tree = "ok"
	if err := b.db.checkLocked(); err != nil {
		v.Tree = err.Error()
	}
	return v, nil
}
