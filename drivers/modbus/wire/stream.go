package wire

import (
	"context"
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
	held   []answer // not confirmed yet
	heard  time.Time
	failed []trip
}

// answer is what came for a flight. It is held until what follows it in the
// stream is the beginning of another frame, or nothing: an answer that broke
// off takes the beginning of the next one for its end.
type answer struct {
	flight
	reply Reply
	err   error
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
		if len(s.out) == 0 && !mayBegin(l.rx) {
			s.failAll(l.lost(errRunInto))
		}
		if len(s.out) == 0 {
			s.confirm()
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
		until, quiet := s.deadline(), false
		if end := s.heard.Add(quietEnd); len(s.held) > 0 && len(l.rx) == 0 && end.Before(until) {
			until, quiet = end, true
		}
		n, err := l.readUntil(s.ctx, until)
		switch {
		case err != nil:
			return err
		case n > 0:
			l.take(n)
		case quiet:
			s.confirm() // no pause inside a frame is so long
			continue
		}
		if n == 0 || time.Since(s.deadline()) > quietEnd {
			if err := s.look(); err != nil || len(s.out) < before {
				return err
			}
			return s.expire()
		}
	}
}

// confirm hands on what was held.
func (s *stream) confirm() {
	held := s.held
	s.held = nil
	for _, a := range held {
		if a.err != nil {
			s.fail(a.flight, a.err)
			continue
		}
		s.done(a.n, a.reply, nil)
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
