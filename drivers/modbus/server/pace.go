package server

import (
	"context"
	"io"
	"time"
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

// request waits as long as a request of n characters and the reaction to it take.
func (p Pace) request(ctx context.Context, n int) error {
	return pause(ctx, time.Duration(n)*p.CharTime()+p.silence()+p.Turnaround)
}

// write lets the bytes out at line speed: those whose time has come.
func (p Pace) write(ctx context.Context, w io.Writer, b []byte) error {
	char := p.CharTime()
	if char == 0 {
		return inPieces(ctx, w, b, p.Chunk, p.Every)
	}
	step := max(char, time.Millisecond)
	if p.Every > 0 {
		step = p.Every
	}
	start := time.Now()
	for sent := 0; sent < len(b); {
		wait := step
		if left := time.Duration(len(b))*char - time.Since(start); left < wait {
			wait = left
		}
		if p.Chunk > 0 {
			wait = min(wait, time.Duration(sent+p.Chunk)*char-time.Since(start))
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
		due := min(len(b), int(time.Since(start)/char))
		if p.Chunk > 0 {
			due = min(due, sent+p.Chunk)
		}
		if due <= sent {
			continue
		}
		if _, err := w.Write(b[sent:due]); err != nil {
			return err
		}
		sent = due
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
