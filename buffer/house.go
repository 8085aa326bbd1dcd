package buffer

import (
	"strconv"
	"strings"
	"time"

	"fieldgate/buffer/clock"
)

const (
	vacuumPages = 256 // given back per tick while there is nothing else to do
	badRows     = 64  // damaged segments kept for inspection
)

// measure looks at the disk and says when there is too little left.
func (w *writer) measure() {
	b := w.b
	w.fileBytes.Store(fileSize(b.db.path))
	free, err := freeBytes(b.cfg.Dir)
	if err != nil {
		return // the next commit will tell
	}
	w.diskFree.Store(free)
	minFree := int64(b.cfg.MinFree)
	b.mu.Lock()
	low, was := b.lowDisk, b.lowDisk
	switch {
	case free < minFree:
		low = true
	case free > minFree+minFree/10+ballastBytes:
		low = false
	}
	b.lowDisk = low
	if was && !low {
		b.roomLocked() // full = "block": who waits may go on
	}
	if low && !was {
		for _, c := range b.cursors {
			if c != nil {
				c.lowLimit = c.storedLocked()
			}
		}
	}
	b.mu.Unlock()
	if low && !was {
		b.event(levelWarn, "W0713", "only %s are left on the disk of %s, less than min_free %s: the queue does not grow any further; free some space",
			sizeText(free), b.cfg.Dir, sizeText(minFree))
	}
	if !low && was {
		b.event(levelInfo, "I0713", "the disk of %s has room again (%s free)", b.cfg.Dir, sizeText(free))
	}
	if !low && free > minFree+2*ballastBytes && w.down == nil {
		putBallast(b.ballast()) // without it a full disk costs some more of the queue
	}
}

// keepShort keeps the logs of both databases short. What fails now is tried
// again in a second.
func (w *writer) keepShort(tight bool) {
	for _, d := range []*db{&w.b.db, &w.b.state.db} {
		if err := d.keepShort(tight); err != nil && sqlCode(err) != codeFull {
			w.b.log.Debug("keep the log short", "file", d.path, "error", err)
		}
	}
}

// capFile bounds queue.db whatever else goes wrong: max_size for each upstream,
// a quarter for pages that are not full, and room to work in.
func (w *writer) capFile() {
	b := w.b
	b.mu.Lock()
	n := int64(0)
	for _, c := range b.cursors {
		if c != nil {
			n++
		}
	}
	b.mu.Unlock()
	size := n*int64(b.cfg.MaxSize)*5/4 + 16<<20
	b.db.mu.Lock()
	defer b.db.mu.Unlock()
	if _, err := b.db.numberLocked("PRAGMA max_page_count=" + strconv.FormatInt(size/pageSize, 10)); err != nil {
		b.report(err)
	}
}

// sizeText is a size as people read it.
func sizeText(n int64) string {
	const units = "KMGT"
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, i := float64(n)/1024, 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0") + " " + units[i:i+1] + "iB"
}

// shrink gives pages back to the file system while more than a quarter of the
// file is empty. Where nothing was written since it last found nothing to do it
// does not ask the database: a gateway that stores nothing leaves SQLite alone.
func (w *writer) shrink() {
	b := w.b
	b.mu.Lock()
	busy := b.ramCount > 0
	b.mu.Unlock()
	if busy || time.Since(w.lastShrink) < w.shrinkPause {
		return
	}
	b.db.mu.Lock()
	defer b.db.mu.Unlock()
	if b.db.conn != nil && b.db.execs == w.shrunkAt {
		return
	}
	empty, err := b.db.numberLocked("PRAGMA freelist_count")
	if err != nil {
		b.report(err)
		return
	}
	pages, err := b.db.numberLocked("PRAGMA page_count")
	if err != nil {
		b.report(err)
		return
	}
	if empty < 64 || empty*4 < pages {
		w.shrunkAt = b.db.execs
		return
	}
	start := time.Now()
	if err := b.db.execAllLocked("PRAGMA incremental_vacuum(" + strconv.Itoa(vacuumPages) + ")"); err != nil {
		b.report(err)
		return
	}
	if empty <= vacuumPages+64 {
		if err := b.db.execAllLocked("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
			b.report(err)
		}
	}
	w.lastShrink = time.Now()
	w.shrinkPause = 4 * time.Since(start) // at most a fifth of the time
}

// saveBoots stores the table of boots in both files.
func (w *writer) saveBoots() {
	b := w.b
	table := b.boots.encode()
	b.db.mu.Lock()
	err := b.db.execLocked("INSERT OR REPLACE INTO meta(k, v) VALUES("+strconv.Itoa(metaBoots)+", ?)", table)
	b.db.mu.Unlock()
	if err != nil {
		b.report(err)
	}
	b.state.mu.Lock()
	b.state.addLocked(&change{kind: putKV, key: keyBoots, value: table, size: len(table)}, nil)
	b.state.mu.Unlock()
}

// quarantine sets damaged segments aside and counts what is lost with them.
func (w *writer) quarantine() {
	b := w.b
	b.mu.Lock()
	ids := b.badSegs
	b.badSegs = nil
	b.mu.Unlock()
	for _, id := range ids {
		b.db.mu.Lock()
		err := w.quarantineLocked(id)
		b.db.mu.Unlock()
		if err != nil {
			b.report(err)
			return
		}
	}
}

func (w *writer) quarantineLocked(id uint64) error {
	b := w.b
	var hb []byte
	found := false
	err := b.db.queryLocked("SELECT head FROM seg WHERE id = ?", func(scan func(...any) error) error {
		found = true
		return scan(&hb)
	}, int64(id))
	if err != nil || !found {
		return err
	}
	h, err := readHead(hb)
	known := err == nil && h.first == id
	if !known {
		h = head{first: id, last: id, n: 1, targets: b.storedTargets(classOf(id))}
	}
	err = b.db.txLocked(func() error {
		if err := b.db.execLocked("INSERT OR REPLACE INTO bad(id, why, head, body) SELECT id, 'checksum', head, body FROM seg WHERE id = ?", int64(id)); err != nil {
			return err
		}
		if err := b.db.execLocked("DELETE FROM seg WHERE id = ?", int64(id)); err != nil {
			return err
		}
		if err := b.db.execLocked("DELETE FROM bad WHERE id NOT IN (SELECT id FROM bad ORDER BY rowid DESC LIMIT ?)", badRows); err != nil {
			return err
		}
		b.mu.Lock()
		b.loseLocked(&h, known)
		row := b.encodeMetaLocked(false)
		b.mu.Unlock()
		return b.db.execLocked("INSERT OR REPLACE INTO meta(k, v) VALUES(1, ?)", row)
	})
	if err == nil {
		b.event(levelError, "E0723", "a damaged segment of queue.db (%s, %d messages) was set aside", idText(h.first), h.n)
	}
	return err
}

// storedTargets is every upstream for which something of a class is stored.
func (b *Buffer) storedTargets(class int) (mask uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.cursors {
		if c != nil && c.stored[class] > 0 {
			mask |= c.Bit()
		}
	}
	return mask
}

// loseLocked counts a segment that cannot be read. How many of its messages an
// upstream had left is known only where all of them were for it alone and none
// was acknowledged; else the count is what is left over when all else is
// delivered (see settleCounts).
func (b *Buffer) loseLocked(h *head, known bool) {
	class := classOf(h.first)
	b.stats.damaged++
	eachBit(h.targets, func(bit int) {
		c := b.cursors[bit]
		if c == nil || c.acked[class].covers(h.first, h.last) {
			return
		}
		n := int64(0)
		if known && h.targets == c.Bit() && c.acked[class].count(h.first, h.last) == 0 {
			n = min(int64(h.n), c.stored[class])
		}
		for id := range c.out {
			if id >= h.first && id <= h.last {
				c.takeBackLocked(id)
			}
		}
		c.waiting[class] = max(c.waiting[class]-n, 0)
		c.unstoreLocked(class, n, 0)
		c.uncertain = true
		c.acked[class].add(h.first, h.last)
		from := stampOf(h.boot, h.oldest)
		c.missLocked(reasonDamaged, gap{count: uint64(n), first: h.first & orderMask, last: h.last & orderMask, from: from, to: stampOf(h.boot, h.newest)})
	})
}

// settleCounts reports what the counters say is stored and is not: all that
// lies in the file was delivered or given up, so the rest of the count was lost
// with damage. It runs between two commits.
func (w *writer) settleCounts() {
	b := w.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.salvage || w.down != nil {
		return
	}
	now := stampOf(b.boots.current(), clock.Now().Nanos)
	for _, c := range b.cursors {
		for class := range classes {
			if c == nil || c.stored[class] == 0 || !c.acked[class].covers(classLow(class)+1, b.diskHigh[class]) {
				continue
			}
			n, last := c.stored[class], b.diskHigh[class]&orderMask
			c.waiting[class] = max(c.waiting[class]-n, 0)
			c.unstoreLocked(class, n, 0)
			c.missLocked(reasonDamaged, gap{count: uint64(n), first: last, last: last, from: now, to: now})
		}
	}
}
