package buffer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// repair does what an error of the database calls for. nil means: try again
// now; else the writer rests until retryAt and everything waits in memory.
func (w *writer) repair(err error) error {
	w.failures++
	switch {
	case isDamage(err):
		if w.failures > 3 {
			return w.giveUp(err, retryIO, "queue.db is damaged again and again")
		}
		return w.replace(err)
	case sqlCode(err) == codeFull:
		return w.makeRoom(err)
	default:
		return w.reopen(err)
	}
}

// reopen answers an I/O error. The kernel marks pages clean that it failed to
// write, so an fsync is never repeated: the file is closed and opened, the log
// emptied, the file checked, and the batch inserted anew.
func (w *writer) reopen(cause error) error {
	b := w.b
	if w.failures > 3 {
		return w.giveUp(cause, retryIO, "queue.db cannot be written")
	}
	b.db.mu.Lock()
	defer b.db.mu.Unlock()
	b.db.closeLocked()
	err := b.db.openLocked(queueSchema)
	if err == nil {
		err = b.db.emptyLogLocked()
	}
	if err == nil && fileSize(b.db.path) <= checkUpTo {
		err = b.db.checkLocked()
	}
	if err == nil {
		err = b.readHighLocked()
	}
	if err == nil {
		b.event(levelWarn, "W0711", "queue.db was reopened after: %v", cause)
		return nil
	}
	b.db.closeLocked()
	if isDamage(err) {
		return w.replaceLocked(err)
	}
	return w.giveUp(err, retryIO, "queue.db cannot be opened again")
}

// replace moves a damaged file aside and goes on with a new one; what can be
// read of the old one is put back by and by.
func (w *writer) replace(cause error) error {
	w.b.db.mu.Lock()
	defer w.b.db.mu.Unlock()
	return w.replaceLocked(cause)
}

func (w *writer) replaceLocked(cause error) error {
	b := w.b
	if err := b.moveAsideLocked(cause); err != nil {
		return w.giveUp(err, retryIO, "the damaged queue.db cannot be moved aside")
	}
	if err := b.db.openLocked(queueSchema); err != nil {
		return w.giveUp(err, retryIO, "no new queue.db can be made")
	}
	b.mu.Lock()
	b.diskHigh = [classes]uint64{}
	for _, c := range b.cursors {
		if c != nil {
			c.forgetStoredLocked()
		}
	}
	b.dirty = true
	b.mu.Unlock()
	w.todo = [classes]spans{}
	w.startSalvage()
	return nil
}

// moveAsideLocked closes the database and renames it together with its log:
// the log alone would be taken for one of the new file, and the file without
// its log lacks what was committed last.
func (b *Buffer) moveAsideLocked(cause error) error {
	b.db.closeLocked()
	name, err := moveAside(b.db.path)
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.stats.moved = append(b.stats.moved, filepath.Base(name))
	b.mu.Unlock()
	b.event(levelError, "E0720", "queue.db is damaged (%v); moved aside to %s, a new one is in use, and what can be read is put back", cause, name)
	return nil
}

// moveAside renames path, path-wal and path-shm to the first free
// NAME.bad-N.db.
func moveAside(path string) (string, error) {
	for n := 1; ; n++ {
		to := badName(path, n)
		if exists(to) || exists(to+"-wal") || exists(to+salvageDone) {
			continue
		}
		// The log goes first: a power cut between the two leaves a database
		// without its log, which is found damaged or old, never a new database
		// with a foreign log.
		for _, suffix := range []string{"-wal", "-shm", ""} {
			err := os.Rename(path+suffix, to+suffix)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return "", fmt.Errorf("move damaged database aside: %w", err)
			}
		}
		return to, syncDir(filepath.Dir(path))
	}
}

func badName(path string, n int) string {
	return fmt.Sprintf("%s.bad-%d.db", path[:len(path)-len(".db")], n)
}

func fileSize(path string) int64 {
	st, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return st.Size()
}

// Steps of making room on a full disk.
const (
	roomSegments = 8         // given up at a time, where the disk itself is full
	pageSegments = 64        // where only the file's own limit is reached
	diskFullAt   = 1 << 20   // bytes free, below which the disk itself is full
	roomWorth    = 256 << 10 // a smaller file gives nothing back that helps
)

// makeRoom answers a full disk: first the ballast goes, and only where that
// was not enough the oldest segments, where the policy says so. Giving
// messages up must pay: where another program fills the disk and the queue's
// own file is small, or where the disk stays full all the same, nothing more
// is given up; then messages wait in memory and publishers are not
// acknowledged.
func (w *writer) makeRoom(cause error) error {
	b := w.b
	had := exists(b.ballast())
	os.Remove(b.ballast())
	w.keepShort(true)
	before, _ := freeBytes(b.cfg.Dir) // unknown: as if full
	dropped := 0
	if !had {
		dropped = w.giveRoom(before)
	}
	b.db.mu.Lock()
	err := b.db.txOrOpenLocked()
	if err == nil {
		err = w.commitLocked(nil)
	}
	if err == nil {
		err = b.db.truncateLocked()
	}
	b.db.mu.Unlock()
	if err != nil && isDamage(err) {
		return w.replace(err)
	}
	after, _ := freeBytes(b.cfg.Dir)
	if dropped > 0 {
		b.event(levelWarn, "W0715", "the disk of %s is full: %d of the oldest segments were given up to make room", b.cfg.Dir, dropped)
		w.noRoom = after < diskFullAt && after <= before
	}
	if (had || dropped > 0) && w.failures <= 8 {
		return nil // something changed: try again
	}
	return w.giveUp(cause, retryFull, "the disk of "+b.cfg.Dir+" is full")
}

// giveRoom gives up segments where that can help.
func (w *writer) giveRoom(free int64) (dropped int) {
	b := w.b
	switch {
	case b.cfg.Full != FullDropOldest && b.cfg.Full != FullThin:
		return 0
	case free >= diskFullAt: // the file's own limit, not the disk
		return w.evictAny(pageSegments)
	case w.noRoom || fileSize(b.db.path) < roomWorth:
		return 0
	}
	return w.evictAny(roomSegments)
}

// ballast is the file that is given up first.
func (b *Buffer) ballast() string { return filepath.Join(b.cfg.Dir, "ballast") }

// txOrOpenLocked opens the database where an earlier error closed it.
func (d *db) txOrOpenLocked() error {
	if d.conn != nil {
		return nil
	}
	return d.openLocked(queueSchema)
}

// emptyLogLocked moves the log into the database, at a start and after an I/O
// error, before anything else is written. The log may hold commits whose fsync failed: they
// can be read until the power goes, and are then a hole that hides all commits
// behind it.
func (d *db) emptyLogLocked() error {
	busy := int64(0)
	err := d.queryLocked("PRAGMA wal_checkpoint(TRUNCATE)", func(scan func(...any) error) error {
		var frames, moved int64
		return scan(&busy, &frames, &moved)
	})
	if err == nil && busy != 0 {
		err = errors.New("the log cannot be emptied")
	}
	if sqlCode(err) == codeFull {
		return nil // makeRoom empties it; a full disk must not prevent a start
	}
	return err
}

// truncateLocked moves the log into the database and gives its space back.
func (d *db) truncateLocked() error {
	if err := d.execAllLocked("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return err
	}
	return d.execAllLocked("PRAGMA incremental_vacuum(1000)")
}

// noteMoved remembers a damaged file for Stats.
func (b *Buffer) noteMoved(name string) {
	b.mu.Lock()
	b.stats.moved = append(b.stats.moved, name)
	b.mu.Unlock()
}
