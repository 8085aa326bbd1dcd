package serial

import (
	"bytes"
	"slices"
	"time"
)

// shape knows one kind of frame. It holds no buffer and no state: the same
// bytes always give the same answer.
type shape interface {
	// find looks for the first frame in buf. skip bytes at the front belong to
	// no frame; behind them stands a whole frame of n bytes whose content is
	// the first body of them. n == 0: more bytes are needed.
	find(buf []byte) (skip, n, body int)
	// resync says how many bytes of a frame of n bytes that failed its check
	// to drop before the next look.
	resync(n int) int
}

// framer cuts a stream of bytes into checked frames. Its buffer never grows
// beyond max plus one read. It has no lock; the goroutine that reads the line
// owns it.
type framer struct {
	shape shape
	check *checker
	idle  []byte // bytes that may stand between frames
	max   int

	buf     []byte
	cut     bool // what comes up to the next end is the rest of a cut frame
	tooLong bool // the frame being received is longer than max: drop up to its end
	counts  frameCounts
}

// frameCounts is what a framer has seen since it was made.
type frameCounts struct {
	frames    uint64 // good ones
	unchecked uint64 // good ones without their optional check
	badChecks uint64
	overlong  uint64 // frames longer than max
	dropped   uint64 // bytes that belonged to no frame
}

// reset forgets what was received. With midStream the line may be in the
// middle of a frame: the first piece is dropped silently if its kind cannot
// tell a cut frame from a whole one.
func (f *framer) reset(midStream bool) {
	f.buf = f.buf[:0]
	f.tooLong = false
	f.cut = midStream && cutsFirst(f.shape)
}

// cutsFirst reports a kind whose first piece after opening may be half a
// frame and still look whole: lines and gaps without a start marker.
func cutsFirst(s shape) bool {
	switch s := s.(type) {
	case *delimiterShape:
		return len(s.start) == 0
	case *gapShape:
		return len(s.start) == 0
	}
	return false
}

// feed takes what a read has brought and calls emit for every good frame. The
// frame is only valid during the call.
func (f *framer) feed(p []byte, emit func(frame []byte)) {
	for len(p) > 0 {
		// In pieces, so that the buffer keeps its bound whatever a read brings.
		n := min(len(p), max(1, f.max-len(f.buf)))
		f.buf = append(f.buf, p[:n]...)
		p = p[n:]
		f.scan(emit)
	}
}

func (f *framer) scan(emit func([]byte)) {
	used := 0
	for {
		rest := f.buf[used:]
		if !f.tooLong {
			n := f.idleBytes(rest)
			used += n
			rest = rest[n:]
		}
		skip, n, body := f.shape.find(rest)
		f.drop(skip)
		used += skip
		if n == 0 {
			if len(rest)-skip < f.max {
				break
			}
			used += f.overflow(rest[skip:])
			continue
		}
		used += f.take(rest[skip:skip+n], body, emit)
	}
	f.buf = slices.Delete(f.buf, 0, used)
}

// idleBytes counts the idle bytes at the front of b.
func (f *framer) idleBytes(b []byte) (n int) {
	for n < len(b) && bytes.IndexByte(f.idle, b[n]) >= 0 {
		n++
	}
	return n
}

// take handles one whole frame and returns how many bytes it has used up.
func (f *framer) take(frame []byte, body int, emit func([]byte)) int {
	switch {
	case f.tooLong: // the end of a frame that was too long
		f.tooLong = false
		f.drop(len(frame))
		return len(frame)
	case f.cut:
		f.cut = false
		return len(frame)
	}
	switch f.check.verify(frame[:body]) {
	case checkBad:
		f.counts.badChecks++
		n := f.shape.resync(len(frame))
		f.drop(n)
		return n
	case checkAbsent:
		f.counts.unchecked++
	}
	f.counts.frames++
	emit(frame[:body])
	return len(frame)
}

// overflow handles a buffer that is full without a frame in it.
func (f *framer) overflow(rest []byte) int {
	if d, ok := f.shape.(*delimiterShape); ok && len(d.start) == 0 {
		// No start to look for: everything up to the next end is one overlong line.
		if !f.tooLong && !f.cut {
			f.counts.overlong++
		}
		f.tooLong = f.tooLong || !f.cut
		n := len(rest) - (len(d.end) - 1) // the end itself may be half received
		f.drop(n)
		return n
	}
	if _, ok := f.shape.(*gapShape); ok {
		if !f.tooLong {
			f.counts.overlong++
		}
		f.tooLong = true // until the line falls silent
		f.drop(len(rest))
		return len(rest)
	}
	f.counts.overlong++
	f.drop(1)
	return 1
}

// stall is the silence after which a frame of a known length that is not
// complete never will be: DL/T 645 allows 500 ms between two characters.
const stall = 500 * time.Millisecond

// patience is the silence that means something for what has been collected;
// 0: none does. The reader calls silence after it.
func (f *framer) patience() time.Duration {
	if len(f.buf) == 0 && !f.tooLong {
		return 0
	}
	switch s := f.shape.(type) {
	case *gapShape:
		return s.gap
	case *fixedShape, *lengthShape:
		return stall
	}
	return 0
}

// silence tells the framer that the line has been quiet for its patience: for
// gap framing what has been collected is a frame; for frames of known length
// the first start was false, and behind it may stand a whole frame.
func (f *framer) silence(emit func([]byte)) {
	switch s := f.shape.(type) {
	case *gapShape:
		f.endGap(s, emit)
	case *fixedShape, *lengthShape:
		for len(f.buf) > 0 {
			f.drop(1)
			f.buf = slices.Delete(f.buf, 0, 1)
			f.scan(emit)
		}
	}
}

func (f *framer) endGap(g *gapShape, emit func([]byte)) {
	frame := f.buf
	f.buf = f.buf[:0]
	at := max(0, bytes.Index(frame, g.start))
	if f.tooLong || !bytes.HasPrefix(frame[at:], g.start) {
		at = len(frame)
	}
	f.tooLong = false
	f.drop(at)
	if frame = frame[at:]; len(frame) > 0 {
		f.take(frame, len(frame), emit)
	}
}

func (f *framer) drop(n int) {
	if !f.cut {
		f.counts.dropped += uint64(n)
	}
}
