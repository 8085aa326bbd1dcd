package wire

import (
	"context"
	"fmt"
	"time"
)

// Transaction numbers stay above the numbers that registers mostly hold, so
// that a header inside an answer can be told from values; see stream.runsInto.
const (
	firstNumber = 0x4000
	lastNumber  = 0xEFFF
)

// encodeTCP packs a request with the next transaction number.
func (l *Line) encodeTCP(req Request) (tx []byte, number uint16) {
	if l.number++; l.number < firstNumber || l.number > lastNumber {
		l.number = firstNumber
	}
	l.tx = appendTCP(l.tx[:0], l.number, req)
	return l.tx, l.number
}

// talkTCP is one exchange of Modbus TCP.
func (l *Line) talkTCP(ctx context.Context, req Request, o *outcome) error {
	if err := l.clearTCP(ctx, req.Unit); err != nil {
		return err
	}
	tx, number := l.encodeTCP(req)
	o.start = time.Now()
	if err := l.write(ctx, req, tx, o); err != nil {
		return err
	}
	return l.receiveTCP(ctx, req, number, o)
}

// clearTCP keeps the pauses, drops answers that came too late, and notices a
// connection that was closed meanwhile, before a write is entrusted to it.
func (l *Line) clearTCP(ctx context.Context, unit byte) error {
	gap := l.gap(unit)
	limit := time.Now().Add(noiseLimit)
	for {
		n, err := l.listenTCP(ctx, l.active.Add(gap))
		if err != nil || n == 0 {
			return err
		}
		if time.Now().After(limit) {
			return l.lost(fmt.Errorf("it sends without being asked; is this a Modbus TCP port?"))
		}
	}
}

// listenTCP is listen for a stream whose bytes must not be dropped singly.
func (l *Line) listenTCP(ctx context.Context, until time.Time) (int, error) {
	n, err := l.poll()
	if err != nil {
		return 0, l.readError(ctx, err)
	}
	if n == 0 && time.Until(until) > 0 {
		if n, err = l.readUntil(ctx, until); err != nil {
			return 0, err
		}
	}
	if n == 0 {
		return 0, context.Cause(ctx)
	}
	l.take(n)
	for {
		f, size, err := splitTCP(l.rx)
		if err != nil {
			return n, l.lost(err)
		}
		if size == 0 {
			return n, nil
		}
		l.lateTCP(f.unit, f.transaction)
		l.drop(size)
	}
}

// take appends what was read. Frames are taken off as soon as they are
// complete, so that never more than one frame and one chunk are held.
func (l *Line) take(n int) {
	l.stats.received(n)
	l.rx = append(l.rx, l.chunk[:n]...)
}

func (l *Line) drop(n int) { l.rx = append(l.rx[:0], l.rx[n:]...) }

// receiveTCP waits for the answer with the given number.
func (l *Line) receiveTCP(ctx context.Context, req Request, number uint16, o *outcome) error {
	err := l.waitTCP(ctx, req, number, o)
	if err != nil {
		l.inFlight.owe(number, req)
	}
	l.active = o.end
	return err
}

func (l *Line) waitTCP(ctx context.Context, req Request, number uint16, o *outcome) error {
	deadline := o.start.Add(l.timeout(req))
	for over := false; ; {
		if done, err := l.lookTCP(req, number, o); done {
			return err
		}
		if over {
			return l.timeoutTCP(req, o)
		}
		n, err := l.readUntil(ctx, deadline)
		if err != nil {
			o.rx, o.end = append(o.rx[:0], l.rx...), time.Now()
			if l.conn != nil && l.cfg.IgnoreTID {
				_ = l.hangUp() // without numbers its late answer would be the next one's
			}
			return err
		}
		l.take(n)                                        // even now: a part of a stream must not be lost
		over = n == 0 || time.Since(deadline) > quietEnd // older answers without end do not count
	}
}

// lookTCP looks for the answer in what has come, and drops older ones.
func (l *Line) lookTCP(req Request, number uint16, o *outcome) (done bool, err error) {
	for {
		f, size, err := splitTCP(l.rx)
		switch {
		case err != nil:
			o.rx, o.end = append(o.rx[:0], l.rx...), time.Now()
			return true, l.lost(err)
		case size == 0:
			return false, nil
		case f.transaction != number && !l.cfg.IgnoreTID:
			l.lateTCP(f.unit, f.transaction) // an older answer; ours may follow
			l.drop(size)
			continue
		}
		o.end = time.Now()
		o.rx = append(o.rx[:0], l.rx[:size]...)
		l.drop(size)
		if !mayBegin(l.rx) {
			return true, l.lost(errRunInto)
		}
		return true, l.judgeTCP(req, frame{f.unit, f.function, o.rx[8:]}, o)
	}
}

// judgeTCP compares an answer that carries our number with the request.
func (l *Line) judgeTCP(req Request, f frame, o *outcome) error {
	misfit := func(e *ReplyError) error {
		if l.cfg.IgnoreTID {
			_ = l.hangUp() // it may be an older answer, and more may follow
		}
		return e
	}
	switch {
	case f.unit != req.Unit && !l.cfg.IgnoreUnit:
		return misfit(replyErrorf("it comes from unit %d instead of %d (ignore_unit = true accepts that)", f.unit, req.Unit))
	case f.function&0x7F != req.Function:
		return misfit(replyErrorf("it is to function %d instead of %d", f.function&0x7F, req.Function))
	case f.isException() && len(f.data) != 1:
		return misfit(replyErrorf("an exception with %d bytes", len(f.data)))
	case f.isException():
		l.proven()
		l.learnUsual(o.end.Sub(o.start))
		return &Exception{Function: req.Function, Code: f.data[0]}
	}
	data, e := req.check(f.data)
	if e != nil {
		return misfit(e)
	}
	l.proven()
	l.learnUsual(o.end.Sub(o.start))
	o.data = data
	return nil
}

// timeoutTCP keeps the connection, because the answer may only be late, unless
// half a frame came, or the peer seems to be gone without a word.
func (l *Line) timeoutTCP(req Request, o *outcome) error {
	o.rx, o.end = append(o.rx[:0], l.rx...), time.Now()
	l.deaf++
	err := fmt.Errorf("%w within %s", ErrTimeout, l.timeout(req))
	if len(l.rx) > 0 {
		err = fmt.Errorf("%w: %d bytes of an answer came", err, len(l.rx))
	}
	if len(l.rx) > 0 || l.isDeaf() || l.cfg.IgnoreTID {
		_ = l.hangUp() // opened afresh by the next request
	}
	return err
}
