package serial

import (
	"bytes"
	"slices"
	"time"

	"fieldgate/drivers"
)

// The line is given time to fall silent after a time-out: text has no
// transaction number, so an answer that comes late would be taken for the
// answer to the next request.
const (
	lateGuard    = 250 * time.Millisecond // silence to wait for, or the request's time-out where that is shorter
	lateGuardMax = 2 * time.Second        // in all; an instrument that never stops is not waited for
)

// silentPolls is how many exchanges in a row may bring not one byte before a
// TCP connection is suspected.
const silentPolls = 3

// poll sends the requests, each at its own pace, one after another.
func (s *session) poll() error {
	requests := s.d.p.requests
	due := make([]time.Time, len(requests))
	now := time.Now()
	for i := range due {
		due[i] = now
	}
	silent := 0
	s.d.orders.begin(s.line)
	for {
		i := earliest(due)
		if err := s.idle(due[i]); err != nil {
			return err
		}
		if r := s.d.orders.wanted(); r != nil { // reads out of turn go first
			i = slices.Index(requests, r)
		}
		s.heard, s.told, s.asking = 0, nil, true
		if err := s.ask(requests[i]); err != nil {
			return err
		}
		s.asking = false
		s.d.orders.answered(requests[i], s.told)
		if silent++; s.heard > 0 {
			silent = 0
		}
		if silent >= silentPolls && s.d.p.line.tcp != "" {
			return errSilent
		}
		if !time.Now().Before(due[i]) { // not after a read out of turn
			due[i] = s.nextDue(due[i], requests[i].every)
		}
		s.reportStale()
	}
}

func earliest(due []time.Time) (first int) {
	for i, t := range due {
		if t.Before(due[first]) {
			first = i
		}
	}
	return first
}

// nextDue keeps the cadence; slots that have passed are counted, not made up for.
func (s *session) nextDue(last time.Time, every time.Duration) time.Time {
	next := last.Add(every)
	if late := time.Since(next); late > 0 {
		missed := late/every + 1
		next = next.Add(missed * every)
		s.d.stats.overrun(int(missed))
	}
	return next
}

// idle waits for the next request, or for a read out of turn. Further lines of the last answer still
// count; reading also notices at once when the line is lost.
func (s *session) idle(due time.Time) error {
	s.idling = true
	defer func() { s.idling = false }()
	for time.Now().Before(due) && !s.d.orders.waiting() {
		deadline := s.nextStale()
		if due.Before(deadline) {
			deadline = due
		}
		if err := s.receive(deadline); err != nil {
			return err
		}
		s.reportStale()
	}
	return nil
}

// ask is one poll with its retries.
func (s *session) ask(r *request) error {
	for try := 0; ; try++ {
		reason, err := s.exchange(r)
		if err != nil || reason == "" {
			return err
		}
		if try == r.retries {
			s.failed(r, reason)
			return s.quarantine(r)
		}
		s.d.stats.retry()
		if err := s.quarantine(r); err != nil {
			return err
		}
	}
}

// failed reports the request's tags as bad; after a few polls in a row with
// the reason that makes the device offline.
func (s *session) failed(r *request, reason string) {
	if s.d.stats.failed(reason, len(s.d.p.requests)) {
		reason = drivers.ReasonOffline
	}
	now := time.Now()
	var samples []drivers.Sample
	for _, t := range s.d.tags {
		if t.asked(r) {
			t.last, t.stale = now, false
			samples = append(samples, t.bad(reason))
		}
	}
	s.tell(samples)
}

// exchange sends a request and waits for a frame that says something about
// its tags. reason is "" after one came; it is not about the line.
func (s *session) exchange(r *request) (reason string, err error) {
	if err := s.discard(time.Now().Add(time.Millisecond)); err != nil { // what came unasked
		return "", err
	}
	s.framer.reset(false)
	s.current, s.hits, s.misses = r, 0, 0
	bad := s.framer.counts.badChecks
	begin := time.Now()
	if err := s.write(r.send, r.timeout); err != nil {
		return "", err
	}
	deadline := time.Now().Add(r.timeout)
	if r.echo {
		if err := s.skipEcho(r.send, deadline); err != nil {
			return "", err
		}
	}
	for s.hits == 0 && time.Now().Before(deadline) {
		if err := s.receive(deadline); err != nil {
			return "", err
		}
	}
	s.d.stats.asked(time.Since(begin), s.hits > 0)
	switch {
	case s.hits > 0:
		return "", nil
	case s.framer.counts.badChecks > bad:
		return drivers.ReasonCRC, nil
	case s.misses > 0:
		return drivers.ReasonParse, nil
	}
	return drivers.ReasonTimeout, nil
}

// skipEcho takes our own bytes off the line, exactly once. What is not our
// echo is the beginning of the answer: the adapter does not echo after all.
func (s *session) skipEcho(sent []byte, deadline time.Time) error {
	var got []byte
	for len(got) < len(sent) && bytes.HasPrefix(sent, got) && time.Now().Before(deadline) {
		n, err := s.read(deadline)
		if err != nil {
			return err
		}
		got = append(got, s.buf[:n]...)
	}
	if rest := bytes.TrimPrefix(got, sent); len(rest) > 0 && !bytes.HasPrefix(sent, rest) {
		s.take(rest)
	}
	return nil
}

// quarantine reads and forgets until the line has been silent.
func (s *session) quarantine(r *request) error {
	guard := min(lateGuard, r.timeout)
	end := time.Now().Add(lateGuardMax)
	late := false
	for silentSince := time.Now(); time.Now().Before(end) && time.Since(silentSince) < guard; {
		n, err := s.read(silentSince.Add(guard))
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		if silentSince = time.Now(); !late {
			s.d.stats.late()
		}
		late = true
	}
	return nil
}
