package wire

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"
)

// A device on the local network answers within some hundred microseconds. For
// so short a time a thread may wait for it: that costs two wake-ups less than
// the poller and the scheduler, and nothing has to be made for an answer that
// is there before anybody could cancel it.
const (
	quickUsual = 500 * time.Microsecond // answers that take longer are left to the poller
	quickWait  = time.Millisecond       // the longest wait of a thread, and the latest cancel

	quicksInARow = 4 // after so many the poller need not watch the connection any more
)

// quickers is how many threads of the process wait so. More than there are
// processors would only stand in each other's way.
var quickers atomic.Int32

// quick asks once and returns with the answer, if the line is free, open and
// in order and its device is known to be fast.
func (l *Line) quick(ctx context.Context, req Request) (Reply, progress, error) {
	if l.framer != nil || !l.queue.tryAcquire() {
		return Reply{}, untried, nil
	}
	if !l.inOrder(req) || ctx.Err() != nil || !sitDown() {
		l.queue.release()
		return Reply{}, untried, nil
	}
	if s, ok := l.conn.(*socket); ok && l.quicks >= quicksInARow {
		s.unwatch()
	}
	p, err := l.askQuickly(req)
	quickers.Add(-1)
	var reply Reply
	switch p {
	case sent:
		l.quicks = 0
		return reply, p, nil // and the line is held
	case over:
		l.quicks++
		reply, err = l.conclude(req, err)
		l.startIdle()
	}
	l.queue.release()
	return reply, p, err
}

// inOrder reports a line without pauses, rests of answers and doubts. Writes
// go the other way: it notices a dead connection before a write is sent.
func (l *Line) inOrder(req Request) bool {
	return l.eye != nil && l.ctx.Err() == nil && l.usual > 0 && l.usual < quickUsual &&
		len(l.rx) == 0 && !l.cfg.IgnoreTID && reads(req.Function) && time.Since(l.active) >= l.gap(req.Unit)
}

// sitDown takes one of the seats of quickers.
func sitDown() bool {
	if int(quickers.Add(1)) <= runtime.GOMAXPROCS(0) {
		return true
	}
	quickers.Add(-1)
	return false
}

var errFull = errors.New("it takes no bytes")

func (l *Line) askQuickly(req Request) (progress, error) {
	o := &l.out
	*o = outcome{fresh: req.Unit != l.unit, rx: o.rx[:0]}
	tx, number := l.encodeTCP(req)
	o.start = time.Now()
	n, err := l.eye.write(tx)
	if err != nil || n == 0 {
		return untried, nil // the long way finds out why
	}
	l.stats.sent(n)
	o.tx, o.end = tx, o.start
	if n < len(tx) {
		return over, l.lost(errFull) // half a request cannot be taken back
	}
	until := o.start.Add(min(2*l.usual+100*time.Microsecond, quickWait))
	for {
		if n, err = l.eye.read(l.chunk[:], until); err != nil {
			o.end = time.Now()
			return over, l.lost(err)
		}
		if n = l.withoutHeartbeats(n); n > 0 {
			l.take(n)
			if done, err := l.lookTCP(req, number, o); done {
				l.active = o.end
				return over, err
			}
		}
		if n == 0 || !time.Now().Before(until) {
			return sent, nil
		}
	}
}

// outstanding is the rest of a quick attempt whose answer takes longer.
func (l *Line) outstanding(ctx context.Context, req Request) (Reply, error) {
	defer l.queue.release()
	defer l.startIdle()
	defer l.interruptible(ctx)()
	return l.conclude(req, l.receiveTCP(ctx, req, l.number, &l.out))
}

// learnUsual follows the time of answers: a quarter of each new one.
func (l *Line) learnUsual(took time.Duration) {
	if l.usual == 0 {
		l.usual = took
	}
	l.usual += (took - l.usual) / 4
}
