package serial

import (
	"bytes"
	"encoding/binary"
)

// lengthShape is a frame that says its own length.
type lengthShape struct {
	start, end []byte
	at         int    // where the length stands
	typ        string // u8, u16be, u16le
	add        int    // whole frame = length + add
	max        int
}

func (s *lengthShape) find(buf []byte) (skip, n, body int) {
	for {
		skip += indexStart(buf[skip:], s.start)
		rest := buf[skip:]
		if len(rest) < s.at+s.size() {
			return skip, 0, 0
		}
		total := s.length(rest) + s.add
		switch {
		case total > s.max, total < max(s.at+s.size(), len(s.start)+len(s.end)):
			skip++ // noise: no frame of ours is that long or that short
		case len(rest) < total:
			return skip, 0, 0
		case bytes.HasSuffix(rest[:total], s.end):
			return skip, total, total
		default:
			skip++
		}
	}
}

func (s *lengthShape) size() int {
	if s.typ == "u8" {
		return 1
	}
	return 2
}

func (s *lengthShape) length(frame []byte) int {
	switch s.typ {
	case "u16be":
		return int(binary.BigEndian.Uint16(frame[s.at:]))
	case "u16le":
		return int(binary.LittleEndian.Uint16(frame[s.at:]))
	}
	return int(frame[s.at])
}

// resync: see fixedShape.
func (s *lengthShape) resync(int) int { return 1 }
