package buffer

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strconv"
)

const (
	levelInfo  = slog.LevelInfo
	levelWarn  = slog.LevelWarn
	levelError = slog.LevelError
)

// queueSchema makes the tables where they are missing. Segments have no
// second index and no AUTOINCREMENT: the id alone gives every order we need.
const queueSchema = `
CREATE TABLE IF NOT EXISTS meta(k INTEGER PRIMARY KEY, v BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS seg(id INTEGER PRIMARY KEY, head BLOB NOT NULL, meta BLOB, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS bad(id INTEGER PRIMARY KEY, why TEXT NOT NULL, head BLOB, body BLOB);
`

// The rows of meta: 1 is the counters and cursors, 2 the boots.
const metaBoots = 2

// checkUpTo is the size of a file that is checked as a whole after an unclean
// stop. In a larger one each segment's checksum is checked when it is read.
const checkUpTo = 32 << 20

// checkAlways is the size up to which that is done after a clean stop too: a
// disk that lied about its last fsyncs keeps the mark of a clean stop and not
// the pages before it.
const checkAlways = 4 << 20

// Where queue.db has lost its counters, the number of the last start is what
// state.db says, which may be a few too low, or lost as well. Ids of this start
// must lie above all that the search brings back, or nobody would read those;
// where it finds a higher start, ours is raised (see raiseEpoch).
const (
	lostEpochs = 16
	lostStart  = 1 << 13
)

// start opens both databases. It reads a fixed number of rows, however much
// is queued.
func (b *Buffer) start() error {
	pack, err := newPacker()
	if err != nil {
		return err
	}
	b.w = &writer{b: b, pack: pack}
	state, err := openState(filepath.Join(b.cfg.Dir, "state.db"), b)
	if err != nil {
		return err
	}
	b.state = state
	b.readMark()
	b.db.mu.Lock()
	defer b.db.mu.Unlock()
	m, table, err := b.openQueueLocked()
	if err != nil {
		state.close()
		return err
	}
	b.boots.start(b.opt.bootID, table, state.boots)
	state.codecBoot(b.boots.current())
	b.mu.Lock()
	b.epoch = max(m.epoch, state.epoch) + 1
	if b.damaged {
		b.epoch += lostEpochs
		if state.epoch == 0 {
			b.epoch += lostStart
		}
	}
	b.serial = m.serial
	if b.mark != nil {
		b.epoch, b.serial = max(b.epoch, b.mark.epoch+1), max(b.serial, b.mark.serial)
	}
	b.w.todo = m.todo
	b.dirty = true
	b.salvage = len(unsalvaged(b.db.path)) > 0
	b.adoptLocked(m.cursors)
	b.exchanges.load(m.taken)
	if b.damaged {
		b.restoreNamesLocked(state.names)
		b.nameless = len(state.names) == 0
	}
	b.mu.Unlock()
	b.w.measure()
	if err := b.firstCommitLocked(); err != nil {
		// The number of this start could not be stored. A jump keeps it from
		// being given out again.
		b.mu.Lock()
		b.epoch += 1 + rand.Uint32N(1000)
		b.mu.Unlock()
		b.report(err)
	}
	state.saveEpoch(b.epoch, b.boots.encode())
	b.mu.Lock()
	for _, c := range b.cursors {
		if c != nil {
			c.markLocked() // under the new epoch: all that is stored is backlog
		}
	}
	b.mu.Unlock()
	return nil
}

// openQueueLocked opens queue.db and reads its counters; damage leads to a
// new file. The only errors are those a person has to see to.
func (b *Buffer) openQueueLocked() (m meta, table []boot, err error) {
	for attempt := 0; ; attempt++ {
		err = checkLog(b.db.path)
		if err == nil {
			err = b.db.openLocked(queueSchema)
		}
		if err == nil {
			err = b.db.emptyLogLocked() // whoever wrote it may have died of an I/O error
		}
		if err == nil {
			m, table, err = b.readMetaLocked()
		}
		if err == nil && attempt == 0 {
			err = b.checkMark(&m)
		}
		if size := fileSize(b.db.path); err == nil && (size <= checkAlways || !m.clean && size <= checkUpTo) {
			err = b.db.checkLocked()
		}
		if err == nil {
			return m, table, b.readHighLocked()
		}
		if errors.Is(err, ErrInUse) || errors.Is(err, errLayout) || attempt > 0 {
			b.db.closeLocked()
			return m, nil, err
		}
		if !isDamage(err) && !errors.Is(err, errShort) {
			b.db.closeLocked()
			return m, nil, fmt.Errorf("open the queue: %w", err)
		}
		if err := b.moveAsideLocked(err); err != nil {
			return m, nil, err
		}
		b.mu.Lock()
		b.damaged = true
		b.mu.Unlock()
	}
}

var errLayout = errors.New("queue.db was written by another version of fieldgate")

// readMetaLocked reads the counters and the boots. Each commit wrote the
// counters either to their own row or beside the last of its segments (see
// commitLocked); the highest serial number is the truth.
func (b *Buffer) readMetaLocked() (m meta, table []boot, err error) {
	var rows [][]byte
	err = b.db.queryLocked("SELECT k, v FROM meta", func(scan func(...any) error) error {
		var k int
		var v []byte
		if err := scan(&k, &v); err != nil {
			return err
		}
		if k == metaBoots {
			table = decodeBoots(v)
		} else {
			rows = append(rows, v)
		}
		return nil
	})
	for class := 0; class < classes && err == nil; class++ {
		err = b.db.queryLocked("SELECT meta FROM seg WHERE id > ? AND id <= ? ORDER BY id DESC LIMIT 1", func(scan func(...any) error) error {
			var v []byte
			if err := scan(&v); err != nil {
				return err
			}
			if len(v) > 0 {
				rows = append(rows, v)
			}
			return nil
		}, int64(classLow(class)), int64(classHigh(class)))
	}
	if err != nil || len(rows) == 0 {
		m.clean = true // a new file
		return m, table, err
	}
	return b.newestMeta(rows, table)
}

// newestMeta picks the newest of the rows that can be read.
func (b *Buffer) newestMeta(rows [][]byte, table []boot) (m meta, _ []boot, err error) {
	err = errShort
	doubt := false
	for _, row := range rows {
		x, e := b.decodeMeta(row)
		if e != nil {
			doubt = true
			if errors.Is(e, errLayout) {
				return m, table, e
			}
			continue
		}
		if err != nil || x.serial > m.serial {
			m, err = x, nil
		}
	}
	for _, c := range m.cursors {
		c.uncertain = c.uncertain || doubt
	}
	return m, table, err
}

// readHighLocked finds the highest stored id of each class.
func (b *Buffer) readHighLocked() error {
	var high [classes]uint64
	for class := range classes {
		err := b.db.queryLocked("SELECT head FROM seg WHERE id > ? AND id <= ? ORDER BY id DESC LIMIT 1", func(scan func(...any) error) error {
			var hb []byte
			if err := scan(&hb); err != nil {
				return err
			}
			h, err := readHead(hb)
			if err != nil {
				high[class] = classLow(class) | uint64(maxEpoch)<<seqBits // unknown: look everywhere
				return nil
			}
			high[class] = h.last
			return nil
		}, int64(classLow(class)), int64(classHigh(class)))
		if err != nil {
			return err
		}
	}
	b.mu.Lock()
	b.diskHigh = high
	b.mu.Unlock()
	return nil
}

// firstCommitLocked stores the number of this start and of this boot, and
// that the file is in use.
func (b *Buffer) firstCommitLocked() error {
	return b.db.txLocked(func() error {
		b.mu.Lock()
		row := b.encodeMetaLocked(false)
		b.mu.Unlock()
		if err := b.db.execLocked("INSERT OR REPLACE INTO meta(k, v) VALUES(1, ?)", row); err != nil {
			return err
		}
		return b.db.execLocked("INSERT OR REPLACE INTO meta(k, v) VALUES("+strconv.Itoa(metaBoots)+", ?)", b.boots.encode())
	})
}
