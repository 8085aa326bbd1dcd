package bridge

import "time"

// The window of unacknowledged messages.
const (
	windowStart = 4
	windowMax   = 1024             // whatever an upstream allows: what is in flight is repeated after a cut
	ackTimeout  = 20 * time.Second // an acknowledgement that takes longer says that the link is full
	ackGiveUp   = 90 * time.Second // without a single one for so long the connection is dropped
)

// window is how many messages may be unacknowledged: it grows by one for each
// round trip that filled it and halves when acknowledgements time out. Its
// owner locks.
type window struct {
	size, limit int
	credit      int // acknowledgements since the last growth
	shrunk      time.Time
}

func newWindow(receiveMaximum int) window {
	if receiveMaximum <= 0 {
		receiveMaximum = 65535
	}
	limit := min(receiveMaximum, windowMax)
	return window{size: min(windowStart, limit), limit: limit}
}

// acked notes an acknowledgement that came while full messages were in flight.
func (w *window) acked(inflight int) {
	if inflight < w.size {
		return // the window was not what held us back
	}
	if w.credit++; w.credit >= w.size && w.size < w.limit {
		w.credit = 0
		w.size++
	}
}

// timedOut halves the window, once per time-out.
func (w *window) timedOut(now time.Time) bool {
	if !w.shrunk.IsZero() && now.Sub(w.shrunk) < ackTimeout {
		return false
	}
	w.shrunk, w.credit = now, 0
	w.size = max(1, w.size/2)
	return true
}
