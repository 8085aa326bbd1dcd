package wire_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/goburrow/modbus"

	"fieldgate/drivers/modbus/server"
	"fieldgate/drivers/modbus/wire"
)

// The tests of this file and its neighbours are the rows of the list of
// hostile devices: each is a device or line that misbehaves in one way, over
// every kind of line where that way exists. Their pass mark is "never a wrong
// value", and a good one once the device behaves again.

// encode frames an answer for a kind, with transaction number 0 on TCP.
func encode(t testing.TB, kind wire.Kind, unit, function byte, data ...byte) []byte {
	t.Helper()
	var p modbus.Packager
	switch kind {
	case wire.ASCII:
		h := &modbus.ASCIIClientHandler{}
		h.SlaveId = unit
		p = h
	default:
		h := &modbus.RTUClientHandler{}
		h.SlaveId = unit
		p = h
	}
	b, err := p.Encode(&modbus.ProtocolDataUnit{FunctionCode: function, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestH01LateAnswer(t *testing.T) {
	t.Parallel()
	delays := []time.Duration{100 * time.Millisecond, 150 * time.Millisecond, 300 * time.Millisecond, 700 * time.Millisecond}
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		together(t, delays, time.Duration.String, func(t *testing.T, delay time.Duration) { // the time-out is 80, the guard 60
			s := oneMeter()
			s.Fault = nth(server.Fault{Delay: delay}, 2, 5)
			l := serve(t, kind, s)
			mustRead(t, l, 5, 1)
			for n := range uint16(3) { // the same shape again and again
				if reply, err := do(t, l, short(read(10+n, 1))); err == nil {
					checkValues(t, 10+n, 1, reply.Data)
				}
			}
			for n := range uint16(3) {
				mustRead(t, l, 20+n, 1)
			}
		})
	})
}

func TestH01LateAnswerAfterReopen(t *testing.T) {
	t.Parallel()
	each(t, []wire.Kind{wire.RTU}, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Fault = nth(server.Fault{Delay: 150 * time.Millisecond}, 1)
		l := serve(t, kind, s)
		do(t, l, short(read(10, 1)))
		path := l.Config().Port
		l.Close()
		again := newLine(t, wire.Config{Kind: kind, Port: path, Timeout: patience}) // its guard is 250 ms
		mustRead(t, again, 20, 1)
		mustRead(t, again, 21, 1)
	})
}

func TestH02LateAnswerWhileIdle(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Fault = nth(server.Fault{Delay: 500 * time.Millisecond}, 1)
		l := serve(t, kind, s)
		if _, err := do(t, l, short(read(10, 1))); !errors.Is(err, wire.ErrTimeout) {
			t.Fatalf("got %v", err)
		}
		time.Sleep(600 * time.Millisecond) // lets the answer come while nobody asks
		mustRead(t, l, 20, 1)
		mustRead(t, l, 21, 1)
		if late := l.Stats().Late; kind == wire.TCP && late != 1 || late > 1 {
			t.Errorf("%d late answers", late)
		}
	})
}

func TestH02DoubledAnswer(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Fault = func(server.Call) server.Fault { return server.Fault{Twice: true} }
		l := serve(t, kind, s)
		for n := range uint16(10) {
			mustRead(t, l, n, 1)
		}
	})
}

func TestH03GarbageBefore(t *testing.T) {
	t.Parallel()
	each(t, streams, func(t *testing.T, kind wire.Kind) {
		for _, noise := range [][]byte{{0}, {0, 0, 0, 0}, {0xFF}, {0x55, 0xAA, 0x0D}, {1}, {1, 3}, {1, 3, 2}, {1, 0x83}, {1, 3, 4, 0}, {':', '0', '1'}} {
			s := oneMeter()
			s.Fault = func(server.Call) server.Fault { return server.Fault{Before: noise} }
			mustRead(t, serve(t, kind, s), 7, 3)
		}
	})
}

func TestH04GarbageAfter(t *testing.T) {
	t.Parallel()
	each(t, streams, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Fault = func(server.Call) server.Fault { return server.Fault{After: []byte{0, 0xFF, 1, 3, 2}} }
		l := serve(t, kind, s)
		for n := range uint16(5) {
			mustRead(t, l, n, 2)
		}
	})
}

func echoes(modes ...wire.Echo) []wire.Echo {
	if len(modes) == 0 {
		return []wire.Echo{wire.EchoAuto, wire.EchoOn}
	}
	return modes
}

func TestH05Echo(t *testing.T) {
	t.Parallel()
	each(t, streams, func(t *testing.T, kind wire.Kind) {
		for _, mode := range echoes() {
			m := meter()
			s := &server.Server{Units: map[byte]server.Bank{1: m}, Echo: true}
			l := serve(t, kind, s, func(c *wire.Config) { c.Echo = mode })
			if _, err := do(t, l, write(190, 77)); err != nil {
				t.Fatalf("echo %d: write: %v", mode, err)
			}
			if got := m.Get(server.Holdings, 190); got != 77 {
				t.Errorf("echo %d: register holds %d", mode, got)
			}
			mustRead(t, l, 3, 10)
			if _, err := do(t, l, write(191, 78)); err != nil {
				t.Fatalf("echo %d: second write: %v", mode, err)
			}
		}
	})
}

func TestH06EchoOfAWriteFromADeadUnit(t *testing.T) {
	t.Parallel()
	requests := []wire.Request{
		write(190, 77),
		{Unit: 1, Function: 5, Address: 3, Data: []byte{0xFF, 0}},
		{Unit: 1, Function: 16, Address: 3, Quantity: 1, Data: []byte{1, 2}},
		{Unit: 1, Function: 0x16, Address: 3, Data: []byte{1, 2, 3, 4}},
	}
	function := func(r wire.Request) string { return fmt.Sprintf("function %d", r.Function) }
	each(t, streams, func(t *testing.T, kind wire.Kind) {
		together(t, requests, function, func(t *testing.T, req wire.Request) {
			for _, mode := range echoes() {
				for _, before := range []bool{false, true} { // whether a read has shown the echo
					s := oneMeter()
					s.Echo = true
					s.Fault = func(c server.Call) server.Fault { return server.Fault{Drop: !before || c.Number > 1} }
					l := serve(t, kind, s, func(c *wire.Config) { c.Echo = mode })
					if before {
						mustRead(t, l, 0, 1)
					}
					if _, err := do(t, l, short(req)); !errors.Is(err, wire.ErrTimeout) {
						t.Errorf("echo %d: %v, want no answer", mode, err)
					}
					if s.Executed() > 1 {
						t.Errorf("%d requests were executed", s.Executed())
					}
				}
			}
		})
	})
}

func TestH07PartialEchoAndNoise(t *testing.T) {
	t.Parallel()
	each(t, streams, func(t *testing.T, kind wire.Kind) {
		for _, mode := range echoes(wire.EchoAuto, wire.EchoOn, wire.EchoOff) {
			s := oneMeter()
			s.Fault = func(c server.Call) server.Fault {
				echo := encode(t, kind, c.Unit, c.Function, c.Data...)
				return server.Fault{Before: append(echo[:len(echo)-3:len(echo)-3], 0x00, 0xFE)}
			}
			l := serve(t, kind, s, func(c *wire.Config) { c.Echo = mode })
			mustRead(t, l, 7, 2)
			// A write may end either way, but not both as done and not done.
			if _, err := do(t, l, short(write(190, 5))); err != nil && !errors.Is(err, wire.ErrTimeout) && !errors.Is(err, wire.ErrCRC) {
				t.Errorf("echo %d: write: %v", mode, err)
			}
		}
	})
}

func TestH08AnotherUnitsReply(t *testing.T) {
	t.Parallel()
	each(t, streams, func(t *testing.T, kind wire.Kind) {
		foreign := encode(t, kind, 2, 3, 2, 0xDE, 0xAD)
		t.Run("alone", func(t *testing.T) {
			s := oneMeter()
			s.Fault = nth(server.Fault{Edit: func(a *server.Answer) { a.Unit = 2 }}, 1)
			l := serve(t, kind, s)
			_, err := do(t, l, brief(read(0, 1)))
			if !errors.Is(err, wire.ErrTimeout) || !strings.Contains(err.Error(), "unit 2") {
				t.Errorf("got %v", err)
			}
			mustRead(t, l, 0, 1)
		})
		t.Run("before ours", func(t *testing.T) {
			s := oneMeter()
			s.Fault = func(server.Call) server.Fault { return server.Fault{Before: foreign} }
			mustRead(t, serve(t, kind, s), 9, 1)
		})
	})
}

func TestH09AnotherFunctionsReply(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Fault = nth(server.Fault{Edit: func(a *server.Answer) { a.Function = 4 }}, 1)
		l := serve(t, kind, s)
		_, err := do(t, l, short(read(0, 1)))
		var ex *wire.Exception
		if err == nil || errors.As(err, &ex) {
			t.Errorf("got %v", err)
		}
		mustRead(t, l, 0, 1)
	})
}

func TestH10Truncated(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Fault = nth(server.Fault{Frame: server.Cut(8)}, 1)
		l := serve(t, kind, s)
		_, err := do(t, l, brief(read(0, 3)))
		if !errors.Is(err, wire.ErrTimeout) || !strings.Contains(err.Error(), "8 ") {
			t.Errorf("got %v, want a time-out with the byte count", err)
		}
		mustRead(t, l, 0, 3)
	})
}

func TestH11WrongCheckSum(t *testing.T) {
	t.Parallel()
	each(t, streams, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Fault = nth(server.Fault{Frame: server.Corrupt}, 1)
		l := serve(t, kind, s)
		if _, err := do(t, l, brief(read(0, 3))); !errors.Is(err, wire.ErrCRC) || wire.Reason(err) != "crc" {
			t.Errorf("got %v", err)
		}
		if n := l.Stats().CRC; n != 1 {
			t.Errorf("%d counted", n)
		}
		mustRead(t, l, 0, 3)
	})
}

// TestH11EveryBit flips each bit of a frame in turn.
func TestH11EveryBit(t *testing.T) {
	t.Parallel()
	each(t, streams, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		bit := 0
		s.Fault = func(server.Call) server.Fault {
			return server.Fault{Frame: func(f []byte) []byte {
				f[bit/8%len(f)] ^= 1 << (bit % 8)
				bit += 5
				return f
			}}
		}
		l := serve(t, kind, s, func(c *wire.Config) { c.Timeout, c.LateGuard = 20*time.Millisecond, 5*time.Millisecond })
		for range 30 {
			if reply, err := do(t, l, read(4, 2)); err == nil {
				checkValues(t, 4, 2, reply.Data) // the flip may be in the CR of ASCII
			}
		}
	})
}

func TestH12OtherByteCount(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		for name, data := range map[string][]byte{"more": {4, 1, 2, 3, 4}, "fewer": {0}, "odd": {3, 1, 2, 3}} {
			s := oneMeter()
			s.Fault = nth(server.Fault{Edit: func(a *server.Answer) { a.Data = data }}, 1)
			l := serve(t, kind, s)
			_, err := do(t, l, read(0, 1))
			var re *wire.ReplyError
			if !errors.As(err, &re) {
				t.Errorf("%s: got %v", name, err)
			}
			mustRead(t, l, 0, 1)
		}
	})
}

func TestH13ByteCountBeyondTheFrame(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Fault = func(c server.Call) server.Fault {
			return server.Fault{Edit: func(a *server.Answer) {
				if c.Number == 1 {
					a.Data[0] = 16
				}
			}}
		}
		s.Identity = [3]string{"", "name", ""}
		l := serve(t, kind, s)
		if _, err := do(t, l, brief(read(0, 5))); err == nil {
			t.Error("accepted")
		}
		mustRead(t, l, 0, 5)

		s2 := oneMeter()
		s2.Functions = map[byte]func(byte, []byte) ([]byte, error){
			0x11: func(byte, []byte) ([]byte, error) { return []byte("\x10short name.."), nil },
		}
		l2 := serve(t, kind, s2)
		reply, err := do(t, l2, short(wire.Request{Unit: 1, Function: wire.FuncReportServerID}))
		if kind != wire.TCP && kind != wire.ASCII && err == nil { // those two have a length of their own
			t.Errorf("server id with a wrong count: % x", reply.Data)
		}
		mustRead(t, l2, 0, 5)
	})
}

func TestH14SplitException(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Fault = func(server.Call) server.Fault {
			return server.Fault{Exception: 2, Chunk: 4, Pause: 30 * time.Millisecond}
		}
		l := serve(t, kind, s)
		_, err := do(t, l, read(0, 10))
		var ex *wire.Exception
		if !errors.As(err, &ex) || ex.Code != 2 || ex.Function != 3 {
			t.Errorf("got %v", err)
		}
	})
}

func TestH35FasterThanTheSilence(t *testing.T) {
	t.Parallel()
	each(t, []wire.Kind{wire.RTU}, func(t *testing.T, kind wire.Kind) {
		l := serve(t, kind, oneMeter(), func(c *wire.Config) { c.Baud = 1200 }) // t3.5 = 29 ms
		for n := range uint16(3) {
			mustRead(t, l, n, 1)
		}
	})
}

func TestH36GapsInsideAFrame(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Fault = func(server.Call) server.Fault { return server.Fault{Chunk: 4, Pause: 40 * time.Millisecond} }
		l := serve(t, kind, s)
		mustRead(t, l, 0, 4)
	})
}

func TestH37FTDIChunks(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Pace = server.Pace{Chunk: 62, Every: 16 * time.Millisecond}
		s.Fault = func(server.Call) server.Fault { return server.Fault{Chunk: 62, Pause: 16 * time.Millisecond} }
		l := serve(t, kind, s)
		mustRead(t, l, 0, 125)
	})
}

func TestH38TwoUnitsWithOneAddress(t *testing.T) {
	t.Parallel()
	each(t, streams, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Fault = func(server.Call) server.Fault {
			return server.Fault{Frame: func(f []byte) []byte {
				for i := 2; i < len(f)-2; i++ {
					f[i] &= 0xB5 // both drive the pair; one wins where they differ
				}
				return f
			}}
		}
		l := serve(t, kind, s)
		_, err := do(t, l, brief(read(0, 4)))
		if !errors.Is(err, wire.ErrCRC) || !strings.Contains(err.Error(), "two devices with one address") {
			t.Errorf("got %v", err)
		}
		if hints := strings.Join(l.Stats().Hints, "\n"); !strings.Contains(hints, "two devices with one address") && !strings.Contains(hints, "every unit") {
			t.Errorf("hints %q", hints)
		}
	})
}

func TestH39OnlyZeros(t *testing.T) {
	t.Parallel()
	each(t, streams, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Fault = func(server.Call) server.Fault {
			return server.Fault{Frame: func([]byte) []byte { return []byte("\x00\x00\xFF\x00\x00\x00\xFF\x00\x00\x00\x00\x00") }}
		}
		l := serve(t, kind, s)
		_, err := do(t, l, brief(read(0, 4)))
		if !errors.Is(err, wire.ErrCRC) || !strings.Contains(err.Error(), "wrong speed or parity") {
			t.Errorf("got %v", err)
		}
		if hints := strings.Join(l.Stats().Hints, "\n"); !strings.Contains(hints, "wrong speed or parity") {
			t.Errorf("hints %q", hints)
		}
	})
}

func TestH40Broadcast(t *testing.T) {
	t.Parallel()
	each(t, streams, func(t *testing.T, kind wire.Kind) {
		for _, echo := range []bool{false, true} {
			a, b := meter(), meter()
			s := &server.Server{Units: map[byte]server.Bank{1: a, 2: b}, Echo: echo}
			l := serve(t, kind, s, func(c *wire.Config) { c.Timeout = time.Hour }) // a wait for an answer would hang
			req := write(50, 123)
			req.Unit = 0
			if _, err := do(t, l, req); err != nil {
				t.Fatal(err)
			}
			mustRead(t, l, 3, 1) // answered after the broadcast: it has been executed
			if a.Get(server.Holdings, 50) != 123 || b.Get(server.Holdings, 50) != 123 {
				t.Error("not executed by all")
			}
		}
	})
	t.Run("of a read", func(t *testing.T) {
		req := read(0, 1)
		req.Unit = 0
		if _, err := do(t, serve(t, wire.RTU, oneMeter()), req); !errors.Is(err, wire.ErrRequest) {
			t.Errorf("got %v", err)
		}
	})
}
