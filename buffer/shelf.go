package buffer

import (
	"context"
	"fmt"
)

// Shelf makes one of the names given to Upstreams a place where messages are
// kept until somebody looks at them: at most size bytes, the oldest give way
// whatever [buffer] full says, counted and without gap records. It belongs
// right after Upstreams.
func (b *Buffer) Shelf(name string, size int64) error {
	c, err := b.Cursor(name)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c.shelf = size
	return nil
}

// Take empties a shelf, as it is at the moment: for each message to says what
// to append in its place; false leaves it. It returns how many were taken. A
// message is gone from the shelf when what replaces it is on the disk.
func (b *Buffer) Take(ctx context.Context, name string, to func(Entry) (Item, bool)) (n int, err error) {
	c, err := b.Cursor(name)
	if err != nil {
		return 0, err
	}
	c.Mark()       // what comes meanwhile, as a message refused once more, stays
	defer c.Mark() // what was left is there again
	for {
		entries, err := c.Next(Backlog, 0, 100, 1<<20)
		if err != nil || len(entries) == 0 {
			return n, err
		}
		var items []Item
		var ids []uint64
		for _, e := range entries {
			if it, ok := to(e); ok {
				it.Durable = true
				items, ids = append(items, it), append(ids, e.ID)
			}
		}
		if len(items) == 0 {
			continue
		}
		if err := b.Append(ctx, items); err != nil {
			return n, fmt.Errorf("take from %s: %w", name, err)
		}
		c.Ack(ids...)
		n += len(ids)
	}
}
