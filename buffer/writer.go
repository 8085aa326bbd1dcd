package buffer

import (
	"errors"
	"sync/atomic"
	"time"
)

// writer is the one goroutine that changes queue.db. Its fields belong to
// that goroutine (and to start, before it runs), but for the atomics.
type writer struct {
	b           *Buffer
	pack        *packer
	stuck       *batch         // packed, and not committed yet because of an error
	todo        [classes]spans // stored ids whose segments may be done with
	down        error          // why nothing is written at the moment
	retryAt     time.Time      // when to try again
	failures    int            // in a row
	noRoom      bool           // giving segments up did not help the full disk; until it is written again
	lastTick    time.Time
	lastShrink  time.Time
	shrinkPause time.Duration
	shrunkAt    uint64 // db.execs when there was nothing to shrink
	salvager    *salvager
	thinned     thinner
	linger      linger
	counters    []byte    // as the last commit stored them; nil where the copy in state.db has them
	marked      time.Time // when that copy was made
	closeErr    error

	fileBytes atomic.Int64
	diskFree  atomic.Int64
}

// batch is what one transaction inserts.
type batch struct {
	segs    []*segment
	counted bool // its records are in the counters
}

const (
	tickEvery   = time.Second
	doneHeads   = 2000 // heads looked at per commit, to find segments that are done with
	doneDeletes = 256  // segments deleted per commit
)

// Waits between attempts to use a disk that failed; variables for tests.
var (
	retryFull = 2 * time.Second
	retryIO   = 60 * time.Second
)

// run commits when somebody waits, when there is enough, and at the commit
// interval, until Close; then it commits the rest and closes the file.
func (w *writer) run() {
	b := w.b
	defer close(b.done)
	commit := time.NewTicker(b.cfg.Commit.Std())
	defer commit.Stop()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-b.urgent:
			if w.hold() {
				w.flush()
			}
		case <-commit.C:
			w.flush()
		case f := <-b.calls:
			f()
		case <-tick.C:
			w.tick()
		case <-b.quit:
			w.close()
			return
		}
	}
}

// flush commits until nothing waits, repairing what it can on the way.
func (w *writer) flush() error {
	if w.down != nil && time.Now().Before(w.retryAt) {
		return w.down
	}
	if w.down != nil {
		w.failures = min(w.failures, 2) // one more attempt
	}
	for {
		if err := w.takeFault(); err != nil {
			if err := w.repair(err); err != nil {
				return err
			}
		}
		more, err := w.commit()
		if err == nil {
			w.recovered()
			if !more {
				return nil
			}
			continue
		}
		if err := w.repair(err); err != nil {
			return err
		}
	}
}

// takeFault is the error a reader met.
func (w *writer) takeFault() error {
	w.b.mu.Lock()
	defer w.b.mu.Unlock()
	err := w.b.fault
	w.b.fault = nil
	return err
}

// commit writes one transaction: what waits in memory, the counters, and the
// deletion of what is done with. more says that there is more to write.
func (w *writer) commit() (more bool, err error) {
	b := w.b
	w.quarantine()
	if w.stuck == nil {
		w.stuck, more = w.grab()
	}
	b.mu.Lock()
	idle := w.stuck == nil && !b.dirty
	b.mu.Unlock()
	if idle {
		return more, nil
	}
	start := time.Now()
	b.db.mu.Lock()
	err = w.commitLocked(w.stuck)
	b.db.mu.Unlock()
	if err != nil {
		return false, err
	}
	w.settle(w.stuck, time.Since(start))
	w.stuck = nil
	w.enforce()
	return more, nil
}

// commitLocked does the transaction; bt may be nil.
func (w *writer) commitLocked(bt *batch) error {
	b := w.b
	doomed, err := w.findDoneLocked()
	if err != nil {
		return err
	}
	var counters []byte
	err = b.db.txLocked(func() error {
		for _, h := range doomed {
			if err := b.db.execLocked("DELETE FROM seg WHERE id = ?", int64(h.first)); err != nil {
				return err
			}
		}
		b.mu.Lock()
		b.countLocked(bt)
		counters = b.encodeMetaLocked(false)
		b.dirty = b.uncheckedAnyLocked()
		b.mu.Unlock()
		return b.insertLocked(bt, counters)
	})
	if err != nil {
		for _, h := range doomed {
			w.todo[classOf(h.first)].add(h.first, h.last)
		}
		b.mu.Lock()
		b.uncountLocked(bt)
		b.dirty = true
		b.mu.Unlock()
		return err
	}
	w.counters = counters
	return nil
}

const insertSegment = "INSERT OR REPLACE INTO seg(id, head, meta, body) VALUES(?, ?, ?, ?)"

// insertLocked writes the segments of a batch, and the counters beside the
// last of them. That segment outlives its counters: the transaction that
// deletes it writes newer ones.
func (b *Buffer) insertLocked(bt *batch, counters []byte) error {
	if bt == nil || len(counters) > metaBeside {
		if err := b.db.execLocked("INSERT OR REPLACE INTO meta(k, v) VALUES(1, ?)", counters); err != nil {
			return err
		}
		counters = nil
	}
	if bt == nil {
		return nil
	}
	for i, s := range bt.segs {
		var beside any
		if i == len(bt.segs)-1 && counters != nil {
			beside = counters
		}
		// A commit that reported an error may have reached the disk all the same.
		err := b.db.execLocked(insertSegment, int64(s.head.first), s.hb, beside, s.body)
		if err != nil {
			return err
		}
	}
	return nil
}

// grab packs what waits in memory, up to one transaction's worth.
func (w *writer) grab() (bt *batch, more bool) {
	b := w.b
	var recs [classes][]*record
	var items [classes][]packed
	b.mu.Lock()
	b.reportGapsLocked()
	size := 0
	for class := range classes {
		b.compactLocked(class)
		for _, r := range b.ram[class] {
			if r.state != recWaiting {
				continue
			}
			if size >= txBytes {
				more = true
				break
			}
			size += int(r.size)
			r.state = recWriting
			recs[class] = append(recs[class], r)
			items[class] = append(items[class], packed{r.id, r.need, &r.msg})
		}
	}
	b.mu.Unlock()
	boot := b.boots.current()
	for class := range classes {
		for len(items[class]) > 0 {
			s, n := w.pack.take(items[class], boot, 0)
			s.recs = recs[class][:n]
			items[class], recs[class] = items[class][n:], recs[class][n:]
			if bt == nil {
				bt = &batch{}
			}
			bt.segs = append(bt.segs, s)
		}
	}
	return bt, more
}

// compactLocked removes records that are stored or gone.
func (b *Buffer) compactLocked(class int) {
	list := b.ram[class]
	kept := list[:0]
	for _, r := range list {
		if r.state < recStored {
			kept = append(kept, r)
		}
	}
	clear(list[len(kept):])
	b.ram[class] = kept
}

// countLocked puts the records of a batch into the counters that the
// transaction stores.
func (b *Buffer) countLocked(bt *batch) {
	if bt == nil || bt.counted {
		return
	}
	bt.counted = true
	for _, s := range bt.segs {
		class := classOf(s.head.first)
		for i, r := range s.recs {
			r.state, r.share = recCounted, share(s.size(), i, len(s.recs))
			eachBit(r.need, func(bit int) {
				b.cursors[bit].stored[class]++
				b.cursors[bit].bytes[class] += int64(r.share)
			})
		}
		if b.completeLocked(&s.head) { // acknowledged while it was packed
			b.w.todo[class].add(s.head.first, s.head.last)
		}
	}
}

// uncountLocked undoes countLocked after the transaction failed.
func (b *Buffer) uncountLocked(bt *batch) {
	if bt == nil || !bt.counted {
		return
	}
	bt.counted = false
	for _, s := range bt.segs {
		class := classOf(s.head.first)
		for _, r := range s.recs {
			r.state = recWriting
			eachBit(r.need, func(bit int) { b.cursors[bit].unstoreLocked(class, 1, int64(r.share)) })
		}
	}
}

// settle makes a committed batch official: publishers that wait go on, and
// readers find it on disk instead of in memory.
func (w *writer) settle(bt *batch, took time.Duration) {
	b := w.b
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.commits++
	b.stats.spent += took
	b.stats.slowest = max(b.stats.slowest, took)
	if bt == nil {
		return
	}
	for _, s := range bt.segs {
		class := classOf(s.head.first)
		for _, r := range s.recs {
			r.state = recStored
			r.wait.release()
			r.wait = nil
			if r.msg.Exchange != nil {
				eachBit(r.need, func(bit int) { poke(b.cursors[bit].notify) })
			}
			b.ramBytes -= int(r.size) + recordCost
			b.ramCount--
		}
		b.stats.messages += uint64(len(s.recs))
		b.stats.bytes += uint64(s.size())
		b.diskHigh[class] = max(b.diskHigh[class], s.head.last)
		if b.completeLocked(&s.head) {
			w.todo[class].add(s.head.first, s.head.last)
			b.dirty = true
		}
	}
	for class := range classes {
		b.compactLocked(class)
	}
	b.roomLocked()
}

// completeLocked reports whether every upstream that needed something of a
// segment has it.
func (b *Buffer) completeLocked(h *head) bool {
	class := classOf(h.first)
	done := true
	eachBit(h.targets, func(bit int) {
		c := b.cursors[bit]
		done = done && (c == nil || c.acked[class].covers(h.first, h.end(bit)))
	})
	return done
}

// findDoneLocked finds stored segments that nobody needs any more among those
// that acknowledgements touched.
func (w *writer) findDoneLocked() (doomed []head, err error) {
	b := w.b
	b.mu.Lock()
	for _, c := range b.cursors {
		if c == nil {
			continue
		}
		for class := range classes {
			for _, s := range c.fresh[class] {
				w.todo[class].add(s.lo, s.hi)
			}
			c.fresh[class] = c.fresh[class][:0]
		}
	}
	b.mu.Unlock()
	budget := doneHeads
	for class := range classes {
		for len(w.todo[class]) > 0 && budget > 0 && len(doomed) < doneDeletes {
			s := w.todo[class][0]
			heads, err := b.headsLocked(s.lo, s.hi, doneDeletes)
			if err != nil {
				for i := range doomed {
					w.todo[classOf(doomed[i].first)].add(doomed[i].first, doomed[i].last)
				}
				return nil, err
			}
			budget -= len(heads) + 1
			done := s.hi
			if len(heads) >= doneDeletes {
				done = min(done, heads[len(heads)-1].last)
			}
			b.mu.Lock()
			for i := range heads {
				if b.completeLocked(&heads[i]) {
					doomed = append(doomed, heads[i])
				}
			}
			b.mu.Unlock()
			w.todo[class] = w.todo[class].without(done)
		}
	}
	return doomed, nil
}

// recovered says that the disk works again.
func (w *writer) recovered() {
	w.failures, w.noRoom = 0, false
	if w.down == nil {
		return
	}
	w.down = nil
	w.b.mu.Lock()
	w.b.stats.degraded = ""
	w.b.mu.Unlock()
	w.b.event(levelInfo, "I0712", "queue.db is written again")
}

// giveUp stops writing for a while; what comes waits in memory.
func (w *writer) giveUp(err error, wait time.Duration, text string) error {
	w.retryAt = time.Now().Add(wait)
	first := w.down == nil
	w.down = err
	w.b.mu.Lock()
	w.b.stats.degraded = text
	w.b.mu.Unlock()
	if first {
		w.b.event(levelError, "E0710", "%s; messages wait in memory (8 MiB), publishers are not acknowledged: %v", text, err)
	}
	return err
}

// close commits what is left and closes both databases.
func (w *writer) close() {
	b := w.b
	w.stopSalvage()
	w.retryAt = time.Time{}
	err := w.flush()
	w.stopSalvage() // the last commit may have found damage
	b.db.mu.Lock()
	b.mu.Lock()
	row, searched := b.encodeMetaLocked(true), !b.salvage
	b.mu.Unlock()
	if err == nil {
		err = b.db.txLocked(func() error {
			return b.db.execLocked("INSERT OR REPLACE INTO meta(k, v) VALUES(1, ?)", row)
		})
	}
	err = errors.Join(err, b.db.closeLocked())
	b.db.mu.Unlock()
	if b.state != nil {
		if err == nil && searched {
			b.state.saveMark(row)
		}
		err = errors.Join(err, b.state.close())
	}
	w.closeErr = err
}
