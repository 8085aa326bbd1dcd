package wire

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/goburrow/modbus"
)

func (l *Line) markDirty() { l.dirty, l.dirtyAt = true, time.Now() }

// settle waits until the line may be used: silent for LateGuard after a
// failure, otherwise for the gap between frames. What arrives meanwhile
// belongs to nobody.
func (l *Line) settle(ctx context.Context, unit byte) error {
	if !l.dirty {
		gap := l.cfg.FrameGap + l.cfg.Gap
		if unit != l.unit {
			gap += l.cfg.UnitSwitchPause
		}
		n, err := l.listen(ctx, l.active.Add(gap))
		if err != nil || n == 0 {
			return err
		}
		l.markDirty()
	}
	return l.quarantine(ctx)
}

// listen discards until the given moment; it looks once even when that has
// passed, and returns early when something came.
func (l *Line) listen(ctx context.Context, until time.Time) (int, error) {
	for {
		n, err := l.poll()
		if n > 0 || err != nil {
			return l.discard(n), l.readError(ctx, err)
		}
		if time.Until(until) <= 0 {
			return 0, context.Cause(ctx)
		}
		if n, err = l.readUntil(ctx, until); n > 0 || err != nil {
			return l.discard(n), err
		}
	}
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
			l.stats.late(0, false)
		}
		rest = rest[f.end:]
	}
	l.rx = l.rx[:0]
}

// owed reports whether a frame answers an earlier request; it is crossed off
// and counted.
func (l *Line) owed(f frame) bool {
	since, known := l.pending.answered(f)
	if known {
		l.stats.late(since, true)
	}
	return known
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
			return n, nil
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

// shape is what an answer looks like from outside: all that tells it from
// others on a line without transaction numbers.
type shape struct {
	function byte
	size     int // of the PDU data
}

type owed struct {
	shape
	at time.Time
}

// maxOwed bounds the list per unit; the oldest are forgotten.
const maxOwed = 8

// pending lists per unit the requests that were never answered, oldest first.
type pending map[byte][]owed

func (r Request) shape() shape { return shape{r.Function, r.replySize()} }

func (p pending) add(r Request) {
	list := append(p[r.Unit], owed{r.shape(), time.Now()})
	if len(list) > maxOwed {
		list = list[1:]
	}
	p[r.Unit] = list
}

// suspect reports that an answer of this shape may still be on its way.
func (p pending) suspect(unit byte, s shape) bool {
	for _, o := range p[unit] {
		if time.Since(o.at) < suspectFor && (o.shape == s || o.function == s.function && (o.size < 0 || s.size < 0)) {
			return true
		}
	}
	return false
}

// answered crosses off the request a late frame belongs to, and those before
// it: a unit answers in order. It returns how old that request is.
func (p pending) answered(f frame) (age time.Duration, known bool) {
	list := p[f.unit]
	for i, o := range list {
		if o.function == f.function&0x7F && (f.isException() || o.size == len(f.data) || o.size < 0) {
			p.cut(f.unit, i+1)
			return time.Since(o.at), true
		}
	}
	return 0, false
}

func (p pending) cut(unit byte, n int) {
	if n >= len(p[unit]) {
		delete(p, unit)
		return
	}
	p[unit] = p[unit][n:]
}

// inOrder forgets everything older than an answer that has just come.
func (p pending) inOrder(unit byte) { delete(p, unit) }

// checkRead decides whether a request must be preceded by another read, and why.
func (l *Line) checkRead(req Request) (probe Request, why string) {
	switch {
	case req.Unit == 0:
		return Request{}, ""
	case l.pending.suspect(req.Unit, req.shape()):
		why = "its answer could be mistaken for an older one's"
	case l.echo.unknown() && echoLikeReply(req):
		why = "it is not known yet whether the adapter echoes"
	default:
		return Request{}, ""
	}
	probe = l.differentRead(req)
	probe.Timeout = max(l.timeout(req), echoSilence)
	return probe, why
}

// differentRead is a read of the same unit whose answer looks like none that
// is owed and not like the one to the request.
func (l *Line) differentRead(req Request) Request {
	probe := Request{Unit: req.Unit, Function: modbus.FuncCodeReadHoldingRegisters, Address: req.Address, Timeout: req.Timeout}
	step := uint16(1)
	switch req.Function {
	case modbus.FuncCodeReadCoils, modbus.FuncCodeReadDiscreteInputs:
		probe.Function, step = req.Function, 8
	case modbus.FuncCodeWriteSingleCoil, modbus.FuncCodeWriteMultipleCoils:
		probe.Function, step = modbus.FuncCodeReadCoils, 8
	case modbus.FuncCodeReadInputRegisters:
		probe.Function = req.Function
	}
	probe.Quantity = 1
	for range maxOwed + 1 {
		if s := probe.shape(); s != req.shape() && !l.pending.suspect(req.Unit, s) {
			break
		}
		probe.Quantity += step
	}
	if last := 0x10000 - int(probe.Quantity); int(probe.Address) > last {
		probe.Address = uint16(last)
	}
	return probe
}

// runCheck does the check read. A refusal is as good as an answer.
func (l *Line) runCheck(ctx context.Context, req, probe Request, why string) error {
	pdu, err := probe.pdu()
	if err != nil {
		return err
	}
	l.stats.checked()
	forEcho := !l.pending.suspect(probe.Unit, req.shape())
	_, err = l.exchange(ctx, probe, pdu, l.talkSerial)
	var ex *Exception
	switch {
	case err == nil, errors.As(err, &ex):
		return nil
	case forEcho && errors.Is(err, ErrTimeout) && !l.echo.unknown():
		return nil // the adapter has shown what it does; a unit may ignore reads
	}
	if errors.Is(err, ErrTimeout) || errors.Is(err, ErrCRC) {
		return fmt.Errorf("%w (a read sent first, because %s)", err, why)
	}
	return err
}
