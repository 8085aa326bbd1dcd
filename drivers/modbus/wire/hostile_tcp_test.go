package wire_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fieldgate/drivers/modbus/server"
	"fieldgate/drivers/modbus/wire"
)

var onTCP = []wire.Kind{wire.TCP}

// older puts an older answer with another value in front of the frame.
func older(frame []byte) []byte {
	old := append([]byte(nil), frame...)
	old[1]--
	old[len(old)-1] ^= 0xFF
	return append(old, frame...)
}

func TestH19OlderTransaction(t *testing.T) {
	t.Parallel()
	each(t, onTCP, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Fault = func(server.Call) server.Fault { return server.Fault{Frame: older} }
		l := serve(t, kind, s)
		for n := range uint16(5) {
			mustRead(t, l, n, 1)
		}
		if st := l.Stats(); st.Late != 5 || st.Reconnects != 0 {
			t.Errorf("late %d, reconnects %d", st.Late, st.Reconnects)
		}
	})
}

func TestH20TransactionAlwaysZero(t *testing.T) {
	t.Parallel()
	each(t, onTCP, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Fault = func(c server.Call) server.Fault {
			f := server.Fault{Edit: func(a *server.Answer) { a.Transaction = 0 }}
			if c.Number == 3 {
				f.Delay = 150 * time.Millisecond // late, and nothing tells it from the next
			}
			return f
		}
		if _, err := do(t, serve(t, kind, s), short(read(0, 1))); !errors.Is(err, wire.ErrTimeout) {
			t.Errorf("without ignore_tid: %v", err)
		}
		l := serve(t, kind, s, func(c *wire.Config) { c.IgnoreTID = true })
		for n := range uint16(4) {
			if reply, err := do(t, l, short(read(n, 1))); err == nil {
				checkValues(t, n, 1, reply.Data)
			}
		}
		mustRead(t, l, 7, 1)
	})
}

func TestH21OtherUnitInTheAnswer(t *testing.T) {
	t.Parallel()
	each(t, onTCP, func(t *testing.T, kind wire.Kind) {
		for _, unit := range []byte{0, 255} {
			s := oneMeter()
			s.Fault = func(server.Call) server.Fault { return server.Fault{Edit: func(a *server.Answer) { a.Unit = unit }} }
			var re *wire.ReplyError
			if _, err := do(t, serve(t, kind, s), read(0, 1)); !errors.As(err, &re) || !strings.Contains(err.Error(), "ignore_unit") {
				t.Errorf("got %v", err)
			}
			mustRead(t, serve(t, kind, s, func(c *wire.Config) { c.IgnoreUnit = true }), 3, 1)
		}
	})
}

func TestH22ByteByByte(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Fault = func(server.Call) server.Fault { return server.Fault{Chunk: 1, Pause: time.Millisecond} }
		l := serve(t, kind, s)
		mustRead(t, l, 0, 5)
		mustRead(t, l, 1, 5)
	})
}

func TestH23TwoAnswersInOneSegment(t *testing.T) {
	t.Parallel()
	each(t, onTCP, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		var held []byte
		s.Fault = func(c server.Call) server.Fault {
			switch c.Number {
			case 1:
				return server.Fault{Frame: func(f []byte) []byte { held = append(held, f...); return nil }}
			case 2:
				return server.Fault{Frame: func(f []byte) []byte { return append(held, f...) }}
			}
			return server.Fault{Twice: true}
		}
		l := serve(t, kind, s)
		if _, err := do(t, l, short(read(0, 1))); !errors.Is(err, wire.ErrTimeout) {
			t.Fatalf("got %v", err)
		}
		for n := range uint16(4) {
			mustRead(t, l, 10+n, 1)
		}
	})
}

// header replaces the first header a device sends.
func header(t *testing.T, change func(frame []byte)) {
	each(t, onTCP, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Fault = nth(server.Fault{Frame: func(f []byte) []byte { change(f); return f }}, 2)
		l := serve(t, kind, s)
		mustRead(t, l, 0, 1)
		req := read(1, 1)
		req.NoRetry = true
		reply, err := do(t, l, req) // a broken connection is worth one more try
		if err != nil {
			t.Fatalf("got %v", err)
		}
		checkValues(t, 1, 1, reply.Data)
		if st := l.Stats(); st.Reconnects != 1 || st.BytesIn > 200 {
			t.Errorf("reconnects %d, %d bytes read", st.Reconnects, st.BytesIn)
		}
	})
}

func TestH24LengthField(t *testing.T) {
	t.Parallel()
	for _, length := range []uint16{0, 1, 2, 255, 65535} {
		header(t, func(f []byte) { f[4], f[5] = byte(length>>8), byte(length) })
	}
}

func TestH25ProtocolNotZero(t *testing.T) {
	t.Parallel()
	header(t, func(f []byte) { f[3] = 1 })
}

func TestH26HalfOpen(t *testing.T) {
	t.Parallel()
	each(t, []wire.Kind{wire.TCP, wire.RTUOverTCP}, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		s.Fault = nth(server.Fault{Drop: true}, 2, 3)
		l := serve(t, kind, s)
		mustRead(t, l, 0, 1)
		for range 2 {
			if _, err := do(t, l, short(read(0, 1))); !errors.Is(err, wire.ErrTimeout) {
				t.Fatalf("got %v", err)
			}
		}
		if l.Stats().Open {
			t.Error("still open after two time-outs")
		}
		mustRead(t, l, 0, 1)
		if n := l.Stats().Reconnects; n == 0 {
			t.Error("not opened afresh")
		}
	})
}

// door is a listener whose connections the test handles.
func door(t *testing.T, handle func(n int, c net.Conn)) string {
	ln := listen(t)
	run(t, func(ctx context.Context) error {
		defer context.AfterFunc(ctx, func() { ln.Close() })()
		for n := 1; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return nil
			}
			handle(n, c)
		}
	})
	return ln.Addr().String()
}

func TestH27ClosesAtOnce(t *testing.T) {
	t.Parallel()
	each(t, []wire.Kind{wire.TCP, wire.RTUOverTCP}, func(t *testing.T, kind wire.Kind) {
		var accepted atomic.Int64
		addr := door(t, func(_ int, c net.Conn) { accepted.Add(1); c.Close() })
		l := newLine(t, wire.Config{Kind: kind, Address: addr, LateGuard: time.Millisecond, ReconnectMin: time.Minute})
		var err error
		for range 50 {
			if _, err = do(t, l, read(0, 1)); err == nil {
				t.Fatal("got an answer")
			}
		}
		if !errors.Is(err, wire.ErrGone) || !strings.Contains(err.Error(), "taken by another client") || !strings.Contains(err.Error(), "next try in") {
			t.Errorf("got %v", err)
		}
		if n := accepted.Load(); n > 4 {
			t.Errorf("%d connections for 50 requests: no back-off", n)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		ln := listen(t)
		ln.Close()
		_, err := do(t, newLine(t, wire.Config{Kind: wire.TCP, Address: ln.Addr().String()}), read(0, 1))
		if !errors.Is(err, wire.ErrGone) || !strings.Contains(err.Error(), "refused") || wire.Reason(err) != "port" {
			t.Errorf("got %v", err)
		}
	})
}

func TestH28NeedsAPauseAfterConnect(t *testing.T) {
	t.Parallel()
	each(t, []wire.Kind{wire.TCP, wire.RTUOverTCP}, func(t *testing.T, kind wire.Kind) {
		start := time.Now()
		s := oneMeter()
		var opened atomic.Int64
		s.Fault = func(server.Call) server.Fault {
			return server.Fault{Drop: time.Since(start)-time.Duration(opened.Load()) < 150*time.Millisecond}
		}
		l := serve(t, kind, s, func(c *wire.Config) {
			c.ConnectDelay = 200 * time.Millisecond
			addr := c.Address
			c.Open = func(context.Context) (wire.Conn, error) {
				conn, err := net.Dial("tcp", addr)
				opened.Store(int64(time.Since(start)))
				return conn, err
			}
		})
		mustRead(t, l, 0, 1)
	})
}

func TestH29ResetInsideAnAnswer(t *testing.T) {
	t.Parallel()
	each(t, []wire.Kind{wire.TCP, wire.RTUOverTCP}, func(t *testing.T, kind wire.Kind) {
		s := oneMeter()
		var writes atomic.Int64
		s.Fault = func(c server.Call) server.Fault {
			if c.Function == 6 {
				writes.Add(1)
			}
			if c.Number == 2 || c.Function == 6 {
				return server.Fault{Frame: server.Cut(4), Hangup: true}
			}
			return server.Fault{}
		}
		l := serve(t, kind, s)
		mustRead(t, l, 0, 1)
		mustRead(t, l, 1, 1) // cut, and asked again
		if n := s.Calls() - int(l.Stats().Checks); n != 3 {
			t.Errorf("%d requests, want 3", n)
		}
		if _, err := do(t, l, write(190, 1)); !errors.Is(err, wire.ErrGone) {
			t.Errorf("write: %v", err)
		}
		if n := writes.Load(); n != 1 {
			t.Errorf("a write of unknown fate was sent %d times", n)
		}
		mustRead(t, l, 2, 1)
	})
}

// TestConnectionDiesWhileIdle closes the connection between requests: reads
// and writes must both go through, because that shows before they are sent.
func TestConnectionDiesWhileIdle(t *testing.T) {
	t.Parallel()
	each(t, []wire.Kind{wire.TCP, wire.RTUOverTCP}, func(t *testing.T, kind wire.Kind) {
		m := meter()
		s := &server.Server{Units: map[byte]server.Bank{1: m}}
		s.Fault = func(server.Call) server.Fault { return server.Fault{Hangup: true} }
		l := serve(t, kind, s)
		for n := range uint16(10) {
			eventually(t, l, n, 1)
			time.Sleep(10 * time.Millisecond) // lets the close arrive; without it a read is repeated instead
		}
		// Should the close not have arrived yet, the write's fate is unknown and reported so.
		waitFor(t, "a write that shows in time that the connection is gone", func() bool {
			_, err := do(t, l, write(190, 42))
			return err == nil
		})
		if m.Get(server.Holdings, 190) != 42 {
			t.Error("not written")
		}
	})
}

func TestNotModbus(t *testing.T) {
	addr := door(t, func(_ int, c net.Conn) {
		io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n")
		time.AfterFunc(50*time.Millisecond, func() { c.Close() })
	})
	_, err := do(t, newLine(t, wire.Config{Kind: wire.TCP, Address: addr}), read(0, 1))
	if !errors.Is(err, wire.ErrGone) || !strings.Contains(err.Error(), "is this a Modbus TCP port?") {
		t.Errorf("got %v", err)
	}
}

// TestFlood is a device that never stops sending answers to other requests.
func TestFlood(t *testing.T) {
	t.Parallel()
	addr := door(t, func(_ int, c net.Conn) {
		go func() {
			defer c.Close()
			for { // until the line hangs up
				if _, err := c.Write([]byte{0xFF, 0xFF, 0, 0, 0, 5, 1, 3, 2, 0xDE, 0xAD}); err != nil {
					return
				}
			}
		}()
	})
	l := newLine(t, wire.Config{Kind: wire.TCP, Address: addr})
	_, err := do(t, l, short(read(0, 1)))
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// stalled is a connection to a machine that stands still: the wait for an answer
// ends long after its time, and what came meanwhile is there then.
type stalled struct {
	net.Conn
	until  time.Time // the read deadline
	stalls bool      // at the first read behind the first write
	asked  bool
	first  int // bytes of the answer that are there
}

func (c *stalled) Write(b []byte) (int, error) {
	c.asked = true
	return c.Conn.Write(b)
}

func (c *stalled) SetReadDeadline(t time.Time) error {
	c.until = t
	return c.Conn.SetReadDeadline(t)
}

func (c *stalled) Read(b []byte) (int, error) {
	if c.stalls && c.asked {
		c.stalls = false
		time.Sleep(time.Until(c.until) + 150*time.Millisecond)
		return 0, os.ErrDeadlineExceeded
	}
	if c.asked && c.first > 0 {
		b = b[:min(len(b), c.first)]
		c.first = 0
	}
	return c.Conn.Read(b)
}

// TestStalledMachine: the bytes that are found after such a wait are not lost.
// Whole, they are the answer; half an answer ends the connection, for the other
// half would be taken for a beginning.
func TestStalledMachine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first int
		opens int
	}{"whole": {0, 1}, "half": {5, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ln := listen(t)
			run(t, func(ctx context.Context) error { return oneMeter().ServeTCP(ctx, ln) })
			opens := 0
			l := newLine(t, wire.Config{Kind: wire.TCP, Timeout: patience, Open: func(context.Context) (wire.Conn, error) {
				opens++
				conn, err := net.Dial("tcp", ln.Addr().String())
				return &stalled{Conn: conn, stalls: opens == 1, first: c.first}, err
			}})
			reply, err := do(t, l, short(read(7, 1)))
			switch {
			case err == nil && c.first == 0:
				checkValues(t, 7, 1, reply.Data)
			case err == nil || c.first == 0:
				t.Errorf("got % x, %v", reply.Data, err)
			}
			mustRead(t, l, 8, 1)
			if st := l.Stats(); opens != c.opens || st.Late != 0 {
				t.Errorf("opened %d times, want %d; %+v", opens, c.opens, st)
			}
		})
	}
}
