package modbus

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/drivers/modbus/wire"
)

// Rows of the list of hostile devices that are about units and registers; those
// about lines and frames are in wire.

// TestH31NumberOfAManual: 40001 means one thing in its own notation only.
func TestH31NumberOfAManual(t *testing.T) {
	r, err := ParseReg("40001", Order{})
	if err != nil || r.Wire() != "h0" {
		t.Errorf("40001: %+v, %v", r, err)
	}
	for _, text := range []string{"0", "1", "4x0001", "h40001x", "50001"} {
		if r, err := ParseReg(text, Order{}); err == nil {
			t.Errorf("%q is accepted as %+v", text, r)
		}
	}
	_, err = ParseReg("107", Order{})
	var e *RegError
	if !errors.As(err, &e) || !strings.Contains(e.Help, "h107") || !strings.Contains(e.Help, "40108") {
		t.Errorf("plain digits: %v; both readings should be shown", err)
	}
}

// TestH32SilentAfterAPowerCycle: offline, few probes, and back by itself.
func TestH32SilentAfterAPowerCycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{holding: registers(0, 4)}
		l := newFakeLine(map[byte]*fakeUnit{1: u})
		b := newBench(t, l, nil, dev("plc", 1, tag("v", "h1")))
		defer b.stop()
		b.run(5 * time.Second)
		l.change(func() { u.dead = true })
		b.run(10 * time.Second)
		if s := b.stats("plc"); s.State != "offline" || b.last("plc", "v") != "bad(offline)" {
			t.Errorf("state %q, value %q", s.State, b.last("plc", "v"))
		}
		l.requests()
		b.run(50 * time.Second) // silent for a minute in all
		if n := len(l.requests()); n > 8 {
			t.Errorf("%d requests to a silent unit in 50 s", n)
		}
		l.change(func() { u.dead = false })
		b.run(70 * time.Second)
		if s := b.stats("plc"); s.State != "online" || b.last("plc", "v") != "1" {
			t.Errorf("state %q, value %q: not back", s.State, b.last("plc", "v"))
		}
	})
}

// hangingLine has a unit that hangs, and stays so until it has not been asked
// for a second.
type hangingLine struct {
	*fakeLine
	mu    sync.Mutex
	hangs bool
	asked time.Time
}

func (l *hangingLine) Do(ctx context.Context, r wire.Request) (wire.Reply, error) {
	l.mu.Lock()
	if l.hangs && !l.asked.IsZero() && time.Since(l.asked) > time.Second {
		l.hangs = false
	}
	l.asked = time.Now()
	hangs := l.hangs
	l.mu.Unlock()
	if hangs {
		return l.lose(ctx, r)
	}
	return l.fakeLine.Do(ctx, r)
}

// TestH33HangsUntilLeftAlone: pauses grow until they are long enough, however
// often the unit is to be polled.
func TestH33HangsUntilLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 4)}})
		l := &hangingLine{fakeLine: f}
		d := dev("plc", 1, tag("v", "h1"))
		d.Poll = Poll(100 * time.Millisecond)
		b := newBenchLine(t, l, f, nil, d)
		defer b.stop()
		for range 3 {
			b.run(5 * time.Second)
			l.mu.Lock()
			l.hangs = true
			l.mu.Unlock()
			b.run(20 * time.Second)
			b.forget()
			b.run(time.Second)
			if got := b.last("plc", "v"); got != "1" {
				t.Errorf("still %q 20 s after it hung", got)
			}
		}
	})
}
