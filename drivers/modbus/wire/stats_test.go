package wire_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fieldgate/drivers/modbus/server"
	"fieldgate/drivers/modbus/wire"
)

func TestRingAndStats(t *testing.T) {
	t.Parallel()
	l := serve(t, wire.TCP, oneMeter())
	for n := range 230 {
		mustRead(t, l, uint16(n%100), 1)
	}
	all := l.Exchanges(-1)
	if len(all) != 200 {
		t.Fatalf("%d exchanges", len(all))
	}
	if first, last := all[0], all[199]; !strings.HasSuffix(first.Sent, "03 00 1e 00 01") || !strings.HasSuffix(last.Received, "03 02 04 05") || last.At.Before(first.At) {
		t.Errorf("first %+v, last %+v", first, last)
	}
	if n := len(l.Exchanges(2)); n != 0 {
		t.Errorf("%d exchanges of a unit that was never asked", n)
	}
	st := l.Stats()
	if st.OK != 230 || st.Requests != 230 || st.BytesOut != 230*12 || st.BytesIn != 230*11 || st.Busy <= 0 || !st.Open {
		t.Errorf("stats %+v", st)
	}
	u := st.Units[0]
	if u.OK != 230 || u.P50 <= 0 || u.P50 > u.P95 || u.P95 > u.Max {
		t.Errorf("unit %+v", u)
	}
}

func TestHints(t *testing.T) {
	t.Parallel()
	t.Run("late answers", func(t *testing.T) {
		s := oneMeter()
		s.Fault = func(c server.Call) server.Fault { return server.Fault{Delay: 40 * time.Millisecond} }
		l := serve(t, wire.TCP, s)
		for n := range uint16(8) {
			req := read(n, 1)
			req.Timeout = 20 * time.Millisecond
			do(t, l, req)
			mustRead(t, l, n, 1) // waits for its own answer, behind the late one
		}
		wantHint(t, l, "raise timeout to")
	})
	t.Run("silence", func(t *testing.T) {
		s := oneMeter()
		s.Fault = func(server.Call) server.Fault { return server.Fault{Drop: true} }
		l := serve(t, wire.RTU, s, func(c *wire.Config) { c.LateGuard = time.Millisecond })
		for range 12 {
			req := read(0, 1)
			req.Timeout = time.Millisecond
			do(t, l, req)
		}
		wantHint(t, l, "nothing was ever received")
	})
	t.Run("unit switch", func(t *testing.T) {
		s := &server.Server{Any: meter()}
		last := byte(0)
		s.Fault = func(c server.Call) server.Fault { // loses the first request after a switch
			lost := c.Unit != last
			last = c.Unit
			return server.Fault{Drop: lost}
		}
		l := serve(t, wire.RTU, s, func(c *wire.Config) { c.LateGuard = time.Millisecond })
		for n := range 24 {
			req := read(0, 1)
			req.Unit = byte(1 + n%2)
			lost := req
			lost.Timeout = 10 * time.Millisecond
			do(t, l, lost)
			do(t, l, req)
		}
		wantHint(t, l, "raise unit_switch_pause")
	})
	t.Run("a dead unit is no unit switch", func(t *testing.T) {
		l := serve(t, wire.RTU, &server.Server{Units: map[byte]server.Bank{1: meter()}}, func(c *wire.Config) { c.LateGuard = time.Millisecond })
		for n := range 26 {
			req := read(0, 1)
			if req.Unit = byte(1 + n%2); req.Unit == 2 {
				req.Timeout = 5 * time.Millisecond
			}
			do(t, l, req)
		}
		if hints := strings.Join(l.Stats().Hints, "\n"); strings.Contains(hints, "unit_switch_pause") {
			t.Error(hints)
		}
	})
}

// TestSilenceOfAnotherUnit: a unit that misses the request after another one's
// silence is asked again, and nothing is held against it; one that misses the
// repeat as well is silent.
func TestSilenceOfAnotherUnit(t *testing.T) {
	t.Parallel()
	each(t, streams, func(t *testing.T, kind wire.Kind) {
		var misses atomic.Int32
		s := &server.Server{Any: meter()}
		s.Fault = func(c server.Call) server.Fault {
			return server.Fault{Drop: c.Unit == 1 || misses.Add(-1) >= 0}
		}
		l := serve(t, kind, s, func(c *wire.Config) { c.LateGuard, c.Echo = time.Millisecond, wire.EchoOff })
		for n, c := range []struct {
			misses  int32
			timeout time.Duration
			silent  bool
			counted uint64
		}{{0, patience, false, 0}, {1, 2 * time.Second, false, 0}, {1000, 100 * time.Millisecond, true, 1}} {
			misses.Store(c.misses)
			dead := short(read(0, 1))
			dead.NoRetry = true // as it is known to be silent
			if _, err := do(t, l, dead); !errors.Is(err, wire.ErrTimeout) {
				t.Fatalf("unit 1: %v", err)
			}
			req := read(uint16(n), 1)
			req.Unit, req.Timeout = 2, c.timeout
			if _, err := do(t, l, req); errors.Is(err, wire.ErrTimeout) != c.silent {
				t.Errorf("it missed %d requests: %v", c.misses, err)
			}
			for _, u := range l.Stats().Units {
				if u.Unit == 2 && (u.Timeouts != c.counted || u.Last == "" && c.silent) {
					t.Errorf("it missed %d requests: %+v", c.misses, u)
				}
			}
		}
		probe := read(9, 1)
		probe.Unit, probe.Timeout, probe.NoRetry = 2, 50*time.Millisecond, true
		before := l.Stats()
		dead := short(read(0, 1))
		dead.NoRetry = true
		do(t, l, dead)
		do(t, l, probe)
		if st := l.Stats(); st.Retries != before.Retries || st.Timeouts != before.Timeouts+2 {
			t.Errorf("a probe was repeated, or does not count: %+v, before %+v", st, before)
		}
	})
}

// TestUnitSwitchPauseIsLearnt: units that miss a request which comes less than
// 60 ms after one to another unit miss none in the end.
func TestUnitSwitchPauseIsLearnt(t *testing.T) {
	t.Parallel()
	s := &server.Server{Any: meter()}
	last, at := byte(0), time.Time{}
	s.Fault = func(c server.Call) server.Fault {
		lost := c.Unit != last && time.Since(at) < 60*time.Millisecond
		last, at = c.Unit, time.Now()
		return server.Fault{Drop: lost}
	}
	l := serve(t, wire.RTU, s, func(c *wire.Config) { c.LateGuard = time.Millisecond })
	good := 0
	for n := 0; n < 600 && good < 30; n++ {
		req := read(0, 1)
		req.Unit = byte(1 + n%2)
		lost := req
		lost.Timeout = 20 * time.Millisecond
		if _, err := l.Do(t.Context(), lost); err == nil {
			good++
			continue
		}
		good = 0
		do(t, l, req)
	}
	if good < 30 {
		t.Errorf("requests are still missed: %+v", l.Stats())
	}
}

func wantHint(t *testing.T, l *wire.Line, want string) {
	t.Helper()
	if hints := strings.Join(l.Stats().Hints, "\n"); !strings.Contains(hints, want) {
		t.Errorf("hints %q, want %q; %+v", hints, want, l.Stats())
	}
}

// TestCountsOfARequest: what comes late belongs to the request that it answers,
// and repeats to the one that is repeated. (Over UDP late answers arrive at a
// port that nobody reads any more.)
func TestCountsOfARequest(t *testing.T) {
	t.Parallel()
	each(t, []wire.Kind{wire.RTU, wire.ASCII, wire.TCP, wire.RTUOverTCP}, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		var lateOnes atomic.Bool
		s.Fault = func(c server.Call) server.Fault {
			if lateOnes.Load() {
				return server.Fault{Delay: 150 * time.Millisecond}
			}
			return server.Fault{}
		}
		l := serve(t, kind, s, func(c *wire.Config) { c.Retries = 2 })
		var slow, good wire.Counts
		mustRead(t, l, 5, 1)
		lateOnes.Store(true)
		req := short(read(10, 2))
		req.Counts = &slow
		if _, err := do(t, l, req); !errors.Is(err, wire.ErrTimeout) {
			t.Fatalf("got %v", err)
		}
		lateOnes.Store(false)
		waitFor(t, "the late answers", func() bool {
			ok := read(20, 3)
			ok.Counts = &good
			if _, err := do(t, l, ok); err != nil {
				t.Fatal(err)
			}
			return slow.Late.Load() > 0
		})
		if n := slow.Retries.Load(); n != 2 {
			t.Errorf("%d repeats, want 2", n)
		}
		if good.Late.Load() != 0 || good.Retries.Load() != 0 {
			t.Errorf("the other request has %d late answers and %d repeats", good.Late.Load(), good.Retries.Load())
		}
		if st := l.Stats(); st.Late < slow.Late.Load() || st.Retries != 2 {
			t.Errorf("%+v", st)
		}
	})
}
