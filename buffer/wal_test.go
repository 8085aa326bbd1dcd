package buffer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// walBuilder writes a log as SQLite would.
type walBuilder struct {
	log    []byte
	salt   [8]byte
	s0, s1 uint32
}

func newWal(salt byte) *walBuilder {
	w := &walBuilder{salt: [8]byte{salt, salt, salt, salt, salt, salt, salt, salt}}
	head := make([]byte, walHeader)
	binary.BigEndian.PutUint32(head, walMagic)
	binary.BigEndian.PutUint32(head[4:], 3007000)
	binary.BigEndian.PutUint32(head[8:], pageSize)
	copy(head[16:], w.salt[:])
	w.s0, w.s1 = walSum(binary.LittleEndian, 0, 0, head[:24])
	binary.BigEndian.PutUint32(head[24:], w.s0)
	binary.BigEndian.PutUint32(head[28:], w.s1)
	w.log = head
	return w
}

// frame appends a page full of one byte; commit ends a transaction.
func (w *walBuilder) frame(page uint32, fill byte, commit bool) *walBuilder {
	f := make([]byte, walFrameHeader+pageSize)
	binary.BigEndian.PutUint32(f, page)
	if commit {
		binary.BigEndian.PutUint32(f[4:], 9)
	}
	copy(f[8:], w.salt[:])
	copy(f[walFrameHeader:], bytes.Repeat([]byte{fill}, pageSize))
	w.s0, w.s1 = walSum(binary.LittleEndian, w.s0, w.s1, f[:8])
	w.s0, w.s1 = walSum(binary.LittleEndian, w.s0, w.s1, f[walFrameHeader:])
	binary.BigEndian.PutUint32(f[16:], w.s0)
	binary.BigEndian.PutUint32(f[20:], w.s1)
	w.log = append(w.log, f...)
	return w
}

// over lays this log over an older one, as SQLite does when it begins anew.
func (w *walBuilder) over(old *walBuilder) *walBuilder {
	if len(old.log) > len(w.log) {
		w.log = append(w.log, old.log[len(w.log):]...)
	}
	return w
}

// overwrite fills the content of the nth frame, from 0.
func (w *walBuilder) overwrite(n int, fill byte) *walBuilder {
	at := walHeader + n*(walFrameHeader+pageSize) + walFrameHeader
	copy(w.log[at:at+pageSize], bytes.Repeat([]byte{fill}, pageSize))
	return w
}

// save writes the log beside a database of three pages full of 'f'.
func (w *walBuilder) save(t *testing.T) string {
	t.Helper()
	path := filepath.Join(memDir(t), "x.db")
	for name, text := range map[string][]byte{path: bytes.Repeat([]byte{'f'}, 3*pageSize), path + "-wal": w.log} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestLogs(t *testing.T) {
	commits := func() *walBuilder {
		return newWal(1).frame(1, 'a', false).frame(2, 'b', true).frame(2, 'c', true).frame(3, 'd', true)
	}
	for _, c := range []struct {
		name    string
		log     *walBuilder
		damaged bool
		page2   byte // its newest copy
	}{
		{"whole", commits(), false, 'c'},
		{"older generation behind the end", newWal(2).frame(2, 'n', true).over(commits()), false, 'n'},
		{"older generation alone has the page", newWal(2).frame(1, 'n', true).over(commits()), false, 'f'},
		// A process was killed between the head and the content of a frame.
		{"torn last commit", commits().frame(2, 'x', true).overwrite(4, 'o'), false, 'c'},
		{"torn last commit over an older generation", newWal(2).frame(2, 'n', true).frame(2, 'x', true).overwrite(1, 'o').over(commits()), false, 'n'},
		// A power cut kept the end of the last transaction and not its beginning.
		{"torn begin of the last transaction", commits().frame(1, 'x', false).frame(2, 'y', true).overwrite(4, 'o'), false, 'y'},
		{"damage before commits", commits().overwrite(1, 'o'), true, 'c'},
		{"damaged header", func() *walBuilder { w := commits(); w.log[17] ^= 1; return w }(), true, 'c'},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := c.log.save(t)
			if err := checkLog(path); errors.Is(err, errDamaged) != c.damaged {
				t.Errorf("damaged: %v, want %v", err, c.damaged)
			}
			p, err := openPages(path)
			if err != nil {
				t.Fatal(err)
			}
			defer p.close()
			buf := make([]byte, pageSize)
			if !p.page(2, buf) || buf[0] != c.page2 || buf[pageSize-1] != c.page2 {
				t.Errorf("the newest copy of page 2 is %q, want %q", buf[0], c.page2)
			}
		})
	}
}

func TestNoLogIsNoDamage(t *testing.T) {
	path := filepath.Join(memDir(t), "x.db")
	if err := checkLog(path); err != nil {
		t.Error(err)
	}
}
