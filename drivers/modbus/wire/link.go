package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"time"

	"fieldgate/drivers/port"
)

// errLost marks a wire that broke after it was opened, as opposed to one that
// could not be opened; errUnsent an exchange that ended before its request
// was sent, so that even a write may be tried again.
var (
	errLost   = errors.New("lost")
	errUnsent = errors.New("not sent")
)

// lostError is a broken wire with its cause. Its text names the line only once.
type lostError struct{ cause error }

func (e *lostError) Error() string   { return ErrGone.Error() + ": " + e.cause.Error() }
func (e *lostError) Unwrap() []error { return []error{ErrGone, errLost, e.cause} }

// unsentError marks its cause without changing its text.
type unsentError struct{ error }

func (e unsentError) Unwrap() []error { return []error{errUnsent, e.error} }

// errExcused marks a time-out that says nothing about its unit yet.
var errExcused = errors.New("excused")

type excusedError struct{ error }

func (e excusedError) Unwrap() []error { return []error{errExcused, e.error} }

func unsent(err error) error {
	if err == nil {
		return nil
	}
	return unsentError{err}
}

// link remembers how opening went.
type link struct {
	everOpen bool
	proven   bool // an answer came since it was opened
	fails    int
	next     time.Time // not before this
	err      error     // of the last failure
}

// open makes sure that there is a wire. While the back-off runs it fails at
// once; now skips that wait once, for the repeat after a loss.
func (l *Line) open(ctx context.Context, now bool) error {
	if l.ctx.Err() != nil {
		return ErrClosed
	}
	if l.conn != nil {
		return nil
	}
	if wait := time.Until(l.link.next); wait > 0 && !now {
		return fmt.Errorf("%w: %w (next try in %s)", ErrGone, l.link.err, wait.Round(100*time.Millisecond))
	}
	conn, err := l.dial(ctx)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		l.failed(err)
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	l.conn, l.eye = conn, newEye(conn)
	if l.framer != nil {
		l.alarm = newAlarm()
	}
	l.rx = l.rx[:0]
	l.active, l.deaf = time.Now(), 0
	if !l.link.everOpen || l.cfg.Kind.serial() {
		l.echo = echoState{mode: l.cfg.Echo} // another adapter may be plugged in now
	}
	l.link.proven = false
	l.stats.opened(l.link.everOpen, latencyOf(conn), notesOf(conn))
	if l.link.err != nil || !l.link.everOpen {
		l.cfg.Log.Info("line is open", "bus", l.cfg.Name, "target", l.cfg.Target(), "notes", notesOf(conn))
	}
	l.link.everOpen = true
	if l.framer != nil {
		l.markDirty() // the far side may be in the middle of something
	}
	return sleep(ctx, l.cfg.ConnectDelay)
}

func (l *Line) dial(ctx context.Context) (Conn, error) {
	switch {
	case l.cfg.Open != nil:
		return l.cfg.Open(ctx)
	case l.cfg.Listen != nil:
		return l.await(ctx)
	case l.cfg.Kind.serial():
		return port.Open(port.Config{Path: l.cfg.Port, Baud: l.cfg.Baud, Mode: l.cfg.Mode, RS485: l.cfg.RS485, LowLatency: true})
	}
	if l.cfg.Kind == RTUOverUDP {
		return dialUDP(ctx, l.cfg.address(), l.cfg.ConnectTimeout)
	}
	d := net.Dialer{Timeout: l.cfg.ConnectTimeout, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: keepAlive, Interval: keepAlive / 3, Count: 3}}
	conn, err := d.DialContext(ctx, "tcp", l.cfg.address())
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%s refused the connection: wrong port, service off, or taken by another client", l.cfg.address())
	}
	if err != nil {
		return nil, err
	}
	if l.cfg.TLS != nil {
		return l.cfg.TLS.client(ctx, conn, l.cfg.address(), l.cfg.ConnectTimeout)
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok || l.cfg.Kind != TCP {
		return conn, nil
	}
	s, err := newSocket(tcp)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// lost closes a wire that broke and says why; the result wraps ErrGone.
func (l *Line) lost(err error) error {
	if l.cfg.Listen != nil && errors.Is(err, net.ErrClosed) {
		err = errors.New("the device has dialled in again")
	}
	if !l.link.proven && l.conn != nil && !l.cfg.Kind.serial() && l.cfg.Listen == nil &&
		(errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)) {
		why := "refused, or taken by another client?"
		if l.cfg.TLS != nil {
			why = "refused, taken by another client, or does it want another client certificate?"
		}
		err = fmt.Errorf("%s closed the connection before its first answer: %s (%w)", l.cfg.address(), why, err)
	}
	if l.cfg.Kind == RTUOverUDP && errors.Is(err, syscall.ECONNREFUSED) {
		err = fmt.Errorf("%s says that nobody listens on this UDP port (%w)", l.cfg.address(), err)
	}
	if l.cfg.TLS != nil {
		err = explainTLS(err)
	}
	if err == io.EOF {
		err = errors.New("the other side closed the connection")
	}
	_ = l.hangUp() // it is broken already
	if l.link.proven {
		l.link.fails = 0
	}
	l.failed(err)
	return &lostError{err}
}

// failed starts the back-off: doubling, with 20 % jitter so that many
// gateways behind one switch do not knock together. A line that worked until
// now is tried again at once.
func (l *Line) failed(err error) {
	if l.link.err == nil {
		l.cfg.Log.Warn("line is down", "bus", l.cfg.Name, "target", l.cfg.Target(), "error", err)
	}
	l.link.err = err
	l.stats.down(err)
	if l.link.proven {
		l.link.proven = false
		l.link.next = time.Time{}
		return
	}
	wait := l.cfg.ReconnectMin << min(l.link.fails, 10)
	wait = min(wait, l.cfg.ReconnectMax)
	l.link.fails++
	l.link.next = time.Now().Add(time.Duration(float64(wait) * (0.8 + 0.4*rand.Float64())))
}

// proven is called at every good answer.
func (l *Line) proven() {
	l.link.proven, l.link.fails, l.link.err = true, 0, nil
	l.deaf = 0
}

// hangUp closes the wire without a verdict.
func (l *Line) hangUp() error {
	if l.conn == nil {
		return nil
	}
	err := l.conn.Close()
	l.alarm.close()
	l.conn, l.eye, l.alarm = nil, nil, nil
	l.stats.closed()
	return err
}

// startIdle sees to it that closeIdle comes. The timer is not moved by every
// request: when it fires it asks how long the line has been idle.
func (l *Line) startIdle() {
	if !l.ticking && !l.cfg.Kind.serial() && l.cfg.IdleClose > 0 && l.conn != nil && l.ctx.Err() == nil {
		l.ticking = true
		l.idle.Reset(l.idleTick())
	}
}

func (l *Line) idleTick() time.Duration {
	if l.cfg.Listen != nil {
		return l.cfg.IdleClose / 4 // to listen, not to close
	}
	return l.cfg.IdleClose
}

// closeIdle runs on the timer. If somebody has the line it is not idle.
func (l *Line) closeIdle() {
	if l.ctx.Err() != nil {
		return
	}
	if !l.queue.tryAcquire() {
		l.idle.Reset(l.idleTick())
		return
	}
	defer l.queue.release()
	l.ticking = false
	if l.conn == nil {
		return
	}
	if l.cfg.Listen != nil {
		l.listenIdle()
		l.startIdle()
		return
	}
	if left := l.cfg.IdleClose - time.Since(l.active); left > 0 {
		l.ticking = true
		l.idle.Reset(left)
		return
	}
	_ = l.hangUp() // nothing was under way
}

// poll reads what has already arrived, without waiting. A deadline in the
// past would not do: Go returns at once without looking.
func (l *Line) poll() (int, error) {
	if l.eye != nil {
		n, err := l.eye.read(l.chunk[:], time.Time{})
		return l.withoutHeartbeats(n), err
	}
	if err := l.conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return 0, err
	}
	n, err := l.conn.Read(l.chunk[:])
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	return l.withoutHeartbeats(n), err
}

func notesOf(c Conn) []string {
	if p, ok := c.(*port.Port); ok {
		return p.Notes()
	}
	return nil
}

func latencyOf(c Conn) int {
	if p, ok := c.(*port.Port); ok {
		return p.Latency()
	}
	return 0
}
