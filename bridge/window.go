package bridge

import "time"

// The window of unacknowledged messages.
const (
	windowStart = 4
	windowMax   = 1024             // whatever an upstream allows: what is in flight is repeated after a cut
	ackTimeout  = 20 * time.Second // an acknowledgement that takes longer says that the link is full
	ackGiveUp   = 90 * time.Second // without a single one for so long the connection is dropped
)

// Limits of the delay that a growing window may cause: messages that wait in
// the link's buffers make live values late.
const (
	growBelow   = 50 * time.Millisecond // above twice the shortest round trip seen
	shrinkAbove = time.Second           // above four times
)

// window is how many messages may be unacknowledged: it grows by one for each
// round trip that it held something back in, as long as acknowledgements come
// quickly, and doubles in each until the first that does not; it shrinks when
// they become slow and halves when they time out. Its owner locks.
type window struct {
	size, limit int
	credit      int           // acknowledgements since the last growth
	felt        bool          // the link's limit: doubling is over
	slow        int           // slow ones since the last shrinking
	base        time.Duration // the shortest round trip seen
	shrunk      time.Time
}

func newWindow(receiveMaximum int) window {
	if receiveMaximum <= 0 {
		receiveMaximum = 65535
	}
	limit := min(receiveMaximum, windowMax)
	return window{size: min(windowStart, limit), limit: limit}
}

// acked notes an acknowledgement that took d. pressed says that more would
// have been in flight if the window had been larger.
func (w *window) acked(d time.Duration, pressed bool) {
	if w.base == 0 || d < w.base {
		w.base = d
	}
	quick := d <= 2*w.base+growBelow
	w.felt = w.felt || !quick
	if d > 4*w.base+shrinkAbove {
		if w.slow++; w.slow >= w.size && w.size > 1 {
			w.size, w.slow, w.credit = w.size-1, 0, 0
		}
		return
	}
	if !pressed || !quick {
		return
	}
	if w.credit++; (w.credit >= w.size || !w.felt) && w.size < w.limit {
		w.size, w.credit, w.slow = w.size+1, 0, 0
	}
}

// timedOut halves the window, once per time-out.
func (w *window) timedOut(now time.Time) bool {
	if !w.shrunk.IsZero() && now.Sub(w.shrunk) < ackTimeout {
		return false
	}
	w.shrunk, w.credit, w.felt = now, 0, true
	w.size = max(1, w.size/2)
	return true
}
