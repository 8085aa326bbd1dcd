package buffer

import (
	"errors"
	"fmt"
	"time"
)

// A log that was cut off cleanly, or a file that an older one replaced, looks
// whole: only another file can tell that commits are missing. So now and then,
// and at Close, state.db gets a copy of the counters that queue.db has safely
// stored. It costs the commits of queue.db nothing; what is lost of the time
// after the last copy still goes unnoticed.

// keyMark is where state.db keeps the copy.
const keyMark = "mark"

// maxMark bounds the copy; larger counters have no copy.
const maxMark = 64 << 10

// markEvery is how old the copy may get; a variable for tests.
var markEvery = time.Minute

// errRolledBack: queue.db is whole and older than what is known of it.
var errRolledBack = errors.New("commits are missing at its end")

// saveMark copies the counters of the last commit where the copy is old.
func (w *writer) saveMark() {
	if w.counters == nil || time.Since(w.marked) < markEvery {
		return
	}
	w.b.mu.Lock()
	busy := w.b.salvage // the old copy says what a damaged file had
	w.b.mu.Unlock()
	if busy {
		return
	}
	w.marked = time.Now()
	w.b.state.saveMark(w.counters)
	w.counters = nil
}

func (s *State) saveMark(counters []byte) {
	if len(counters) > maxMark {
		counters = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addLocked(&change{kind: putKV, key: keyMark, value: counters, size: len(counters)}, nil)
}

// readMark takes the copy that state.db has; a damaged one is none.
func (b *Buffer) readMark() {
	if m, err := b.decodeMeta(b.state.mark); err == nil {
		b.mark = &m
	}
}

// checkMark compares the counters of queue.db with the copy.
func (b *Buffer) checkMark(m *meta) error {
	if b.mark == nil || b.mark.serial <= m.serial {
		return nil
	}
	return fmt.Errorf("%w: %w, %d of %d", errDamaged, errRolledBack, b.mark.serial-m.serial, b.mark.serial)
}

// over is the copy with the gaps of older counters whose gap records may be
// among what was lost: those were stored, and not acknowledged, when the copy
// was made. One that was delivered is then reported twice; none is forgotten.
func (m *meta) over(old *meta) meta {
	before := map[string]*Cursor{}
	for _, c := range old.cursors {
		before[c.name] = c
	}
	for _, c := range m.cursors {
		was := before[c.name]
		if was == nil || c.stored[0] == 0 {
			continue
		}
		for why := range reasons {
			told := was.gaps[why].count + c.drops[why] - min(was.drops[why], c.drops[why])
			if told <= c.gaps[why].count {
				continue
			}
			g := was.gaps[why]
			g.count = told - c.gaps[why].count
			c.gaps[why].add(g)
		}
	}
	return *m
}
