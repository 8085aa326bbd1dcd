package server

import (
	"context"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// Pace makes a line that carries bytes at once as slow as a real one. The zero
// Pace adds nothing.
type Pace struct {
	Baud       int           // 0: as fast as the carrier is
	Bits       int           // per character, default 11 (8E1)
	Turnaround time.Duration // the unit's own, after the silence that ends the request

	// Chunk and Every make an adapter that hands bytes over in pieces: so many
	// at a time, or what is there when Every has passed. FTDI: 62, 16 ms.
	Chunk int
	Every time.Duration

	// Exact keeps the ends of requests and answers to some microseconds, at the
	// cost of a processor for the last part of each wait: for measurements.
	Exact bool
}

// CharTime is the length of one character.
func (p Pace) CharTime() time.Duration {
	if p.Baud == 0 {
		return 0
	}
	bits := p.Bits
	if bits == 0 {
		bits = 11
	}
	return time.Duration(bits) * time.Second / time.Duration(p.Baud)
}

// silence is t3.5, fixed above 19200 Bd.
func (p Pace) silence() time.Duration {
	if p.Baud == 0 {
		return 0
	}
	if p.Baud > 19200 {
		return 1750 * time.Microsecond
	}
	return p.CharTime() * 7 / 2
}

// request waits as long as a request of n characters, begun at the given
// moment, and the reaction to it take.
func (p Pace) request(ctx context.Context, began time.Time, n int) error {
	return p.wait(ctx, began.Add(time.Duration(n)*p.CharTime()+p.silence()+p.Turnaround), p.Exact)
}

// wait ends at the given moment, exactly where that is asked for.
func (p Pace) wait(ctx context.Context, until time.Time, exact bool) error {
	if !exact {
		return pause(ctx, time.Until(until))
	}
	// Timers end up to a millisecond late, nanosleep up to a fifth of it.
	if err := pause(ctx, time.Until(until)-2*time.Millisecond); err != nil {
		return err
	}
	if left := time.Until(until) - 200*time.Microsecond; left > 0 {
		ts := unix.NsecToTimespec(left.Nanoseconds())
		_ = unix.Nanosleep(&ts, nil) // a signal ends it early; the loop does the rest
	}
	for time.Now().Before(until) {
	}
	return nil
}

// piece is the next hand-over of an answer of n characters: when, counted from
// the answer's beginning, and how many characters have been handed over then.
func (p Pace) piece(n, sent int, last time.Duration) (at time.Duration, due int) {
	char := p.CharTime()
	step := max(char, time.Millisecond)
	if p.Every > 0 {
		step = p.Every
	}
	at = last + step
	switch {
	case p.Chunk == 0:
		at = min(at, time.Duration(n)*char)
	case sent+p.Chunk <= n: // what is full is handed over before its time
		at = min(at, time.Duration(sent+p.Chunk)*char)
	}
	due = min(n, int(at/char))
	if p.Chunk > 0 {
		due = min(due, sent+p.Chunk)
	}
	return at, due
}

// Answer is how long an answer of n characters takes from its first bit to the
// hand-over of its last character.
func (p Pace) Answer(n int) (at time.Duration) {
	if p.CharTime() == 0 {
		return 0
	}
	for sent := 0; sent < n; {
		at, sent = p.piece(n, sent, at)
	}
	return at
}

// write lets the bytes out at line speed: those whose time has come. The last
// one leaves when its time on the line is over, never before.
func (p Pace) write(ctx context.Context, w io.Writer, b []byte) error {
	if p.CharTime() == 0 {
		return inPieces(ctx, w, b, p.Chunk, p.Every)
	}
	start, last := time.Now(), time.Duration(0)
	for sent := 0; sent < len(b); {
		at, due := p.piece(len(b), sent, last)
		if err := p.wait(ctx, start.Add(at), p.Exact && due == len(b)); err != nil {
			return err
		}
		if due > sent {
			if _, err := w.Write(b[sent:due]); err != nil {
				return err
			}
		}
		sent, last = due, at
	}
	return nil
}

// inPieces writes n bytes at a time; n 0 means all at once.
func inPieces(ctx context.Context, w io.Writer, b []byte, n int, every time.Duration) error {
	if n <= 0 {
		n = len(b)
	}
	for len(b) > 0 {
		part := b[:min(n, len(b))]
		if _, err := w.Write(part); err != nil {
			return err
		}
		if b = b[len(part):]; len(b) > 0 {
			if err := pause(ctx, every); err != nil {
				return err
			}
		}
	}
	return nil
}
