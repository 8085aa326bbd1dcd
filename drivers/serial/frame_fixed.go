package serial

import "bytes"

// fixedShape is a frame of a known length, found by its start bytes, its end
// bytes, or its check alone.
type fixedShape struct {
	start, end []byte
	length     int
}

func (s *fixedShape) find(buf []byte) (skip, n, body int) {
	for {
		skip += indexStart(buf[skip:], s.start)
		rest := buf[skip:]
		if len(rest) < s.length {
			return skip, 0, 0
		}
		if bytes.HasSuffix(rest[:s.length], s.end) {
			return skip, s.length, s.length
		}
		skip++
	}
}

// resync: the start may have been data, so the next byte is tried (SDS011
// sends AA C0 inside its values).
func (s *fixedShape) resync(int) int { return 1 }
