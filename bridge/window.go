package bridge

import "time"

// The window of unacknowledged messages.
const (
	windowStart = 4
	windowMax   = 1024             // whatever an upstream allows: what is in flight is repeated after a cut
	ackTimeout  = 20 * time.Second // an acknowledgement that takes longer says that the link is full
	ackGiveUp   = 90 * time.Second // without a single one for so long the connection is dropped
)

// What a growing window may cost in time: messages that wait in the link's
// buffers make live values late.
const (
	delayShare = 4                     // a quarter of the shortest round trip
	delayLeast = 25 * time.Millisecond // or so much: a broker has its pauses
	growEvery  = 8                     // quick acknowledgements for one more: an eighth in a round trip
	roundLeast = 8                     // acknowledgements that a judgement rests on
	baseFor    = time.Minute           // then the shortest round trip is measured anew
)

// window is how many messages may be unacknowledged. It doubles in each round
// trip that it held something back in until acknowledgements become slow, grows
// by an eighth from then on while they are quick, and shrinks to what the link can
// carry without a queue when a whole round of them was slow. A smaller window
// that carries less shows that there was no queue, only an upstream that takes
// its time; it is taken back. It halves when acknowledgements time out. Its
// owner locks.
type window struct {
	size, limit int
	credit      int           // acknowledgements since the last growth
	felt        bool          // the link's limit: doubling is over
	base        time.Duration // the shortest round trip seen, of the last minutes
	measured    time.Time     // when base was begun
	shrunk      time.Time     // by a time-out
	round       round
	trial       trial
}

// round are the acknowledgements of about one window.
type round struct {
	began time.Time
	n     int
	best  time.Duration
}

// trial is a smaller window that is compared with the larger one before it.
type trial struct {
	rounds int     // to go until it is judged; 0: none
	from   int     // the size before
	rate   float64 // acknowledgements a second before
	base   bool    // it is for measuring base anew, and ends in any case
}

func newWindow(receiveMaximum int) window {
	if receiveMaximum <= 0 {
		receiveMaximum = 65535
	}
	limit := min(receiveMaximum, windowMax)
	return window{size: min(windowStart, limit), limit: limit}
}

// slow is the time that an acknowledgement takes where messages queue.
func (w *window) slow() time.Duration { return w.base + max(w.base/delayShare, delayLeast) }

// acked notes an acknowledgement that took d. pressed says that more would
// have been in flight if the window had been larger.
func (w *window) acked(d time.Duration, pressed bool, now time.Time) {
	if w.base == 0 {
		w.base, w.measured, w.round.began = d, now, now
	}
	w.base = min(w.base, d)
	if !w.felt && d > w.slow() { // sent a round trip ago, when the window was half as large
		w.felt, w.size, w.credit = true, max(1, w.size*2/3), 0
	}
	r := &w.round
	if r.n == 0 || d < r.best {
		r.best = d
	}
	if r.n++; r.n >= max(w.size, roundLeast) {
		w.judge(pressed, now)
		w.round = round{began: now}
	}
	if !pressed || w.trial.rounds > 0 || d > (w.base+w.slow())/2 {
		return
	}
	if w.credit++; (w.credit >= min(w.size, growEvery) || !w.felt) && w.size < w.limit {
		w.size, w.credit = w.size+1, 0
	}
}

// judge looks at a round that has ended.
func (w *window) judge(pressed bool, now time.Time) {
	rate := float64(w.round.n) / max(now.Sub(w.round.began), time.Millisecond).Seconds()
	switch {
	case w.trial.rounds > 1:
		w.trial.rounds--
	case w.trial.rounds == 1:
		w.end(rate, now)
	case w.felt && now.Sub(w.measured) > baseFor:
		w.try(max(1, w.size/2), rate, true)
	case pressed && w.round.best > w.slow() && w.size > 1:
		w.try(max(1, int(float64(w.size)*float64(w.slow())/float64(w.round.best))), rate, false)
	}
}

// try makes the window smaller for two rounds: in the first one there are still
// messages of before.
func (w *window) try(size int, rate float64, base bool) {
	w.trial = trial{rounds: 2, from: w.size, rate: rate, base: base}
	w.size, w.credit = size, 0
}

// end decides about a smaller window.
func (w *window) end(rate float64, now time.Time) {
	was := w.trial
	w.trial = trial{}
	switch {
	case was.base:
		w.size, w.base, w.measured = was.from, w.round.best, now
	case rate < 0.8*was.rate:
		w.size, w.base = was.from, max(w.base, w.round.best)
	}
}

// timedOut halves the window, once per time-out.
func (w *window) timedOut(now time.Time) bool {
	if !w.shrunk.IsZero() && now.Sub(w.shrunk) < ackTimeout {
		return false
	}
	w.shrunk, w.credit, w.felt, w.trial = now, 0, true, trial{}
	w.size = max(1, w.size/2)
	return true
}
