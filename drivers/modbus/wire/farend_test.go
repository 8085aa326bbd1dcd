package wire_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"fieldgate/drivers/modbus/wire"
	"fieldgate/drivers/port/porttest"
)

// farEnd is a slave program behind something that can break off its answers:
// a TCP relay, which then hangs up, or a cable, which then loses the rest.
type farEnd struct {
	t       *testing.T
	kind    wire.Kind
	command []string
	stop    func()
	near    wire.Config

	mu   sync.Mutex
	left int // bytes of answers to pass on; negative: all
}

func newFarEnd(t *testing.T, p peer) *farEnd {
	f := &farEnd{t: t, kind: p.kind, left: -1}
	f.near = wire.Config{Kind: p.kind, Baud: 115200, Timeout: patience, LateGuard: 60 * time.Millisecond,
		ReconnectMin: 20 * time.Millisecond, ReconnectMax: 100 * time.Millisecond}
	if p.kind == wire.RTU || p.kind == wire.ASCII {
		ours, theirs := porttest.New(t), porttest.New(t)
		run(t, func(ctx context.Context) error {
			defer closeBoth(ctx, ours, theirs)()
			return f.relay(theirs, ours, false)
		})
		run(t, func(ctx context.Context) error {
			defer closeBoth(ctx, ours, theirs)()
			return f.relay(ours, theirs, true)
		})
		f.near.Port = ours.Path()
		f.command = p.command(t, theirs.Path())
		return f
	}
	addr, number := freePort(t)
	f.command = p.command(t, number)
	f.near.Address = f.through(addr)
	return f
}

func (f *farEnd) start() { f.stop = start(f.t, f.command) }
func (f *farEnd) kill()  { f.stop() }

func (f *farEnd) line(t *testing.T) *wire.Line { return newLine(t, f.near) }

// cut lets only n more bytes of an answer through.
func (f *farEnd) cut(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = n
}

// pass takes n bytes of an answer and says how many may go on.
func (f *farEnd) pass(n int) (on int, cut bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left < 0 {
		return n, false
	}
	if n <= f.left {
		f.left -= n
		return n, false
	}
	on, f.left = f.left, -1
	return on, true
}

// relay copies until an end is gone. A cut loses what came with it.
func (f *farEnd) relay(to io.Writer, from io.Reader, answers bool) error {
	buf := make([]byte, 512)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return nil
		}
		cut := false
		if answers {
			n, cut = f.pass(n)
		}
		if _, err := to.Write(buf[:n]); err != nil || cut && f.kind != wire.RTU && f.kind != wire.ASCII {
			return nil
		}
	}
}

// through is a relay in front of addr.
func (f *farEnd) through(addr string) string {
	var wg sync.WaitGroup
	f.t.Cleanup(wg.Wait)
	return door(f.t, func(_ int, near net.Conn) {
		far, err := net.Dial("tcp", addr)
		if err != nil {
			near.Close()
			return
		}
		both := func() { near.Close(); far.Close() }
		f.t.Cleanup(both)
		wg.Go(func() { defer both(); _ = f.relay(far, near, false) })
		wg.Go(func() { defer both(); _ = f.relay(near, far, true) })
	})
}

func closeBoth(ctx context.Context, a, b io.Closer) (stop func() bool) {
	return context.AfterFunc(ctx, func() { a.Close(); b.Close() })
}
