package wire

import (
	"fmt"
	"time"
)

// search looks for the answer to one request in what has been received.
type search struct {
	req    Request
	framer framer
	strip  strip
	owed   func(frame) bool // whether a frame answers an earlier request; it is crossed off

	data   []byte      // of the answer, as Reply has it
	misfit *ReplyError // an answer of our unit that does not fit
	last   found       // of the last look, for the verdict
	from   int         // what stands before it has been judged
}

// look returns the answer once it is there. The error is a refusal; a frame
// that is not the answer is judged once and skipped, for the answer may follow.
// buf is what it was the last time, and more.
func (s *search) look(buf []byte) (found, error) {
	at, wait := s.strip.from(buf)
	if wait {
		s.last = found{}
		return found{}, nil
	}
	s.from = max(s.from, at)
	for {
		f := s.framer.find(buf[s.from:], s.req.wanted)
		s.last = f
		if !f.ok {
			return f, nil
		}
		f.start += s.from
		f.end += s.from
		if f.isException() && len(f.data) == 1 {
			return f, &Exception{Function: s.req.Function, Code: f.data[0]}
		}
		if s.accept(&f) {
			return f, nil
		}
		s.from = f.end
	}
}

// accept judges a frame of our unit and function.
func (s *search) accept(f *found) bool {
	misfit := replyErrorf("an exception with %d bytes", len(f.data))
	if !f.isException() {
		if s.data, misfit = s.req.check(f.data); misfit == nil {
			// As long as it must be: nothing of it can still be missing.
			f.quiet = f.quiet && len(f.data) != s.req.replySize()
			return true
		}
	}
	if !s.owed(f.frame) {
		s.misfit = misfit
	}
	return false
}

// spoilt reports that what came is as long as the answer and wrong: only
// silence is awaited. Shorter wrong pieces may be noise before the answer.
func (s *search) spoilt() bool {
	size := s.req.replySize()
	return s.misfit != nil || s.last.partial == 0 && size >= 0 && s.last.broken == s.framer.size(size)
}

// missing is how many bytes must still come before look can find an answer in
// a buffer that holds n; 0 where it does not know of any.
func (s *search) missing(n int) int {
	if n <= s.from || s.last.need == 0 || s.last.ok {
		return 0
	}
	return s.last.need - s.last.partial
}

// verdict names what went wrong when no answer came.
func (s *search) verdict(buf []byte, timeout time.Duration) error {
	got := buf[min(s.from, len(buf)):]
	switch {
	case s.misfit != nil:
		return s.misfit
	case s.strip.may && s.strip.done && len(got) == 0:
		return fmt.Errorf("%w within %s (only the echo of the request)", ErrTimeout, timeout)
	case len(got) == 0:
		return fmt.Errorf("%w within %s", ErrTimeout, timeout)
	case s.strip.must && !s.strip.done:
		return fmt.Errorf("%w within %s: the adapter's echo did not come back, so the %d bytes that came cannot be told from it", ErrTimeout, timeout, len(got))
	}
	if other := s.framer.find(got, anyFrame); other.ok {
		return fmt.Errorf("%w within %s: heard only unit %d with function %d", ErrTimeout, timeout, other.unit, other.function)
	}
	switch {
	case onlyZerosAndOnes(got):
		return fmt.Errorf("%w: %d bytes, all 00 or FF: wrong speed or parity, or A and B swapped", ErrCRC, len(got))
	case s.last.partial > 0 && s.last.broken == 0:
		return fmt.Errorf("%w within %s: %d of %s bytes came", ErrTimeout, timeout, s.last.partial, count(s.last.need))
	case s.last.broken > 0:
		return fmt.Errorf("%w: wrong check sum in %d bytes: two devices with one address, wrong speed, or noise", ErrCRC, len(got))
	case len(got) < rtuOverhead+1:
		return fmt.Errorf("%w within %s: %d bytes came", ErrTimeout, timeout, len(got))
	}
	return fmt.Errorf("%w in %d bytes: wrong speed or parity, or noise", ErrCRC, len(got))
}

func count(n int) string {
	if n == 0 {
		return "?"
	}
	return fmt.Sprint(n)
}

func onlyZerosAndOnes(b []byte) bool {
	for _, c := range b {
		if c != 0 && c != 0xFF {
			return false
		}
	}
	return len(b) > 2
}
