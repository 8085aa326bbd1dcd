package serial

import (
	"bytes"
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

// frame turns a checked frame into samples.
func (s *session) frame(frame []byte) {
	var f fields
	data, ok := s.d.p.transform.apply(frame)
	if ok {
		f, ok = s.d.p.content.open(data)
	}
	var samples []drivers.Sample
	if ok {
		samples = s.samples(data, f)
	}
	if len(samples) == 0 {
		s.misses++
		s.d.stats.miss(frame)
		return
	}
	s.hits += len(samples)
	s.d.stats.hit()
	s.tell(samples)
}

// tell reports samples and keeps them for reads out of turn.
func (s *session) tell(samples []drivers.Sample) {
	if len(samples) == 0 {
		return
	}
	if s.asking {
		s.told = append(s.told, samples...)
	}
	s.report(samples)
}

func (s *session) samples(data []byte, f fields) (out []drivers.Sample) {
	now := time.Now()
	for _, t := range s.d.tags {
		if !t.asked(s.current) || !t.match.in(data) {
			continue
		}
		sample, ok := t.sample(f, s.at)
		if !ok {
			continue
		}
		t.last, t.stale = now, false
		out = append(out, sample)
	}
	return out
}

// asked reports whether the tag reads the answers to a request.
func (t *tag) asked(r *request) bool {
	return t.request == "" || r != nil && t.request == r.name
}

func (m *match) in(frame []byte) bool {
	if m == nil {
		return true
	}
	at := m.at
	if at < 0 {
		at += len(frame)
	}
	return at >= 0 && at <= len(frame) && bytes.HasPrefix(frame[at:], m.equals)
}

// sample is the tag's value in a frame; ok is false where the frame has none
// to report.
func (t *liveTag) sample(f fields, at clock.Stamp) (s drivers.Sample, ok bool) {
	raw, reason := f.value(&t.pick)
	switch {
	case reason == absent:
		return s, false
	case reason == "" && t.validIf != nil && !t.validIf.holds(f), t.saysNothing(raw):
		raw, reason = drivers.Value{}, drivers.ReasonInvalid
	}
	if reason == drivers.ReasonParse {
		s = drivers.Sample{Quality: drivers.Bad, Reason: reason, Time: at}
	} else if s, ok = t.pipeline.Apply(raw, at); !ok { // Null is bad(invalid)
		return s, false
	}
	s.Device, s.Tag = t.Device, t.Name
	return s, true
}

// saysNothing reports a word of an instrument, empty or one such as "OL" that
// is not a state the file names, that stands for no value.
func (t *tag) saysNothing(raw drivers.Value) bool {
	text, ok := raw.Text()
	if !ok || text == "" {
		return ok
	}
	_, named := t.rules.Enum[text]
	return len(t.rules.Enum) > 0 && !named && saysNothing(text)
}

func (c *cond) holds(f fields) bool {
	text, found := f.text(&c.pick)
	return found && (text == c.text) != c.not
}

// bad is the sample of a tag that has no value now.
func (t *tag) bad(reason string) drivers.Sample {
	return drivers.Sample{Device: t.Device, Tag: t.Name, Quality: drivers.Bad, Reason: reason, Time: clock.Now()}
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
