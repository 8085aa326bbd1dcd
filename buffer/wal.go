package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// logFrame is one frame of a write-ahead log (SQLite file format §4.1).
type logFrame struct {
	offset int64 // in the log
	page   int64 // number of its page, from 1
	commit bool  // the last frame of a transaction
	own    bool  // of the generation that the log's header names
	holds  bool  // its checksum fits, going on from the one stored before it
	chain  bool  // and so do those of all frames before it: SQLite would take it
}

// logReader walks through a log.
type logReader struct {
	order  binary.ByteOrder
	salt   string
	stored [2]uint32 // checksum stored in the frame before
	chain  bool
}

// readFrames calls f with every whole frame, in the order of the file, until f
// says false. A log without a header that holds has no generation of its own
// but that of its first frame. One frame is in memory at a time.
func readFrames(log io.ReaderAt, f func(logFrame) bool) error {
	var r logReader
	head := make([]byte, walHeader)
	if _, err := log.ReadAt(head, 0); err != nil {
		return endOfLog(err)
	}
	r.open(head)
	buf := make([]byte, walFrameHeader+pageSize)
	for off := int64(walHeader); ; off += int64(len(buf)) {
		if _, err := log.ReadAt(buf, off); err != nil {
			return endOfLog(err)
		}
		if !f(r.next(off, buf)) {
			return nil
		}
	}
}

func endOfLog(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return fmt.Errorf("%w: %w", errLogUnread, err)
}

// open reads the header (SQLite file format §4.1, "WAL Header Format").
func (r *logReader) open(head []byte) {
	magic := binary.BigEndian.Uint32(head)
	r.order = binary.LittleEndian
	if magic&1 != 0 {
		r.order = binary.BigEndian
	}
	s0, s1 := walSum(r.order, 0, 0, head[:24])
	if magic&^1 == walMagic && binary.BigEndian.Uint32(head[24:]) == s0 && binary.BigEndian.Uint32(head[28:]) == s1 {
		r.salt, r.stored, r.chain = string(head[16:24]), [2]uint32{s0, s1}, true
	}
}

func (r *logReader) next(off int64, buf []byte) logFrame {
	h := buf[:walFrameHeader]
	if r.salt == "" {
		r.salt = string(h[8:16])
	}
	f := logFrame{
		offset: off, page: int64(binary.BigEndian.Uint32(h)), commit: binary.BigEndian.Uint32(h[4:]) != 0, own: string(h[8:16]) == r.salt,
	}
	s0, s1 := walSum(r.order, r.stored[0], r.stored[1], h[:8])
	s0, s1 = walSum(r.order, s0, s1, buf[walFrameHeader:])
	r.stored = [2]uint32{binary.BigEndian.Uint32(h[16:]), binary.BigEndian.Uint32(h[20:])}
	f.holds = r.stored == [2]uint32{s0, s1}
	r.chain = r.chain && f.own && f.holds
	f.chain = r.chain
	return f
}

// walMagic begins a log; the last bit tells the byte order of checksums.
const walMagic = 0x377f0682

// checkLog is checkLogOnce, but for a read that fails for a moment.
func checkLog(path string) error {
	for tries := 1; ; tries++ {
		err := checkLogOnce(path)
		if !errors.Is(err, errLogUnread) || tries >= readTries {
			return err
		}
		time.Sleep(readPause)
	}
}

// errLogUnread: the disk did not give the log.
var errLogUnread = errors.New("the log cannot be read")

// checkLogOnce looks for damage in the log of a database before SQLite opens it.
// SQLite takes the first frame whose checksum is wrong for the end of the log
// (SQLite file format §4.5), and would silently forget every commit after it.
//
// A wrong frame alone is no damage: a process that is killed, or a power cut,
// leaves the last transaction torn, and nobody was told that it is safe. A log
// is damaged where its header is not one, or where two commits of its
// generation that hold together follow the first wrong frame: the first may
// belong to the torn transaction, the second cannot.
func checkLogOnce(path string) error {
	log, err := os.Open(path + "-wal")
	if err != nil {
		return nil // no log
	}
	defer log.Close()
	if fileSize(path+"-wal") < walHeader+walFrameHeader+pageSize {
		return nil // none that holds anything
	}
	if fileSize(path) == 0 {
		return fmt.Errorf("%w: the file is empty and its log is not", errDamaged) // SQLite would delete the log
	}
	head := make([]byte, walHeader)
	if _, err := log.ReadAt(head, 0); err != nil {
		return fmt.Errorf("%w: %w: %w", errDamaged, errLogUnread, err)
	}
	if binary.BigEndian.Uint32(head)&^1 != walMagic {
		return fmt.Errorf("%w: the log has no header", errDamaged)
	}
	var r logReader
	if r.open(head); !r.chain {
		return fmt.Errorf("%w: the header of the log is damaged", errDamaged)
	}
	commits := 0
	err = readFrames(log, func(f logFrame) bool {
		if !f.chain && f.own && f.holds && f.commit {
			commits++
		}
		return commits < 2
	})
	if err == nil && commits >= 2 {
		err = errors.New("commits follow a frame that is wrong")
	}
	if err != nil {
		return fmt.Errorf("%w: the log is damaged before its last commit: %w", errDamaged, err)
	}
	return nil
}

// walSum is the checksum of SQLite file format §4.2.
func walSum(order binary.ByteOrder, s0, s1 uint32, b []byte) (uint32, uint32) {
	for i := 0; i+8 <= len(b); i += 8 {
		s0 += order.Uint32(b[i:]) + s1
		s1 += order.Uint32(b[i+4:]) + s0
	}
	return s0, s1
}
