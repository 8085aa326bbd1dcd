package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// pageFile reads the pages of a database that SQLite will not open any more:
// the file itself and, over it, the pages of its log. It needs no header, no
// tree and no order; what it finds proves itself by a checksum of ours.
type pageFile struct {
	db, wal *os.File
	pages   int64
	logged  map[int64][]int64 // page number (1-based) -> offsets in the log of every copy
	newest  map[int64]int64   // page number -> offset of its newest copy that proves itself
}

const (
	pageSize       = 4096
	walHeader      = 32
	walFrameHeader = 24
	leafTable      = 0x0d // SQLite file format §1.6: a leaf of a table,
	leafIndex      = 0x0a // of a table WITHOUT ROWID,
	innerIndex     = 0x02 // and an inner page of one, which holds rows too
)

func openPages(path string) (*pageFile, error) {
	f, err := os.Open(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open damaged database: %w", err)
	}
	p := &pageFile{db: f, logged: map[int64][]int64{}, newest: map[int64]int64{}}
	if f != nil {
		p.pages = fileSize(path) / pageSize
	}
	if wal, err := os.Open(path + "-wal"); err == nil {
		p.wal = wal
		if err := p.indexLog(); err != nil {
			p.close()
			return nil, err
		}
	}
	return p, nil
}

// indexLog notes where each page lies in the log. Whether a frame was
// committed is not asked: a segment is whole or it is not. A copy counts as the
// newest of its page only if it is of the log's own generation and its checksum
// holds: behind the end of the log lie frames of earlier ones, and the frame at
// which a process was killed has a new head over old content.
func (p *pageFile) indexLog() error {
	return readFrames(p.wal, func(f logFrame) bool {
		if f.page > 0 && f.page <= 1<<31 {
			p.logged[f.page] = append(p.logged[f.page], f.offset+walFrameHeader)
			if f.own && f.holds {
				p.newest[f.page] = f.offset + walFrameHeader
			}
		}
		return true
	})
}

func (p *pageFile) close() {
	for _, f := range []*os.File{p.db, p.wal} {
		if f != nil {
			f.Close()
		}
	}
}

// page reads the newest copy of a page that is numbered from 1.
func (p *pageFile) page(n int64, buf []byte) bool {
	if off, ok := p.newest[n]; ok {
		_, err := p.wal.ReadAt(buf, off)
		return err == nil
	}
	if p.inFile(n, buf) {
		return true
	}
	at := p.logged[n] // better than nothing: what is found must prove itself
	if len(at) == 0 {
		return false
	}
	_, err := p.wal.ReadAt(buf, at[len(at)-1])
	return err == nil
}

func (p *pageFile) inFile(n int64, buf []byte) bool {
	if p.db == nil || n < 1 || n > p.pages {
		return false
	}
	_, err := p.db.ReadAt(buf, (n-1)*pageSize)
	return err == nil || errors.Is(err, io.ErrUnexpectedEOF)
}

// each calls f with every copy of every page there is, log and file.
func (p *pageFile) each(f func(page []byte) error) error {
	buf := make([]byte, pageSize)
	for n := int64(1); n <= p.pages; n++ {
		if p.inFile(n, buf) {
			if err := f(buf); err != nil {
				return err
			}
		}
	}
	for _, at := range p.logged {
		for _, off := range at {
			if _, err := p.wal.ReadAt(buf, off); err != nil {
				continue
			}
			if err := f(buf); err != nil {
				return err
			}
		}
	}
	return nil
}

// latest calls f with the newest copy of every page.
func (p *pageFile) latest(f func(page []byte) error) error {
	last := p.pages
	for n := range p.logged {
		last = max(last, n)
	}
	buf := make([]byte, pageSize)
	for n := int64(1); n <= last; n++ {
		if p.page(n, buf) {
			if err := f(buf); err != nil {
				return err
			}
		}
	}
	return nil
}

// rows calls f with the record of every cell that a page seems to hold: rows
// of a table with their row id, those of a table WITHOUT ROWID with 0. Cells
// are found through the page's own pointers; one that points nowhere is
// passed over.
func (p *pageFile) rows(page []byte, f func(id int64, record []byte)) {
	start := 0
	if string(page[:15]) == "SQLite format 3" {
		start = 100 // the first page begins with the file's header
	}
	kind := page[start]
	first := start + 8
	switch kind {
	case leafTable, leafIndex:
	case innerIndex:
		first += 4
	default:
		return
	}
	cells := int(binary.BigEndian.Uint16(page[start+3:]))
	for i := range cells {
		at := first + 2*i
		if at+2 > pageSize {
			return
		}
		cell := int(binary.BigEndian.Uint16(page[at:]))
		if cell < first || cell >= pageSize-8 {
			continue
		}
		if kind == innerIndex {
			cell += 4 // past the child
		}
		size, n := sqliteVarint(page[cell:])
		cell += n
		id := int64(0)
		if kind == leafTable && cell < pageSize {
			k := 0
			id, k = sqliteVarint(page[cell:])
			cell += k
		}
		if n == 0 || size <= 0 || size > maxSegmentBytes+1<<16 || id < 0 || cell >= pageSize {
			continue
		}
		if record := p.payload(page, cell, int(size), kind != leafTable); record != nil {
			f(id, record)
		}
	}
}

// payload gathers a record from its cell and its overflow pages (SQLite file
// format §1.6, "Cell Payload Overflow Pages").
func (p *pageFile) payload(page []byte, at, size int, index bool) []byte {
	const usable = pageSize
	const minLocal = (usable-12)*32/255 - 23
	maxLocal := usable - 35
	if index {
		maxLocal = (usable-12)*64/255 - 23
	}
	local := size
	if size > maxLocal {
		local = minLocal + (size-minLocal)%(usable-4)
		if local > maxLocal {
			local = minLocal
		}
	}
	if local < 0 || at+local > pageSize {
		return nil
	}
	out := append(make([]byte, 0, size), page[at:at+local]...)
	if local == size {
		return out
	}
	if at+local+4 > pageSize {
		return nil
	}
	next := int64(binary.BigEndian.Uint32(page[at+local:]))
	buf := make([]byte, pageSize)
	for len(out) < size {
		if !p.page(next, buf) {
			return nil
		}
		out = append(out, buf[4:4+min(size-len(out), usable-4)]...)
		next = int64(binary.BigEndian.Uint32(buf))
	}
	return out
}

// sqliteVarint reads a variable-length integer of SQLite; n is 0 where there
// is none.
func sqliteVarint(b []byte) (v int64, n int) {
	for n < 9 && n < len(b) {
		c := b[n]
		n++
		if n == 9 {
			return v<<8 | int64(c), n
		}
		v = v<<7 | int64(c&0x7f)
		if c < 0x80 {
			return v, n
		}
	}
	return 0, 0
}

// columns takes a record of SQLite apart (SQLite file format §2.1). Blobs and
// texts are views; integers and NULLs are nil.
func columns(record []byte) (out [][]byte, ok bool) {
	size, n := sqliteVarint(record)
	if n == 0 || size < int64(n) || size > int64(len(record)) || size > 64 {
		return nil, false
	}
	types, data := record[n:size], record[size:]
	for len(types) > 0 {
		t, k := sqliteVarint(types)
		if k == 0 || t < 0 || len(out) > 8 {
			return nil, false
		}
		types = types[k:]
		length := int64(0)
		switch {
		case t >= 12:
			length = (t - 12) / 2
		case t <= 9:
			length = int64([...]int{0, 1, 2, 3, 4, 6, 8, 8, 0, 0}[t])
		default:
			return nil, false
		}
		if length > int64(len(data)) {
			return nil, false
		}
		if t >= 12 {
			out = append(out, data[:length:length])
		} else {
			out = append(out, nil)
		}
		data = data[length:]
	}
	return out, true
}
