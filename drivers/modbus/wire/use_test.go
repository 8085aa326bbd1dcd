package wire_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goburrow/modbus"

	"fieldgate/drivers/modbus/server"
	"fieldgate/drivers/modbus/wire"
)

func TestCancel(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Fault = nth(server.Fault{Delay: 300 * time.Millisecond}, 2)
		l := serve(t, kind, s) // its time-out is 20 s
		mustRead(t, l, 0, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		start := time.Now()
		if reply, err := l.Do(ctx, read(1, 1)); err == nil {
			checkValues(t, 1, 1, reply.Data)
		} else if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took > patience/2 {
			t.Errorf("cancelled after %v", took)
		}
		mustRead(t, l, 2, 1) // while the cancelled answer is on its way
		mustRead(t, l, 3, 1)
	})
}

func TestCancelWhileWaitingForTheLine(t *testing.T) {
	t.Parallel()
	s := oneMeter()
	s.Fault = nth(server.Fault{Drop: true}, 1)
	l := serve(t, wire.TCP, s)
	busy := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { defer close(busy); l.Do(ctx, read(0, 1)) }()
	waitFor(t, "the line to be taken", func() bool { return l.Stats().BytesOut > 0 })
	short, done := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer done()
	if _, err := l.Do(short, read(1, 1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	cancel()
	<-busy
	mustRead(t, l, 2, 1)
}

func TestCloseEndsEverything(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Fault = func(server.Call) server.Fault { return server.Fault{Drop: true} }
		l := serve(t, kind, s)
		var wg sync.WaitGroup
		for n := range uint16(5) {
			wg.Go(func() {
				if _, err := l.Do(context.Background(), read(n, 1)); !errors.Is(err, wire.ErrClosed) {
					t.Errorf("got %v", err)
				}
			})
		}
		waitFor(t, "a request to be sent", func() bool { return l.Stats().BytesOut > 0 })
		l.Close()
		wg.Wait()
		if l.Stats().Open {
			t.Error("still open")
		}
	})
}

func TestManyCallers(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		s := &server.Server{Units: map[byte]server.Bank{}}
		for u := range byte(8) {
			m := &server.Memory{}
			for n := range 20 {
				m.Set(server.Holdings, n, uint16(u)*1000+uint16(n))
			}
			s.Units[u+1] = m
		}
		l := serve(t, kind, s)
		var wg sync.WaitGroup
		for u := range byte(8) {
			wg.Go(func() {
				for n := range uint16(10) {
					req := read(n, 2)
					req.Unit = u + 1
					reply, err := do(t, l, req)
					want := fmt.Sprintf("%04x%04x", uint16(u)*1000+n, uint16(u)*1000+n+1)
					if got := fmt.Sprintf("%x", reply.Data); err != nil || got != want {
						t.Errorf("unit %d register %d: %s, %v; want %s", u+1, n, got, err, want)
					}
				}
			})
		}
		wg.Wait()
	})
}

// TestDeadUnits: units that are not there cost their own time-out only.
func TestDeadUnitAndGoodUnit(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		l := serve(t, kind, oneMeter())
		for n := range uint16(4) {
			dead := short(read(0, 1))
			dead.Unit = 9
			if _, err := do(t, l, dead); !errors.Is(err, wire.ErrTimeout) {
				t.Errorf("dead unit: %v", err)
			}
			mustRead(t, l, n, 1)
		}
		st := l.Stats()
		if len(st.Units) != 2 || st.Units[0].Timeouts != 0 || st.Units[1].Timeouts != 4 || !strings.Contains(st.Units[1].Last, "no answer") {
			t.Errorf("stats %+v", st.Units)
		}
	})
}

func TestRetries(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		spoilt := server.Fault{Frame: server.Corrupt} // an answer of no use, but soon
		if kind == wire.TCP {
			spoilt = server.Fault{Edit: func(a *server.Answer) { a.Unit = 9 }}
		}
		once, always := nth(spoilt, 1), func(server.Call) server.Fault { return spoilt }
		ask := func(req wire.Request, retries int, fault func(server.Call) server.Fault) (calls int, err error) {
			s := oneMeter()
			s.Fault = fault
			l := serve(t, kind, s, func(c *wire.Config) { c.Retries, c.Echo = retries, wire.EchoOff })
			req.Timeout = 2 * time.Second // ASCII waits it out
			_, err = do(t, l, req)
			if got, want := int(l.Stats().Retries), s.Calls()-1; got != want {
				t.Errorf("%d repeats counted, %d done", got, want)
			}
			return s.Calls(), err
		}
		if calls, err := ask(read(0, 1), 1, once); calls != 2 || err != nil {
			t.Errorf("a read: %d requests, %v", calls, err)
		}
		if calls, err := ask(read(0, 1), 2, always); calls != 3 || err == nil {
			t.Errorf("a read in vain: %d requests, %v", calls, err)
		}
		single := read(0, 1)
		single.NoRetry = true
		if calls, err := ask(single, 2, once); calls != 1 || err == nil {
			t.Errorf("a read that may not be repeated: %d requests, %v", calls, err)
		}
		if calls, err := ask(write(190, 1), 2, once); calls != 1 || err == nil {
			t.Errorf("a write: %d requests, %v", calls, err)
		}
		idempotent := write(190, 9)
		idempotent.Idempotent = true
		if calls, err := ask(idempotent, 1, once); calls != 2 || err != nil {
			t.Errorf("an idempotent write: %d requests, %v", calls, err)
		}
	})
}

func TestIdleClose(t *testing.T) {
	t.Parallel()
	each(t, []wire.Kind{wire.TCP, wire.RTUOverTCP}, func(t *testing.T, kind wire.Kind) {
		l := serve(t, kind, oneMeter(), func(c *wire.Config) { c.IdleClose = 20 * time.Millisecond })
		for n := range uint16(3) {
			mustRead(t, l, n, 1)
			waitFor(t, "the connection to be closed", func() bool { return !l.Stats().Open })
		}
		if n := l.Stats().Reconnects; n < 2 {
			t.Errorf("%d reconnects", n)
		}
	})
	l := serve(t, wire.RTU, oneMeter(), func(c *wire.Config) { c.IdleClose = time.Millisecond })
	mustRead(t, l, 0, 1)
	time.Sleep(20 * time.Millisecond)
	if !l.Stats().Open {
		t.Error("a serial port was closed for being idle")
	}
}

func TestPauses(t *testing.T) {
	t.Parallel()
	s := &server.Server{Any: meter()}
	l := serve(t, wire.RTU, s, func(c *wire.Config) {
		c.Gap, c.UnitSwitchPause = 20*time.Millisecond, 40*time.Millisecond
	})
	for n, unit := range []byte{1, 1, 2} {
		req := read(uint16(n), 1)
		req.Unit = unit
		if _, err := do(t, l, req); err != nil {
			t.Fatal(err)
		}
	}
	x := l.Exchanges(-1)
	for n, least := range []time.Duration{20 * time.Millisecond, 60 * time.Millisecond} {
		if pause := x[n+1].At.Add(-x[n+1].Took).Sub(x[n].At); pause < least-time.Millisecond {
			t.Errorf("pause %d is %v, want %v", n, pause, least)
		}
	}
}

// TestUnitGaps: one unit needs a longer pause than the line has; the others do
// not wait for it.
func TestUnitGaps(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		l := serve(t, kind, &server.Server{Any: meter()}, func(c *wire.Config) {
			c.Gap, c.UnitGaps = 5*time.Millisecond, map[byte]time.Duration{2: 60 * time.Millisecond}
		})
		quick := time.Hour
		for n := range uint16(12) {
			req := read(n, 1)
			req.Unit = byte(1 + n%2)
			if _, err := do(t, l, req); err != nil {
				t.Fatal(err)
			}
			x := l.Exchanges(-1)
			if n == 0 {
				continue
			}
			pause := x[n].At.Add(-x[n].Took).Sub(x[n-1].At)
			if req.Unit == 2 && pause < 59*time.Millisecond || pause < 4*time.Millisecond {
				t.Errorf("unit %d was asked after %v", req.Unit, pause)
			}
			if req.Unit == 1 {
				quick = min(quick, pause)
			}
		}
		if quick >= 60*time.Millisecond {
			t.Errorf("unit 1 had to wait %v at least", quick)
		}
	})
}

func TestClient(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		m := meter()
		l := serve(t, kind, &server.Server{Units: map[byte]server.Bank{1: m}})
		c := l.Client(t.Context(), 1)
		got := func(want string) func([]byte, error) {
			return func(b []byte, err error) {
				t.Helper()
				if err != nil || fmt.Sprintf("%x", b) != want {
					t.Errorf("got %x, %v; want %s", b, err, want)
				}
			}
		}
		got("03e803e9")(c.ReadHoldingRegisters(0, 2))
		got("07d0")(c.ReadInputRegisters(0, 1))
		got("05")(c.ReadCoils(0, 3))
		got("09")(c.ReadDiscreteInputs(0, 4))
		got("0102")(c.WriteSingleRegister(190, 0x0102))
		got("ff00")(c.WriteSingleCoil(3, 0xFF00))
		got("0002")(c.WriteMultipleRegisters(191, 2, []byte{0, 1, 0, 2}))
		got("0001")(c.WriteMultipleCoils(3, 1, []byte{0}))
		got("0000000f")(func() ([]byte, error) {
			b, err := c.MaskWriteRegister(190, 0, 15)
			return append([]byte{0, 0}, b[len(b)-2:]...), err
		}())
		got("0005")(c.ReadWriteMultipleRegisters(192, 1, 192, 1, []byte{0, 5}))
		if m.Get(server.Holdings, 191) != 1 || m.Get(server.Coils, 3) != 0 {
			t.Error("not written")
		}
		_, err := c.ReadHoldingRegisters(500, 1)
		var me *modbus.ModbusError
		if !errors.As(err, &me) || me.ExceptionCode != 2 {
			t.Errorf("got %v", err)
		}
	})
}

func TestBackOffGrowsAndEnds(t *testing.T) {
	t.Parallel()
	ln := listen(t)
	run(t, func(ctx context.Context) error { return oneMeter().ServeTCP(ctx, ln) })
	var tries []time.Time
	away := true
	l := newLine(t, wire.Config{Kind: wire.TCP, Timeout: patience, ReconnectMin: 10 * time.Millisecond, ReconnectMax: 50 * time.Millisecond,
		Open: func(ctx context.Context) (wire.Conn, error) {
			tries = append(tries, time.Now())
			if away {
				return nil, errors.New("nobody there")
			}
			var d net.Dialer
			return d.DialContext(ctx, "tcp", ln.Addr().String())
		}})
	waitFor(t, "the line to try again and again", func() bool {
		if _, err := do(t, l, read(0, 1)); !errors.Is(err, wire.ErrGone) {
			t.Fatalf("got %v", err)
		}
		return len(tries) >= 5
	})
	for n, least := range []time.Duration{8, 16, 32, 40} { // 80 % of 10, 20, 40 and 50 ms
		if gap := tries[n+1].Sub(tries[n]); gap < least*time.Millisecond {
			t.Errorf("after failure %d it waited %v, want %v ms at least", n+1, gap, int(least))
		}
	}
	away = false
	eventually(t, l, 0, 1)
}

// TestWriteToAUnitThatIgnoresReads: the read that finds out about the echo may
// stay unanswered.
func TestWriteToAUnitThatIgnoresReads(t *testing.T) {
	t.Parallel()
	each(t, streams, func(t *testing.T, kind wire.Kind) {
		for _, echo := range []bool{false, true} {
			m := meter()
			s := &server.Server{Units: map[byte]server.Bank{1: m}, Echo: echo}
			s.Fault = func(c server.Call) server.Fault { return server.Fault{Drop: c.Function == 3} }
			l := serve(t, kind, s)
			req := write(190, 5)
			req.Timeout = 2 * time.Second
			if _, err := do(t, l, req); err != nil {
				t.Errorf("echo %v: %v", echo, err)
			}
			if m.Get(server.Holdings, 190) != 5 {
				t.Error("not written")
			}
		}
	})
}

// TestCheckReadThatEndsTheConnection: the same, where that read is the one
// silence too many for a connection.
func TestCheckReadThatEndsTheConnection(t *testing.T) {
	t.Parallel()
	m := meter()
	s := &server.Server{Units: map[byte]server.Bank{1: m}}
	s.Fault = func(c server.Call) server.Fault { return server.Fault{Drop: c.Function == 3} }
	l := serve(t, wire.RTUOverTCP, s)
	if _, err := do(t, l, short(read(0, 1))); !errors.Is(err, wire.ErrTimeout) {
		t.Fatalf("got %v", err)
	}
	waitFor(t, "the write to be done", func() bool {
		_, err := do(t, l, brief(write(190, 5)))
		return err == nil
	})
	if m.Get(server.Holdings, 190) != 5 {
		t.Error("not written")
	}
}
