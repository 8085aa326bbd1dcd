package wire

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

func (l *Line) markDirty() { l.dirty, l.dirtyAt = true, time.Now() }

// settle waits until the line may be used: silent for LateGuard after a
// failure, otherwise for the gap between frames. What arrives meanwhile
// belongs to nobody.
func (l *Line) settle(ctx context.Context, unit byte) error {
	if !l.dirty {
		n, err := l.listen(ctx, l.active.Add(l.gap(unit)))
		if err != nil || n == 0 {
			return err
		}
		l.markDirty()
	}
	return l.quarantine(ctx)
}

// gap is the silence that a request to a unit needs in front of it.
func (l *Line) gap(unit byte) time.Duration {
	gap := l.cfg.FrameGap + l.cfg.gap(unit)
	if unit != l.unit {
		gap += l.switchPause()
	}
	return gap
}

// listen discards until the given moment; it looks once even when that has
// passed, and returns early when something came.
func (l *Line) listen(ctx context.Context, until time.Time) (int, error) {
	for {
		n, err := l.readExact(ctx, until)
		if n > 0 || err != nil {
			return l.discard(n), err
		}
		if time.Until(until) <= 0 {
			return 0, context.Cause(ctx)
		}
	}
}

// exactPart is the last part of a wait that must end exactly; it cannot be
// cancelled.
const exactPart = 3 * time.Millisecond

// readExact reads once, at most until the given moment, and ends a wait in
// vain exactly then. It looks once even when the moment has passed.
func (l *Line) readExact(ctx context.Context, until time.Time) (int, error) {
	if time.Until(until) > 2*exactPart {
		if n, err := l.readUntil(ctx, until.Add(-exactPart)); n > 0 || err != nil {
			return n, err
		}
	}
	l.alarm.sleepUntil(until)
	n, err := l.poll()
	return n, l.readError(ctx, err)
}

// quarantine discards until the line has been silent for LateGuard.
func (l *Line) quarantine(ctx context.Context) error {
	start, total := time.Now(), 0
	for {
		n, err := l.listen(ctx, l.dirtyAt.Add(l.cfg.LateGuard))
		if err != nil {
			return err
		}
		if n == 0 {
			l.dirty = false
			l.nameLate()
			return nil
		}
		total += n
		l.dirtyAt = time.Now()
		// Few bytes in a long time are this machine's delay, not the line's.
		if took := l.dirtyAt.Sub(start) - l.cfg.LateGuard; took > noiseLimit && (total > noiseBytes || took > 5*noiseLimit) {
			l.nameLate()
			return fmt.Errorf("%w: the line does not fall silent (%d bytes in %s): another master, or the wrong speed?",
				ErrCRC, total, took.Round(100*time.Millisecond))
		}
	}
}

// discard keeps a bounded copy of what came, to name it once it is complete.
func (l *Line) discard(n int) int {
	l.stats.received(n)
	if n > 0 {
		l.active = time.Now()
	}
	l.rx = appendBounded(l.rx, l.chunk[:n])
	return n
}

// nameLate counts the late answers among the discarded bytes and crosses
// their requests off the list.
func (l *Line) nameLate() {
	rest := l.rx
	for l.framer != nil && len(rest) > 0 {
		f := l.framer.find(rest, anyFrame)
		if !f.ok {
			break
		}
		if !l.owed(f.frame) {
			l.stats.late(f.frame.unit, 0, false)
		}
		rest = rest[f.end:]
	}
	l.rx = l.rx[:0]
}

// appendBounded keeps the newest maxReceive bytes.
func appendBounded(buf, b []byte) []byte {
	buf = append(buf, b...)
	if over := len(buf) - maxReceive; over > 0 {
		buf = append(buf[:0], buf[over:]...)
	}
	return buf
}

// readUntil reads once, at most until the given moment. (0, nil) is the moment
// itself; an error is the line's or the caller's end.
func (l *Line) readUntil(ctx context.Context, until time.Time) (int, error) {
	for {
		if err := l.conn.SetReadDeadline(until); err != nil {
			return 0, l.readError(ctx, err)
		}
		// A cancel that came before the deadline was set would be overwritten.
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		n, err := l.conn.Read(l.chunk[:])
		if n > 0 {
			if n = l.withoutHeartbeats(n); n > 0 {
				return n, nil
			}
			err = os.ErrDeadlineExceeded // nothing that counts, so far
		}
		if err == nil && l.cfg.Kind == RTUOverUDP && time.Until(until) > 0 {
			continue // an empty datagram
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, l.readError(ctx, err)
		}
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		if time.Until(until) <= 0 {
			// Past its deadline Go does not look; on a busy machine the bytes
			// may have come in time and we not.
			n, err := l.poll()
			return n, l.readError(ctx, err)
		}
		// The deadline was an earlier caller's cancel, come late.
	}
}

// readError tells a cancelled caller from a broken wire.
func (l *Line) readError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return l.lost(err)
}
