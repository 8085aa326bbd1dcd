package wire_test

import (
	"errors"
	"strings"
	"testing"

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
	each(t, []wire.Kind{wire.TCP}, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Gateway = true // answers 11 for units it does not have
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
