package serial

import "bytes"

// bracketShape is a telegram of many lines between a start and an end marker,
// with bytes behind the end that belong to it, such as a check and CR LF.
type bracketShape struct {
	start, end []byte
	afterEnd   int
	digits     bool // what follows the end is text: a line feed ends it early
}

func (s *bracketShape) find(buf []byte) (skip, n, body int) {
	skip = indexStart(buf, s.start)
	rest := buf[skip:]
	if len(rest) < len(s.start) {
		return skip, 0, 0
	}
	at := bytes.Index(rest[len(s.start):], s.end)
	if at < 0 {
		return skip, 0, 0
	}
	tail := len(s.start) + at + len(s.end)
	n = tail + s.afterEnd
	if s.digits {
		// Some boxes leave out the leading zeros of the check ("!B9F"), old
		// meters the whole check: the line is shorter then.
		if lf := bytes.IndexByte(rest[tail:min(n, len(rest))], '\n'); lf >= 0 {
			n = tail + lf + 1
		}
	}
	if len(rest) < n {
		return skip, 0, 0
	}
	return skip, n, n
}

// resync: a telegram whose end was lost has swallowed the next one; that one's
// start is inside.
func (s *bracketShape) resync(int) int { return 1 }
