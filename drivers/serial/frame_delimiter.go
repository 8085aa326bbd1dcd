package serial

import "bytes"

// delimiterShape is a line: optional start marker, content, end marker. The
// end is not part of the frame that is delivered; the start is.
type delimiterShape struct {
	start, end []byte
	checked    bool // frames carry a check that tells a cut frame from a whole one
}

func (s *delimiterShape) find(buf []byte) (skip, n, body int) {
	if len(s.start) > 0 {
		skip = indexStart(buf, s.start)
		if skip == len(buf) {
			return skip, 0, 0
		}
	}
	line := buf[skip:]
	from := min(len(s.start), len(line))
	at := bytes.Index(line[from:], s.end)
	if at < 0 {
		return skip, 0, 0
	}
	at += from
	if len(s.start) > 0 && !s.checked {
		// Without a check a second start before the end means that the first
		// frame was cut; the whole one begins at the last start.
		if last := bytes.LastIndex(line[:at], s.start); last > 0 {
			skip, at, line = skip+last, at-last, line[last:]
		}
	}
	body = at
	if body > 0 && line[body-1] == '\r' && len(s.end) == 1 && s.end[0] == '\n' {
		body-- // "\n" takes lines that end in CR LF as well
	}
	return skip, at + len(s.end), body
}

// resync: a start inside the bad line is tried; without one the next line is
// the next chance. Trying every tail of the line would sooner or later find
// one whose short check fits by accident.
func (s *delimiterShape) resync(n int) int {
	if len(s.start) > 0 {
		return 1
	}
	return n
}

// indexStart is where start, or the beginning of one that is not yet wholly
// received, stands in buf; len(buf) where there is none.
func indexStart(buf, start []byte) int {
	if at := bytes.Index(buf, start); at >= 0 {
		return at
	}
	for tail := min(len(buf), len(start)-1); tail > 0; tail-- {
		if bytes.HasPrefix(start, buf[len(buf)-tail:]) {
			return len(buf) - tail
		}
	}
	return len(buf)
}
