package wire

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Stream asks what next gives, with up to Config.MaxInFlight requests under
// way at once on a Modbus TCP connection. On all other lines, for writes, and
// where pauses between requests are configured, it asks one after another, as
// Do does; so it does on a device that has shown that it cannot do more.
//
// next returns false where there is nothing to ask at the moment; it is asked
// again after each answer, and Stream returns once nothing is under way
// either. done gets the end of the nth request that next gave, counted from 0;
// answers may come in another order than the requests. Both run in the
// caller's goroutine, while it has the line: they must not use the line.
// Repeats and errors are those of Do.
func (l *Line) Stream(ctx context.Context, next func() (Request, bool), done func(n int, reply Reply, err error)) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(l.ctx, func() { cancel(ErrClosed) })()
	s := stream{line: l, ctx: ctx, next: next, done: done}
	for s.pull() {
		if !l.pipelines() || !reads(s.head.Function) {
			reply, err := l.Do(ctx, s.head)
			s.has = false
			done(s.taken-1, reply, err)
			continue
		}
		s.burst()
		s.repeat()
	}
}

// flight is a request under way.
type flight struct {
	n       int
	req     Request
	number  uint16
	tx      []byte
	start   time.Time
	company bool // others were under way at the same time
	passed  bool // a later request to the same unit was answered
}

// trip is a request that failed and may be repeated.
type trip struct {
	n       int
	req     Request
	err     error
	suspect bool // company may be what it failed of
}

type stream struct {
	line *Line
	ctx  context.Context
	next func() (Request, bool)
	done func(int, Reply, error)

	head  Request // taken from next and not sent yet, where has is true
	has   bool
	taken int // from next

	// During a burst, with the line in hand.
	out    []flight // oldest first
	heard  time.Time
	failed []trip
}

func (s *stream) pull() bool {
	if !s.has {
		if s.head, s.has = s.next(); s.has {
			s.taken++
		}
	}
	return s.has
}

// burst keeps the connection busy until nothing is left, something failed, or
// somebody else wants the line. What is outstanding is always waited for.
func (s *stream) burst() {
	l := s.line
	if err := l.queue.acquire(s.ctx, false); err != nil {
		s.refuse(err)
		return
	}
	defer l.queue.release()
	defer l.startIdle()
	if err := l.open(s.ctx, false); err != nil {
		s.refuse(l.named(err))
		return
	}
	defer l.interruptible(s.ctx)()
	if err := l.clearTCP(s.ctx, s.head.Unit); err != nil {
		s.fail(flight{n: s.taken - 1, req: s.head}, unsent(err))
		s.has = false
		return
	}
	for {
		err := s.fill()
		if err == nil && len(s.out) > 0 {
			err = s.collect()
		}
		if err != nil {
			s.failAll(err)
		}
		if len(s.out) == 0 {
			return
		}
	}
}

// refuse ends the request that is not sent yet.
func (s *stream) refuse(err error) {
	s.has = false
	s.done(s.taken-1, Reply{}, err)
}

// fill sends as much as may be under way.
func (s *stream) fill() error {
	l := s.line
	for len(s.out) < l.cfg.MaxInFlight && len(s.failed) == 0 && s.pull() {
		if !l.pipelines() || !reads(s.head.Function) || len(s.out) > 0 && l.queue.wanted() {
			return nil // once these are answered
		}
		if err := l.possible(s.head); err != nil {
			s.refuse(err)
			continue
		}
		if err := s.send(); err != nil {
			return err
		}
	}
	return nil
}

func (s *stream) send() error {
	l := s.line
	f := flight{n: s.taken - 1, req: s.head, start: time.Now()}
	s.has = false
	tx, number := l.encodeTCP(f.req)
	f.number, f.tx = number, append(f.tx, tx...)
	s.out = append(s.out, f)
	for i := range s.out {
		s.out[i].company = len(s.out) > 1
	}
	l.out = outcome{start: f.start, rx: l.out.rx[:0]}
	return l.write(s.ctx, f.req, tx, &l.out)
}

// collect waits until at least one request is over, and takes what has come.
func (s *stream) collect() error {
	l := s.line
	for before := len(s.out); ; {
		if err := s.look(); err != nil || len(s.out) < before {
			return err
		}
		n, err := l.readUntil(s.ctx, s.deadline())
		if err != nil {
			return err
		}
		if n > 0 {
			l.take(n)
		}
		if n == 0 || time.Since(s.deadline()) > quietEnd {
			return s.expire()
		}
	}
}

// since is when a device could begin with a request: it takes them one by one.
func (s *stream) since(f flight) time.Time {
	if s.heard.After(f.start) {
		return s.heard
	}
	return f.start
}

// deadline is when the first of the requests under way has waited too long.
func (s *stream) deadline() (first time.Time) {
	for i, f := range s.out {
		if d := s.since(f).Add(s.line.timeout(f.req)); i == 0 || d.Before(first) {
			first = d
		}
	}
	return first
}

// look takes the answers that are there, each to its request by its number.
func (s *stream) look() error {
	l := s.line
	for {
		f, size, err := splitTCP(l.rx)
		if err != nil {
			return l.lost(err)
		}
		if size == 0 {
			return nil
		}
		i := s.find(f.transaction)
		if i < 0 {
			l.strange(f.unit, f.transaction)
			l.drop(size)
			continue
		}
		for j := range s.out[:i] {
			s.out[j].passed = s.out[j].passed || s.out[j].req.Unit == s.out[i].req.Unit
		}
		one := s.takeOut(i)
		l.out = outcome{tx: one.tx, rx: append(l.out.rx[:0], l.rx[:size]...), start: s.since(one), end: time.Now(), fresh: one.req.Unit != l.unit}
		l.drop(size)
		s.heard, l.active = l.out.end, l.out.end
		l.inFlight.answered(one.number)
		s.over(one, l.judgeTCP(one.req, frame{f.unit, f.function, l.out.rx[8:]}, &l.out))
	}
}

func (s *stream) find(number uint16) int {
	for i, f := range s.out {
		if f.number == number {
			return i
		}
	}
	return -1
}

func (s *stream) takeOut(i int) flight {
	f := s.out[i]
	s.out = append(s.out[:i], s.out[i+1:]...)
	return f
}

// over counts a request whose outcome is in l.out, and hands it on.
func (s *stream) over(f flight, err error) {
	reply, err := s.line.conclude(f.req, err)
	if re := (*ReplyError)(nil); errors.As(err, &re) && f.company {
		s.line.strike("it mixes answers up")
	}
	if err != nil {
		s.fail(f, err)
		return
	}
	s.done(f.n, reply, nil)
}

// fail keeps a request for a repeat, if there may be one.
func (s *stream) fail(f flight, err error) {
	if _, again := new(attempts).next(s.line.cfg, f.req, err); again && s.ctx.Err() == nil {
		suspect := f.company && (errors.Is(err, ErrTimeout) && !f.passed || errors.Is(err, errLost))
		s.failed = append(s.failed, trip{f.n, f.req, err, suspect})
		return
	}
	s.done(f.n, Reply{}, s.line.named(err))
}

// expire ends the requests that have waited too long. Half an answer, and a
// device that says nothing at all, end the connection, as in timeoutTCP.
func (s *stream) expire() error {
	l := s.line
	now := time.Now()
	half := len(l.rx)
	for i := 0; i < len(s.out); {
		f := s.out[i]
		if now.Before(s.since(f).Add(l.timeout(f.req))) {
			i++
			continue
		}
		s.takeOut(i)
		l.inFlight.owe(f.number)
		if f.company && f.passed {
			l.strike("it loses requests")
		}
		l.out = outcome{tx: f.tx, rx: append(l.out.rx[:0], l.rx...), start: s.since(f), end: now, fresh: f.req.Unit != l.unit}
		s.over(f, fmt.Errorf("%w within %s", ErrTimeout, l.timeout(f.req)))
	}
	l.deaf++
	if half > 0 || l.isDeaf() {
		_ = l.hangUp() // opened afresh by the next request
		return &lostError{errors.New("it does not answer any more")}
	}
	return nil
}

// failAll ends what is under way with the wire, or with the caller.
func (s *stream) failAll(err error) {
	l := s.line
	for len(s.out) > 0 {
		f := s.takeOut(0)
		l.inFlight.owe(f.number)
		l.out = outcome{tx: f.tx, rx: l.out.rx[:0], start: s.since(f), end: time.Now(), fresh: f.req.Unit != l.unit}
		s.over(f, err)
	}
}

// repeat asks alone what failed in company. If that goes well, company was
// what the device could not bear.
func (s *stream) repeat() {
	cured := false
	for _, t := range s.failed {
		reply, err := s.line.carryOn(s.ctx, t.req, over, t.err)
		cured = cured || err == nil && t.suspect
		s.done(t.n, reply, err)
	}
	s.failed = s.failed[:0]
	if cured {
		s.line.strike("it loses requests, or the connection")
	}
}
