package wire_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"fieldgate/drivers/modbus/server"
	"fieldgate/drivers/modbus/wire"
)

func TestH15Busy(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		for _, code := range []byte{wire.Acknowledge, wire.DeviceBusy} {
			s := oneMeter()
			s.Fault = nth(server.Fault{Exception: code}, 1, 2)
			l := serve(t, kind, s)
			mustRead(t, l, 4, 1)
			if s.Calls() != 3 {
				t.Errorf("exception %d: %d requests, want 3", code, s.Calls())
			}
		}
		t.Run("for ever", func(t *testing.T) {
			s := oneMeter()
			s.Fault = func(server.Call) server.Fault { return server.Fault{Exception: wire.DeviceBusy} }
			l := serve(t, kind, s)
			_, err := do(t, l, read(0, 1))
			var ex *wire.Exception
			if !errors.As(err, &ex) || !ex.Busy() || s.Calls() != 4 {
				t.Errorf("%v after %d requests, want 4", err, s.Calls())
			}
		})
		t.Run("a write that is being done is not sent again", func(t *testing.T) {
			s := oneMeter()
			l := serve(t, kind, s)
			mustRead(t, l, 0, 1)
			s2 := s.Calls()
			l2 := serve(t, kind, &server.Server{Units: s.Units, Fault: func(c server.Call) server.Fault {
				if c.Function == 6 {
					return server.Fault{Exception: wire.Acknowledge}
				}
				return server.Fault{}
			}})
			_, err := do(t, l2, write(190, 1))
			var ex *wire.Exception
			if !errors.As(err, &ex) || ex.Code != wire.Acknowledge || s.Calls() != s2 {
				t.Errorf("got %v", err)
			}
			if n := l2.Stats().Exceptions[wire.Acknowledge]; n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	})
}

func TestH16GatewayException(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Fault = func(c server.Call) server.Fault { // a gateway, for a unit that it does not reach
			if c.Unit == 7 {
				return server.Fault{Exception: wire.GatewayNoAnswer}
			}
			return server.Fault{}
		}
		l := serve(t, kind, s)
		for range 3 {
			req := read(0, 1)
			req.Unit = 7
			_, err := do(t, l, req)
			var ex *wire.Exception
			if !errors.As(err, &ex) || !ex.Gateway() || wire.Reason(err) != "exception:11" {
				t.Errorf("got %v", err)
			}
			mustRead(t, l, 0, 1)
		}
		if st := l.Stats(); st.Reconnects != 0 || !st.Open {
			t.Errorf("the connection was not kept: %+v", st)
		}
	})
}

func TestH18UnknownException(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		for code, number := range map[byte]string{0x0D: "13", 0xE1: "225"} {
			s := oneMeter()
			s.Fault = func(server.Call) server.Fault { return server.Fault{Exception: code} }
			l := serve(t, kind, s)
			_, err := do(t, l, read(0, 1))
			var ex *wire.Exception
			if !errors.As(err, &ex) || ex.Code != code || !strings.Contains(err.Error(), number) {
				t.Errorf("got %v", err)
			}
			if st := l.Stats(); st.Exceptions[code] != 1 {
				t.Errorf("counted %v", st.Exceptions)
			}
		}
	})
}

// TestH30LastRegisterRefused: a map that counts from 1 was taken for one that
// counts from 0, so everything reads, one off, but the last register.
func TestH30LastRegisterRefused(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		l := serve(t, kind, oneMeter()) // registers 0 to 199
		mustRead(t, l, 100, 100)
		if hints := strings.Join(l.Stats().Hints, "\n"); strings.Contains(hints, "address - 1") {
			t.Errorf("hints %q too early", hints)
		}
		_, err := do(t, l, read(199, 2))
		var ex *wire.Exception
		if !errors.As(err, &ex) || ex.Code != wire.IllegalAddress {
			t.Fatalf("got %v", err)
		}
		wantHint(t, l, "unit 1 refuses h200 and serves what stands before it: if its manual counts from 1, try address - 1")
	})
	t.Run("a hole is not the end", func(t *testing.T) {
		s := oneMeter()
		s.Fault = func(c server.Call) server.Fault {
			if c.Data[1] == 50 {
				return server.Fault{Exception: wire.IllegalAddress}
			}
			return server.Fault{}
		}
		l := serve(t, wire.TCP, s)
		mustRead(t, l, 40, 10)
		do(t, l, read(50, 1))
		mustRead(t, l, 51, 10)
		if hints := strings.Join(l.Stats().Hints, "\n"); strings.Contains(hints, "address - 1") {
			t.Errorf("hints %q", hints)
		}
	})
}

// TestH34NeedsAPause: a unit that ignores what comes too soon after its last
// answer is served where Gap is long enough.
func TestH34NeedsAPause(t *testing.T) {
	t.Parallel()
	const needs = 30 * time.Millisecond
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		var mu sync.Mutex
		var last time.Time
		s := oneMeter()
		s.Fault = func(server.Call) server.Fault {
			mu.Lock()
			defer mu.Unlock()
			soon := time.Since(last) < needs
			last = time.Now() // the answer leaves now
			return server.Fault{Drop: soon}
		}
		l := serve(t, kind, s, func(c *wire.Config) { c.Gap = 4 * needs }) // a loaded machine may see a shorter one
		for n := range uint16(5) {
			req := read(n, 1)
			req.Timeout = 2 * time.Second
			reply, err := do(t, l, req)
			if err != nil {
				t.Fatal(err)
			}
			checkValues(t, n, 1, reply.Data)
		}
	})
}
