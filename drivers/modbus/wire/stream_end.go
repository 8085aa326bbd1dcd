package wire

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"
)

// How the requests of a burst end: with an answer, without one, with the
// connection.

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
		known := i >= 0 || l.inFlight.knows(f.transaction)
		if !known && len(s.held) > 0 || s.runsInto(l.rx[mbapSize:size]) {
			l.strike("its answers run into each other")
			return l.lost(errRunInto)
		}
		s.confirm()
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
		s.hold(one, l.judgeTCP(one.req, frame{f.unit, f.function, l.out.rx[8:]}, &l.out))
	}
}

var errRunInto = errors.New("an answer broke off and the next one follows")

// runsInto reports the header of another answer inside a frame.
func (s *stream) runsInto(body []byte) bool {
	begins := func(number uint16) bool {
		return bytes.Contains(body, []byte{byte(number >> 8), byte(number), 0, 0, 0})
	}
	return slices.ContainsFunc(s.out, func(f flight) bool { return begins(f.number) }) ||
		slices.ContainsFunc(s.line.inFlight.owed, func(g given) bool { return begins(g.number) }) || slices.ContainsFunc(s.line.inFlight.settled, begins)
}

// hold counts an answer and keeps it until it is confirmed.
func (s *stream) hold(f flight, err error) {
	reply, err := s.line.conclude(f.req, err)
	if re := (*ReplyError)(nil); errors.As(err, &re) && f.company {
		s.line.strike("it mixes answers up")
	}
	s.held = append(s.held, answer{f, reply, err})
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

// over counts a request that has no answer, and hands it on.
func (s *stream) over(f flight, err error) {
	_, err = s.line.conclude(f.req, err)
	s.fail(f, err)
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
	if half == 0 {
		s.confirm()
	}
	for i := 0; i < len(s.out); {
		f := s.out[i]
		if now.Before(s.since(f).Add(l.timeout(f.req))) {
			i++
			continue
		}
		s.takeOut(i)
		l.inFlight.owe(f.number, f.req)
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

// failAll ends what is under way with the wire, or with the caller. What was
// held may be made of two answers.
func (s *stream) failAll(err error) {
	l := s.line
	for _, a := range s.held {
		s.fail(a.flight, err)
	}
	s.held = nil
	for len(s.out) > 0 {
		f := s.takeOut(0)
		l.inFlight.owe(f.number, f.req)
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
