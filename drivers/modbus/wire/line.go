package wire

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fieldgate/buffer/clock"
)

// Line is one wire. Its zero value is not usable; see New.
//
//	closed ──Do──> open ──failure, idle, unplug──> closed ──back-off──> open …
//
// The fields under "held" belong to whoever holds the queue's turn: one caller
// of Do, the idle timer, or Close.
type Line struct {
	cfg   Config
	queue queue
	stats counters
	ring  ring

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	idle *time.Timer

	// held
	framer   framer        // nil on TCP
	tx       []byte        // of Modbus TCP, used again and again
	number   uint16        // of the last transaction
	usual    time.Duration // TCP: how long an answer takes of late; 0: unknown
	quicks   int           // TCP: quick answers in a row
	out      outcome       // of the exchange under way
	conn     Conn
	eye      *eye      // on conn; nil: it has no descriptor to look at
	alarm    *alarm    // for silences; nil: none
	slot     *place    // of a line whose device dials in
	heard    time.Time // when that device sent anything last
	link     link
	inFlight window // of Stream
	rx       []byte // received and not used; on TCP it lives from request to request
	chunk    [512]byte
	active   time.Time // when the last character was, or will have been, on the line
	unit     byte      // of the last request
	missed   bool      // that one was never answered
	dirty    bool      // something may still come: quarantine before the next request
	dirtyAt  time.Time
	echo     echoState
	pending  pending
	deaf     int  // TCP: time-outs in a row
	ticking  bool // idle has been set
}

// New makes a line and touches no hardware.
func New(cfg Config) *Line {
	l := &Line{cfg: cfg.withDefaults()}
	l.ctx, l.stop = context.WithCancel(context.Background())
	switch cfg.Kind {
	case RTU, RTUOverTCP, RTUOverUDP:
		l.framer = &rtuFramer{}
	case ASCII:
		l.framer = &asciiFramer{}
	}
	l.pending = pending{}
	l.idle = time.AfterFunc(time.Hour, l.closeIdle)
	l.idle.Stop()
	return l
}

// Config is the configuration with its defaults filled in.
func (l *Line) Config() Config { return l.cfg }

// Do sends a request and returns its answer. It waits for its turn, opens the
// line if needed and repeats what may be repeated; ctx ends every wait.
// The error is an *Exception, a *ReplyError, or wraps one of the Err values.
func (l *Line) Do(ctx context.Context, req Request) (Reply, error) {
	if err := l.possible(req); err != nil {
		return Reply{}, err
	}
	reply, p, err := l.quick(ctx, req)
	if p == over && err == nil {
		return reply, nil
	}
	return l.carryOn(ctx, req, p, err)
}

// possible says why a request cannot be asked on this line.
func (l *Line) possible(req Request) error {
	if req.Unit == 0 && l.framer != nil && reads(req.Function) {
		return fmt.Errorf("%w: nobody answers a broadcast (unit 0) on a serial line", ErrRequest)
	}
	return req.valid()
}

// progress is how far a first, quick attempt has come.
type progress uint8

const (
	untried progress = iota
	sent             // the answer is outstanding, and the caller holds the line
	over             // with an answer or an error
)

// carryOn is Do from where the quick attempt left it.
func (l *Line) carryOn(ctx context.Context, req Request, p progress, err error) (reply Reply, _ error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(l.ctx, func() { cancel(ErrClosed) })()

	var try attempts
	for ; ; p = untried {
		switch p {
		case untried:
			reply, err = l.turn(ctx, req, try.reopened)
		case sent:
			reply, err = l.outstanding(ctx, req)
		}
		if err == nil || context.Cause(ctx) != nil {
			return reply, err
		}
		pause, again := try.next(l.cfg, req, err)
		if !again {
			return reply, l.named(err)
		}
		l.stats.retried(req)
		if err := sleep(ctx, pause); err != nil {
			return Reply{}, err
		}
	}
}

// named puts the bus in front of errors that are about the line.
func (l *Line) named(err error) error {
	if l.cfg.Name == "" || !errors.Is(err, ErrGone) {
		return err
	}
	return fmt.Errorf("bus %s: %w", l.cfg.Name, err)
}

// attempts decides about repeats. Between two of them others have their turn.
type attempts struct {
	busy, failed int
	reopened     bool
	excused      bool
}

func (a *attempts) next(cfg Config, req Request, err error) (pause time.Duration, again bool) {
	repeatable := reads(req.Function) || req.Idempotent
	var ex *Exception
	switch {
	case errors.As(err, &ex):
		// Busy means not done, so even a write may be tried again; but
		// Acknowledge means that the unit is at it.
		if !(ex.Code == DeviceBusy || ex.Code == Acknowledge && repeatable) || a.busy == busyRetries {
			return 0, false
		}
		a.busy++
		return cfg.BusyPause, true
	case errors.Is(err, errLost):
		// It may have died while idle, which sending does not notice.
		if !repeatable && !errors.Is(err, errUnsent) || a.reopened {
			return 0, false
		}
		a.reopened = true
		return 0, true
	case errors.Is(err, ErrGone), errors.Is(err, ErrBusy), errors.Is(err, ErrRequest):
		return 0, false
	case errors.Is(err, errExcused) && repeatable && !a.excused:
		a.excused = true
		return 0, true
	}
	if !repeatable || req.NoRetry || a.failed >= cfg.Retries {
		return 0, false
	}
	a.failed++
	return 0, true
}

// turn is one attempt with the line in hand.
func (l *Line) turn(ctx context.Context, req Request, reopen bool) (Reply, error) {
	if err := l.queue.acquire(ctx, !reads(req.Function)); err != nil {
		return Reply{}, err
	}
	defer l.queue.release()
	defer l.startIdle()
	if err := l.open(ctx, reopen); err != nil {
		return Reply{}, err
	}
	defer l.interruptible(ctx)()
	if l.framer == nil {
		return l.exchange(ctx, req, l.talkTCP)
	}
	if probe, why := l.checkRead(req); why != "" {
		if err := l.runCheck(ctx, req, probe, why); err != nil {
			return Reply{}, err
		}
	}
	return l.exchange(ctx, req, l.talkSerial)
}

// interruptible lets the end of ctx end reads and writes, until stop is
// called. The wire is shared: a cancelled caller ends its own ones only.
func (l *Line) interruptible(ctx context.Context) (stop func() bool) {
	conn := l.conn
	if s, ok := conn.(*socket); ok {
		return context.AfterFunc(ctx, s.interrupt)
	}
	return context.AfterFunc(ctx, func() {
		_ = conn.SetReadDeadline(longAgo) // fails on a closed wire, whose reads have ended
		_ = conn.SetWriteDeadline(longAgo)
	})
}

var longAgo = time.Unix(1, 0)

// outcome is what an exchange leaves for the statistics.
type outcome struct {
	tx, rx []byte // tx nil: nothing was sent
	data   []byte // of the answer; aliases rx
	start  time.Time
	end    time.Time // of the last byte, or of the wait
	fresh  bool      // first request after a change of unit
	excuse bool      // the one before was to another unit, and was never answered
}

// exchange talks once and counts.
func (l *Line) exchange(ctx context.Context, req Request, talk func(context.Context, Request, *outcome) error) (Reply, error) {
	l.out = outcome{fresh: req.Unit != l.unit, rx: l.out.rx[:0]}
	// A unit that hears how another does not answer may take our next request for
	// that answer, and miss it: libmodbus #83. That is not its fault.
	l.out.excuse = l.framer != nil && l.out.fresh && l.missed && !req.NoRetry
	return l.conclude(req, talk(ctx, req, &l.out))
}

// conclude counts an exchange that is over.
func (l *Line) conclude(req Request, err error) (Reply, error) {
	o := &l.out
	if o.tx == nil {
		return Reply{}, unsent(err)
	}
	l.unit, l.missed = req.Unit, errors.Is(err, ErrTimeout)
	if o.excuse = o.excuse && l.missed && reads(req.Function); o.excuse {
		err = excusedError{err}
	}
	took := o.end.Sub(o.start)
	at := clock.At(o.end)
	l.stats.exchanged(req, o, err)
	l.ring.add(at, req.Unit, o.tx, o.rx, took, err)
	if err != nil {
		return Reply{}, err
	}
	return Reply{Data: append([]byte(nil), o.data...), At: at, Took: took}, nil
}

// Close ends requests that are under way or waiting with ErrClosed and closes
// the wire. Do after Close returns ErrClosed.
func (l *Line) Close() error {
	l.stop()
	l.queue.wait()
	defer l.queue.release()
	l.idle.Stop()
	err := l.hangUp()
	if l.slot != nil {
		l.slot.leave()
		l.slot = nil
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
