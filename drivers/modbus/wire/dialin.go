package wire

import (
	"bytes"
	"context"
	"time"
)

// await is dial for a device that dials in itself.
func (l *Line) await(ctx context.Context) (Conn, error) {
	if l.slot == nil {
		s, err := join(*l.cfg.Listen, l.cfg.Log)
		if err != nil {
			return nil, err
		}
		l.slot = s
	}
	conn, err := l.slot.take(ctx, l.cfg.ConnectTimeout)
	if err == nil {
		l.heard = time.Now()
	}
	return conn, err
}

// withoutHeartbeats takes heartbeats out of the n bytes in chunk, only where a
// frame cannot be cut by that, and returns how many are left. On lines with
// check sums a heartbeat among other bytes is noise like any other.
func (l *Line) withoutHeartbeats(n int) int {
	if l.cfg.Listen == nil || n <= 0 {
		return n
	}
	l.heard = time.Now()
	beat := l.cfg.Listen.Heartbeat
	if len(beat) == 0 || l.framer == nil && len(l.rx) > 0 {
		return n
	}
	rest := l.chunk[:n]
	for bytes.HasPrefix(rest, beat) {
		rest = rest[len(beat):]
	}
	if l.framer != nil && len(rest) > 0 {
		return n
	}
	return copy(l.chunk[:], rest)
}

// forsaken reports a device that dialled in and has sent nothing, not even a
// heartbeat, for IdleClose. Units behind it that do not answer are no reason
// to close its connection.
func (l *Line) forsaken() bool {
	return l.cfg.IdleClose > 0 && time.Since(l.heard) >= l.cfg.IdleClose
}

// isDeaf reports an endpoint that may be gone without a word.
func (l *Line) isDeaf() bool {
	if l.cfg.Listen != nil {
		return l.forsaken()
	}
	return l.deaf >= deafTimeouts
}

// listenIdle hears heartbeats while nobody has a request.
func (l *Line) listenIdle() {
	for l.conn != nil {
		n, err := l.poll()
		switch {
		case err != nil:
			_ = l.lost(err) // the next request says so
		case n > 0 && l.framer != nil:
			l.discard(n)
			l.markDirty()
			continue
		case n > 0:
			l.take(n) // judged before the next request
			if len(l.rx) > maxReceive {
				_ = l.hangUp() // it sends without being asked
			}
			continue
		case l.forsaken():
			_ = l.hangUp() // it will dial again
		}
		return
	}
}
