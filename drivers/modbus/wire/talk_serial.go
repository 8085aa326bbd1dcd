package wire

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/goburrow/modbus"
)

// talkSerial is one exchange on a line without transaction numbers.
func (l *Line) talkSerial(ctx context.Context, req Request, o *outcome) error {
	tx, err := l.framer.encode(req.Unit, &modbus.ProtocolDataUnit{FunctionCode: req.Function, Data: req.appendData(nil)})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if err := l.settle(ctx, req.Unit); err != nil {
		return err
	}
	if udp, ok := l.conn.(*udpConn); ok {
		if err := udp.renew(); err != nil {
			return l.lost(err)
		}
		l.eye = newEye(udp)
	}
	o.start = time.Now()
	if err := l.write(ctx, req, tx, o); err != nil {
		return err
	}
	l.active = o.start.Add(l.cfg.onWire(len(tx)))
	if req.Unit == 0 {
		return l.broadcast(ctx, o)
	}
	return l.receive(ctx, req, o)
}

// write sends in one piece and never waits for ever for a line that takes nothing.
func (l *Line) write(ctx context.Context, req Request, tx []byte, o *outcome) error {
	limit := o.start.Add(l.cfg.onWire(len(tx)) + max(l.timeout(req), minWrite))
	if err := l.conn.SetWriteDeadline(limit); err != nil {
		return l.readError(ctx, err)
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	o.tx, o.end = tx, o.start
	n, err := l.conn.Write(tx)
	l.stats.sent(n)
	if err == nil {
		return nil
	}
	o.end = time.Now()
	l.markDirty() // a part may have left: the unit must not see the next request as its end
	l.pending.add(req)
	switch {
	case context.Cause(ctx) != nil:
		if l.cfg.TLS != nil {
			_ = l.hangUp() // half a TLS record cannot be completed
		}
		return context.Cause(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		_ = l.lost(err)
		return fmt.Errorf("%w: it takes no bytes: flow control, or a dead adapter?", ErrGone) // not worth a second try at once
	}
	return l.lost(err)
}

func (l *Line) timeout(req Request) time.Duration {
	if req.Timeout > 0 {
		return req.Timeout
	}
	return l.cfg.Timeout
}

// broadcast gives the units time to act; nobody answers. What comes is an echo.
func (l *Line) broadcast(ctx context.Context, o *outcome) error {
	until := l.active.Add(broadcastDelay)
	for {
		n, err := l.readUntil(ctx, until)
		if err != nil {
			return err
		}
		if n == 0 {
			o.end = time.Now()
			return nil
		}
		l.stats.received(n)
	}
}

// receive waits for the answer: it ends with the answer's last byte.
func (l *Line) receive(ctx context.Context, req Request, o *outcome) error {
	size := max(req.replySize(), 0)
	deadline := l.active.Add(l.timeout(req) + l.cfg.onWire(l.framer.size(size)))
	s := search{req: req, framer: l.framer, strip: l.echo.stripper(req, o.tx), owed: l.owed}
	l.rx = l.rx[:0]
	last := o.start
	for {
		f, err := s.look(l.rx)
		wait := deadline
		switch {
		case err != nil, f.ok && !f.quiet:
			return l.finish(req, o, &s, f, last, err)
		case f.ok || s.spoilt():
			// Sure once the line is silent: no pause inside a frame is so long.
			wait = earlier(deadline, last.Add(quietEnd))
		}
		if err := l.sleepThrough(ctx, s.missing(len(l.rx)), wait); err != nil {
			return l.brokenOff(req, o, err)
		}
		n, err := l.readUntil(ctx, wait)
		if err != nil {
			return l.brokenOff(req, o, err)
		}
		if n == 0 {
			if f.ok {
				return l.finish(req, o, &s, f, last, nil)
			}
			return l.finish(req, o, &s, f, time.Now(), s.verdict(l.rx, l.timeout(req)))
		}
		last = time.Now()
		l.active = last
		l.stats.received(n)
		if len(l.rx)+n > maxReceive {
			return l.finish(req, o, &s, f, last, fmt.Errorf("%w in %d bytes: another master, or the wrong speed?", ErrCRC, len(l.rx)+n))
		}
		l.rx = append(l.rx, l.chunk[:n]...)
	}
}

// wakeBefore is how long before the predicted end of an answer the line is
// read again: adapters deliver in pieces some milliseconds long, and sleep may
// end a millisecond late.
const wakeBefore = 3 * time.Millisecond

// sleepThrough lets the rest of an answer come without waking at each piece of
// it: n characters need their time on a serial line. Nothing is missed by it;
// what comes is kept by the kernel.
func (l *Line) sleepThrough(ctx context.Context, n int, deadline time.Time) error {
	if !l.cfg.Kind.serial() || n <= 0 {
		return nil
	}
	d := time.Until(earlier(l.active.Add(l.cfg.onWire(n)), deadline)) - wakeBefore
	if d <= 0 {
		return nil
	}
	return sleep(ctx, d)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// brokenOff is the end of an exchange whose caller or wire went away: the
// answer may still come.
func (l *Line) brokenOff(req Request, o *outcome, err error) error {
	o.rx, o.end = l.rx, time.Now()
	l.pending.add(req)
	l.markDirty()
	return err
}

// finish draws the conclusions from an exchange that took its course.
func (l *Line) finish(req Request, o *outcome, s *search, f found, end time.Time, err error) error {
	o.rx, o.end = l.rx, end
	var ex *Exception
	answered := err == nil || errors.As(err, &ex)
	silent := time.Duration(0)
	if len(l.rx) == 0 {
		silent = end.Sub(l.active)
	}
	l.echo.learn(s.strip, answered, silent)
	if answered {
		o.data = s.data
		l.proven()
		l.pending.inOrder(req.Unit)
		if l.rx = l.rx[f.end:]; len(l.rx) > 0 {
			l.markDirty() // noise behind the frame, or a second answer
		}
		return err
	}
	if errors.Is(err, ErrTimeout) {
		l.pending.add(req)
		if l.deaf++; !l.cfg.Kind.serial() && len(l.rx) == 0 && l.isDeaf() {
			_ = l.hangUp() // the serial server may be gone without a word; opened afresh by the next request
		}
	}
	l.rx = l.rx[min(s.from, len(l.rx)):] // an echo must not be taken for a late answer
	l.markDirty()
	return err
}
