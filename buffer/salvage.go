package buffer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A damaged queue.db that was moved aside is searched page by page for whole
// segments and for the newest counters; the segments are put into the new
// file, where they come before everything newer, by their old ids. A file
// NAME.salvaged beside it says that this was done; without it the search
// begins anew at the next start, and finds put back what was.

const (
	salvageDone  = ".salvaged"
	salvageBatch = 64 // segments per transaction
	keepBad      = 8  // damaged files that are kept
)

// unsalvaged lists the damaged files of path that were not searched yet.
func unsalvaged(path string) (out []string) {
	all, err := filepath.Glob(globEscape(strings.TrimSuffix(path, ".db")) + ".bad-*.db")
	if err != nil {
		return nil
	}
	for _, name := range all {
		if !exists(name + salvageDone) {
			out = append(out, name)
		}
	}
	return out
}

func globEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// startSalvage searches what was not searched yet, in a goroutine that ends
// with its work or with the writer.
func (w *writer) startSalvage() {
	files := unsalvaged(w.b.db.path)
	if len(files) == 0 {
		return
	}
	w.stopSalvage()
	w.b.mu.Lock()
	w.b.salvage = true
	w.b.mu.Unlock()
	w.salvager = &salvager{b: w.b, stop: make(chan struct{}), done: make(chan struct{})}
	go w.salvager.run(files)
}

// stopSalvage ends the search and waits for its end. Only the writer calls it,
// so the search does not wait for an answer from the writer at that moment.
func (w *writer) stopSalvage() {
	if w.salvager == nil {
		return
	}
	close(w.salvager.stop)
	<-w.salvager.done
	w.salvager = nil
}

// salvager is one search. It works in its own goroutine and asks the writer to
// insert what it finds.
type salvager struct {
	b          *Buffer
	stop, done chan struct{}
}

var errStopped = errors.New("stopped")

func (s *salvager) run(files []string) {
	defer close(s.done)
	for len(files) > 0 {
		err := s.file(files[0])
		if err == nil {
			files = files[1:]
			continue
		}
		if errors.Is(err, errStopped) || errors.Is(err, ErrClosed) {
			return
		}
		s.b.event(levelError, "E0724", "%s cannot be searched now: %v; it is kept and tried again", files[0], err)
		select {
		case <-time.After(retryIO):
		case <-s.stop:
			return
		}
	}
	if s.call(s.b.w.endSalvage) == nil {
		s.b.removeOldBad()
	}
}

// call runs f in the writer.
func (s *salvager) call(f func() error) error {
	res := make(chan error, 1)
	select {
	case s.b.calls <- func() { res <- f() }:
		return <-res
	case <-s.stop:
		return errStopped
	case <-s.b.done:
		return ErrClosed
	}
}

// finds is what one damaged file still holds.
type finds struct {
	meta  meta
	known bool // meta was found
	msgs  int
}

func (s *salvager) file(name string) error {
	pages, err := openPages(name)
	if err != nil {
		return err
	}
	defer pages.close()
	var f finds
	if err := s.findCounters(pages, &f); err != nil {
		return err
	}
	if m := s.b.mark; m != nil && (!f.known || m.serial > f.meta.serial) {
		f.meta, f.known = m.over(&f.meta), true
	}
	if f.known {
		if err := s.call(func() error { return s.b.w.adoptOld(&f.meta) }); err != nil {
			return err
		}
	}
	if err := s.findSegments(pages, &f); err != nil {
		return err
	}
	lost := uint64(0)
	if err := s.call(func() error { lost = s.b.w.reportMissing(); return s.b.w.flush() }); err != nil {
		return err
	}
	if err := os.WriteFile(name+salvageDone, fmt.Appendf(nil, "%d messages put back, %d lost\n", f.msgs, lost), 0o600); err != nil {
		return err
	}
	s.b.mu.Lock()
	s.b.stats.salvaged += uint64(f.msgs)
	s.b.mu.Unlock()
	level := levelInfo
	if lost > 0 {
		level = levelError
	}
	s.b.event(level, "I0725", "%s was searched: %d messages were put back, %d are lost; the file is kept", name, f.msgs, lost)
	return nil
}

// findCounters looks for the newest counters, in either place.
func (s *salvager) findCounters(pages *pageFile, f *finds) error {
	return s.scan(pages, func(_ int64, cols [][]byte) error {
		for _, col := range cols {
			if len(col) < 8 || (col[0] != metaVersion && col[0] != 1) {
				continue
			}
			if m, err := s.b.decodeMeta(col); err == nil && (!f.known || m.serial > f.meta.serial) {
				f.meta, f.known = m, true
			}
		}
		return nil
	})
}

// findSegments puts every whole segment back, a batch at a time.
func (s *salvager) findSegments(pages *pageFile, f *finds) error {
	var batch []*segment
	put := func() error {
		msgs := 0
		err := s.call(func() (err error) { msgs, err = s.b.w.putBack(batch); return err })
		f.msgs += msgs
		batch = batch[:0]
		return err
	}
	err := s.scan(pages, func(id int64, cols [][]byte) error {
		if len(cols) != 4 || len(cols[1]) == 0 {
			return nil
		}
		h, err := readHead(cols[1])
		if err != nil || h.first != uint64(id) || h.verify(cols[1], cols[3]) != nil {
			return nil
		}
		batch = append(batch, &segment{head: h, hb: cols[1], body: cols[3]})
		if len(batch) < salvageBatch {
			return nil
		}
		return put()
	})
	if err == nil && len(batch) > 0 {
		err = put()
	}
	return err
}

// scan calls f with the columns of every row of every page. It pauses now and
// then: live traffic goes first.
func (s *salvager) scan(pages *pageFile, f func(id int64, cols [][]byte) error) error {
	n := 0
	return pages.each(func(page []byte) (err error) {
		select {
		case <-s.stop:
			return errStopped
		default:
		}
		if n++; n%256 == 0 {
			time.Sleep(time.Millisecond)
		}
		pages.rows(page, func(id int64, record []byte) {
			if cols, ok := columns(record); ok && err == nil {
				err = f(id, cols)
			}
		})
		return err
	})
}

// removeOldBad keeps the newest damaged files and removes older ones that were
// searched, so that a dying card cannot fill itself with them. What says that
// they were searched stays, and with it their number.
func (b *Buffer) removeOldBad() {
	var names []string
	for n := 1; ; n++ {
		name := badName(b.db.path, n)
		if !exists(name) && !exists(name+"-wal") && !exists(name+salvageDone) {
			break
		}
		if exists(name) {
			names = append(names, name)
		}
	}
	for len(names) > keepBad {
		name := names[0]
		names = names[1:]
		if !exists(name + salvageDone) {
			continue
		}
		os.Remove(name)
		os.Remove(name + "-wal")
		b.event(levelWarn, "W0726", "%s, which was searched, was removed: %d newer damaged files are kept", name, keepBad)
	}
}
