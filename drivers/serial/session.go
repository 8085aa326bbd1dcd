package serial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/drivers"
)

// errSilent ends a session over TCP whose other end has not answered for so
// long that the connection may be dead.
var errSilent = errors.New("no answer: the connection is opened anew")

// session is one open line. It lives in the goroutine of Run.
//
//	open -> settle, init -> listen            (streams)
//	                     -> poll: wait due -> exchange -> wait due …
//	any error of the line, or the end of ctx -> closed
type session struct {
	d      *Driver
	line   line
	report func([]drivers.Sample)
	framer *framer
	buf    []byte

	at      clock.Stamp      // when the bytes being looked at arrived
	current *request         // whose answer is awaited; nil for streams
	hits    int              // samples made since the request was sent
	misses  int              // frames that made none
	heard   int              // bytes received since the poll began
	asking  bool             // a poll is going on
	told    []drivers.Sample // what it has reported so far
	idling  bool             // a read out of turn may end the wait
}

func newSession(d *Driver, l line, report func([]drivers.Sample)) *session {
	now := time.Now()
	for _, t := range d.tags {
		t.last, t.stale = now, false
	}
	p := d.p
	return &session{
		d: d, line: l, report: report, buf: make([]byte, 1024),
		framer: &framer{shape: p.shape, check: &p.check, idle: p.idle, max: p.max},
	}
}

// run reads until the line is lost or ctx ends, and closes the line.
func (s *session) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.line.Close() }) // ends a blocked read
	defer func() {
		stop()
		s.line.Close() // also when it is being closed already: then this waits until it is
	}()
	if err := s.prepare(); err != nil {
		return err
	}
	if len(s.d.p.requests) == 0 {
		return s.listen()
	}
	return s.poll()
}

// flusher is a line whose kernel buffer may hold bytes from before it was opened.
type flusher interface{ FlushInput() error }

// prepare lets the instrument settle and sends what it must hear once.
func (s *session) prepare() error {
	if f, ok := s.line.(flusher); ok {
		if err := f.FlushInput(); err != nil {
			return err
		}
	}
	if err := s.discard(time.Now().Add(s.d.p.line.settle)); err != nil {
		return err
	}
	for _, b := range s.d.p.init {
		if err := s.write(b, DefaultTimeout); err != nil {
			return err
		}
		if err := s.discard(time.Now().Add(s.d.p.initWait)); err != nil {
			return err
		}
	}
	return nil
}

// listen takes what a stream sends.
func (s *session) listen() error {
	s.framer.reset(true)
	for {
		if err := s.receive(s.nextStale()); err != nil {
			return err
		}
		s.reportStale()
	}
}

// receive reads once and handles what came; no later than the deadline. A
// silence that means something to the framer is reported to it.
func (s *session) receive(deadline time.Time) error {
	silence := false
	if patience := s.framer.patience(); patience > 0 {
		if end := time.Now().Add(patience); !end.After(deadline) {
			deadline, silence = end, true
		}
	}
	n, err := s.read(deadline)
	silence = silence && !time.Now().Before(deadline)
	if err == nil && n == 0 && silence {
		// A busy processor may have let the deadline pass with bytes waiting.
		n, err = s.read(time.Now().Add(time.Millisecond))
	}
	if err != nil {
		return err
	}
	switch {
	case n > 0:
		s.take(s.buf[:n])
	case silence:
		s.framer.silence(s.frame)
	}
	s.d.stats.framed(s.framer.counts)
	return nil
}

// take handles bytes that have just arrived.
func (s *session) take(b []byte) {
	s.at = clock.Now()
	s.framer.feed(b, s.frame)
}

// read is one read; 0 bytes and no error mean that the deadline has come, or
// that somebody waits for a read out of turn.
func (s *session) read(deadline time.Time) (int, error) {
	if err := s.line.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	if s.idling && s.d.orders.waiting() {
		return 0, nil
	}
	n, err := s.line.Read(s.buf)
	s.heard += n
	s.d.stats.read(s.buf[:n])
	if n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		return n, nil // an error that came with bytes comes again with the next read
	}
	return 0, err
}

// discard reads and forgets until the deadline.
func (s *session) discard(deadline time.Time) error {
	for time.Now().Before(deadline) {
		if _, err := s.read(deadline); err != nil {
			return err
		}
	}
	return nil
}

// write sends all of b. A line that takes no bytes is as good as lost.
func (s *session) write(b []byte, timeout time.Duration) error {
	wire := s.d.p.line.port.Mode.CharTime(s.d.p.line.port.Baud) * time.Duration(len(b))
	if err := s.line.SetWriteDeadline(time.Now().Add(timeout + wire)); err != nil {
		return err
	}
	n, err := s.line.Write(b)
	s.d.stats.wrote(n)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the line takes no bytes (flow control, or a dead adapter): %w", err)
	}
	return err
}

// nextStale is when the first value becomes too old to be believed.
func (s *session) nextStale() time.Time {
	next := time.Now().Add(s.d.p.staleAfter)
	for _, t := range s.d.tags {
		if due := t.last.Add(s.d.p.staleAfter); !t.stale && due.Before(next) {
			next = due
		}
	}
	return next
}

// reportStale says once of each value that it has become too old.
func (s *session) reportStale() {
	now := time.Now()
	var samples []drivers.Sample
	for _, t := range s.d.tags {
		if !t.stale && now.Sub(t.last) >= s.d.p.staleAfter {
			t.stale = true
			samples = append(samples, t.bad(drivers.ReasonStale))
		}
	}
	if len(samples) > 0 {
		s.d.stats.silent(drivers.ReasonStale)
		s.tell(samples)
	}
}
