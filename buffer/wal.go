package buffer

import (
	"encoding/binary"
	"fmt"
	"os"
)

// checkLog looks for damage in the log of a database before SQLite opens it.
// SQLite takes the first frame whose checksum is wrong for the end of the log
// (SQLite file format §4.5), and would silently forget every commit after it.
// A log is damaged where valid-looking commits of its generation follow such a
// frame, or where its header is not one. A power cut in the last, not yet
// synced commit can look like this too; moving the file aside costs nothing
// but time then, as the search finds every whole segment.
func checkLog(path string) error {
	log, err := os.ReadFile(path + "-wal")
	if err != nil || len(log) < walHeader+walFrameHeader+pageSize {
		return nil // no log, or none that holds anything
	}
	if fileSize(path) == 0 {
		return fmt.Errorf("%w: the file is empty and its log is not", errDamaged) // SQLite would delete the log
	}
	magic := binary.BigEndian.Uint32(log)
	if magic&^1 != 0x377f0682 {
		return fmt.Errorf("%w: the log has no header", errDamaged)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if magic&1 != 0 {
		order = binary.BigEndian
	}
	s0, s1 := walSum(order, 0, 0, log[:24])
	if binary.BigEndian.Uint32(log[24:]) != s0 || binary.BigEndian.Uint32(log[28:]) != s1 {
		return fmt.Errorf("%w: the header of the log is damaged", errDamaged)
	}
	salt := string(log[16:24])
	valid := true
	for off := walHeader; off+walFrameHeader+pageSize <= len(log); off += walFrameHeader + pageSize {
		h := log[off : off+walFrameHeader]
		if string(h[8:16]) != salt {
			if valid {
				return nil // the rest is of an earlier generation
			}
			continue
		}
		if valid {
			s0, s1 = walSum(order, s0, s1, h[:8])
			s0, s1 = walSum(order, s0, s1, log[off+walFrameHeader:off+walFrameHeader+pageSize])
			valid = binary.BigEndian.Uint32(h[16:]) == s0 && binary.BigEndian.Uint32(h[20:]) == s1
		}
		if commit := binary.BigEndian.Uint32(h[4:]) != 0; !valid && commit {
			return fmt.Errorf("%w: the log is damaged before its last commit", errDamaged)
		}
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
