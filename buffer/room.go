package buffer

import (
	"context"
	"fmt"
)

// waitRoom waits until there may be room.
func (b *Buffer) waitRoom(ctx context.Context, room <-chan struct{}) error {
	defer func() {
		b.mu.Lock()
		b.held--
		b.mu.Unlock()
	}()
	select {
	case <-room:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for room in the queue: %w", ctx.Err())
	case <-b.done:
		return ErrClosed
	}
}

// hasRoomLocked reports whether a durable item can be taken now.
func (b *Buffer) hasRoomLocked(targets uint64, p Priority) bool {
	if b.ramBytes > ramLimit {
		return false
	}
	if b.cfg.Full != FullBlock || p == Alarm {
		return true
	}
	ok := true
	eachBit(targets, func(bit int) { ok = ok && (b.cursors[bit].shelf > 0 || !b.cursors[bit].fullLocked(p.class())) })
	return ok
}

// shedLocked gives up the oldest values in memory that nobody waits for: the
// disk does not take them fast enough, or not at all.
func (b *Buffer) shedLocked() {
	for _, class := range [classes]int{2, 1, 0} {
		for _, r := range b.ram[class] {
			if b.ramBytes <= ramLimit {
				return
			}
			if r.state != recWaiting || r.wait != nil || b.handedLocked(r) {
				continue
			}
			eachBit(r.need, func(bit int) {
				c := b.cursors[bit]
				c.waiting[class]--
				c.acked[class].add(r.id, r.id)
				c.giveUpLocked(reasonDisk, r.id, &r.msg)
			})
			b.goneLocked(r)
		}
	}
}

// handedLocked reports whether an upstream may have the record already.
func (b *Buffer) handedLocked(r *record) (handed bool) {
	eachBit(r.need, func(bit int) {
		_, out := b.cursors[bit].out[r.id]
		handed = handed || out
	})
	return handed
}

// roomLocked wakes everybody who waits for room.
func (b *Buffer) roomLocked() {
	if !b.roomWanted {
		return
	}
	b.roomWanted = false
	close(b.room)
	b.room = make(chan struct{})
}
