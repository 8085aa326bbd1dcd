package wire_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fieldgate/drivers/modbus/server"
	"fieldgate/drivers/modbus/wire"
)

// several lets a line have four requests under way.
func several(c *wire.Config) { c.MaxInFlight, c.Retries = 4, 1 }

// reads gives reads of different lengths, one after the other.
func someReads(n int) []wire.Request {
	var out []wire.Request
	for i := range uint16(n) {
		out = append(out, read(i*3, 1+i%5))
	}
	return out
}

// stream asks all of them, checks that each ends once, and its values. The
// result is the errors.
func stream(t *testing.T, l *wire.Line, reqs []wire.Request) []error {
	t.Helper()
	errs := make([]error, len(reqs))
	ends, at := make([]int, len(reqs)), 0
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	l.Stream(ctx, func() (wire.Request, bool) {
		if at == len(reqs) {
			return wire.Request{}, false
		}
		at++
		return reqs[at-1], true
	}, func(n int, reply wire.Reply, err error) {
		ends[n]++
		if errs[n] = err; err == nil && reqs[n].Function == 3 {
			checkValues(t, reqs[n].Address, reqs[n].Quantity, reply.Data)
		}
	})
	for n, times := range ends {
		if times != 1 {
			t.Errorf("request %d ended %d times", n, times)
		}
	}
	return errs
}

func mustStream(t *testing.T, l *wire.Line, reqs []wire.Request) {
	t.Helper()
	for n, err := range stream(t, l, reqs) {
		if err != nil {
			t.Errorf("request %d: %v", n, err)
		}
	}
}

func TestStreamOnEveryLine(t *testing.T) {
	t.Parallel()
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		m := meter()
		l := serve(t, kind, &server.Server{Units: map[byte]server.Bank{1: m}}, several)
		reqs := someReads(20)
		reqs[7] = write(190, 77)
		reqs[8] = read(190, 1) // after the write, so it must see it
		at := 0
		l.Stream(t.Context(), func() (wire.Request, bool) { at++; return reqs[min(at, 20)-1], at <= 20 },
			func(n int, reply wire.Reply, err error) {
				switch {
				case err != nil:
					t.Errorf("request %d: %v", n, err)
				case n == 8 && binary.BigEndian.Uint16(reply.Data) != 77:
					t.Errorf("read before the write: % x", reply.Data)
				}
			})
		if s := l.Stats(); s.OK < 20 || s.Timeouts+s.CRC+s.Misfits+s.Late != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// batches is a device that waits until it has some requests, and answers them
// as the test says: answers are whole frames, in the order of the requests.
func batches(t *testing.T, size int, answer func(c net.Conn, answers [][]byte) error) string {
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	return door(t, func(_ int, c net.Conn) {
		wg.Go(func() {
			defer c.Close()
			for {
				var answers [][]byte
				for len(answers) < size {
					// A lone request is not followed by others: it is answered after a while.
					if len(answers) > 0 {
						_ = c.SetReadDeadline(time.Now().Add(150 * time.Millisecond))
					}
					frame, err := answerTo(c)
					if err != nil {
						if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
							break
						}
						return
					}
					answers = append(answers, frame)
				}
				_ = c.SetReadDeadline(time.Time{})
				if answer(c, answers) != nil {
					return
				}
			}
		})
	})
}

// answerTo reads one request for holding registers and makes its answer.
func answerTo(c net.Conn) ([]byte, error) {
	var b [12]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return nil, err
	}
	address, n := binary.BigEndian.Uint16(b[8:]), binary.BigEndian.Uint16(b[10:])
	out := append([]byte{}, b[0], b[1], 0, 0, 0, byte(3+2*n), b[6], b[7], byte(2*n))
	for i := range n {
		out = binary.BigEndian.AppendUint16(out, address+i+1000)
	}
	return out, nil
}

func send(c net.Conn, frames ...[]byte) error {
	var all []byte
	for _, f := range frames {
		all = append(all, f...)
	}
	_, err := c.Write(all)
	return err
}

func backwards(frames [][]byte) (out [][]byte) {
	for i := range frames {
		out = append(out, frames[len(frames)-1-i])
	}
	return out
}

// TestStreamKeepsSeveralUnderWay: the device does not answer before it has
// four requests, and then in any order.
func TestStreamKeepsSeveralUnderWay(t *testing.T) {
	t.Parallel()
	var most atomic.Int64 // the device is one goroutine
	addr := batches(t, 4, func(c net.Conn, answers [][]byte) error {
		most.Store(max(most.Load(), int64(len(answers))))
		return send(c, backwards(answers)...)
	})
	l := newLine(t, wire.Config{Kind: wire.TCP, Address: addr, Timeout: patience}, several)
	mustStream(t, l, someReads(40))
	l.Close()
	if s := l.Stats(); most.Load() != 4 || s.InFlight != 4 || s.Late+s.Misfits+s.Timeouts != 0 {
		t.Errorf("%d at once; %+v", most.Load(), s)
	}
}

// TestStreamGoesBackToOne: devices that cannot take several requests. No value
// is wrong or missing, and the line finds out by itself.
func TestStreamGoesBackToOne(t *testing.T) {
	t.Parallel()
	type device struct {
		name, hint string
		answer     func(c net.Conn, answers [][]byte) error
	}
	devices := []device{
		{"loses all but the first", "loses requests", func(c net.Conn, a [][]byte) error { return send(c, a[0]) }},
		{"loses the first", "loses requests", func(c net.Conn, a [][]byte) error { return send(c, a[max(0, len(a)-3):]...) }},
		{"answers twice", "answers twice", func(c net.Conn, a [][]byte) error { return send(c, append(a, a...)...) }},
		{"hangs up", "the connection", func(c net.Conn, a [][]byte) error {
			if len(a) > 1 {
				return io.EOF
			}
			return send(c, a...)
		}},
		{"mixes up", "mixes answers up", func(c net.Conn, a [][]byte) error {
			if len(a) > 1 {
				a[0][0], a[0][1], a[1][0], a[1][1] = a[1][0], a[1][1], a[0][0], a[0][1]
			}
			return send(c, a...)
		}},
		{"forgets the numbers", "numbers of no request", func(c net.Conn, a [][]byte) error {
			if len(a) > 1 {
				for _, f := range a {
					f[0], f[1] = 0xFF, 0xFF
				}
			}
			return send(c, a...)
		}},
	}
	together(t, devices, func(d device) string { return d.name }, func(t *testing.T, d device) {
		l := newLine(t, wire.Config{Kind: wire.TCP, Address: batches(t, 4, d.answer), Timeout: 800 * time.Millisecond,
			ReconnectMin: 5 * time.Millisecond, ReconnectMax: 20 * time.Millisecond}, several)
		waitFor(t, "one request at a time", func() bool {
			stream(t, l, someReads(12))
			return l.Stats().InFlight == 1
		})
		if hints := strings.Join(l.Stats().Hints, "\n"); !strings.Contains(hints, d.hint) || !strings.Contains(hints, "max_in_flight") {
			t.Errorf("hints %q", hints)
		}
		waitFor(t, "a good round", func() bool {
			for _, err := range stream(t, l, someReads(3)) {
				if err != nil {
					return false
				}
			}
			return true
		})
	})
}

// TestStreamAnswerBrokenOff: an answer that breaks off anywhere takes the
// beginning of the next one for its end. Its values are wrong, its number right.
func TestStreamAnswerBrokenOff(t *testing.T) {
	t.Parallel()
	var cases []int
	for n := range 25 {
		cases = append(cases, n)
	}
	together(t, cases, strconv.Itoa, func(t *testing.T, keep int) {
		for _, lengths := range [][]uint16{{8, 1, 2, 3}, {3, 5, 1, 1}, {5, 5, 5, 5}, {2, 1, 1, 5}} {
			addr := batches(t, 4, func(c net.Conn, a [][]byte) error {
				if len(a) > 1 {
					a[0] = a[0][:min(keep, len(a[0])-1)]
				}
				return send(c, a...)
			})
			l := newLine(t, wire.Config{Kind: wire.TCP, Address: addr, Timeout: 700 * time.Millisecond, ReconnectMin: time.Millisecond}, several)
			var reqs []wire.Request
			for i, n := range lengths {
				reqs = append(reqs, read(uint16(10*i), n))
			}
			stream(t, l, reqs) // checks the values
		}
	})
}

// TestStreamLateAnswers: answers that come after their time are not taken for
// those of later requests.
func TestStreamLateAnswers(t *testing.T) {
	t.Parallel()
	s := oneMeter()
	s.Fault = func(c server.Call) server.Fault {
		if c.Number%5 == 0 {
			return server.Fault{Delay: 120 * time.Millisecond}
		}
		return server.Fault{}
	}
	l := serve(t, wire.TCP, s, several, func(c *wire.Config) { c.Timeout = 60 * time.Millisecond })
	good := 0
	for range 10 {
		for _, err := range stream(t, l, someReads(10)) {
			if err == nil {
				good++
			}
		}
	}
	if good == 0 {
		t.Error("nothing was read")
	}
}

// TestStreamDeadUnits: a unit behind a gateway that never answers costs its
// own time, and is no sign against the gateway.
func TestStreamDeadUnits(t *testing.T) {
	t.Parallel()
	l := serve(t, wire.TCP, oneMeter(), several)
	reqs := someReads(20)
	for i := 3; i < len(reqs); i += 5 {
		reqs[i].Unit, reqs[i].Timeout = 9, 150*time.Millisecond
	}
	for n, err := range stream(t, l, reqs) {
		if dead := reqs[n].Unit == 9; dead != errors.Is(err, wire.ErrTimeout) || !dead && err != nil {
			t.Errorf("request %d of unit %d: %v", n, reqs[n].Unit, err)
		}
	}
	if s := l.Stats(); s.InFlight != 4 {
		t.Errorf("in flight %d, hints %q", s.InFlight, s.Hints)
	}
}

// TestStreamSharesTheLine: an endless stream lets others have a turn.
func TestStreamSharesTheLine(t *testing.T) {
	t.Parallel()
	m := meter()
	l := serve(t, wire.TCP, &server.Server{Units: map[byte]server.Bank{1: m}}, several)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.Stream(ctx, func() (wire.Request, bool) { return read(0, 2), ctx.Err() == nil }, func(int, wire.Reply, error) {})
	}()
	for n := range uint16(20) {
		if _, err := do(t, l, write(190, n)); err != nil {
			t.Errorf("write: %v", err)
		}
	}
	cancel()
	<-ended
	if got := m.Get(server.Holdings, 190); got != 19 {
		t.Errorf("the register holds %d", got)
	}
}

// TestStreamEnds: with its context and with the line, while requests are under way.
func TestStreamEnds(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]error{"cancel": context.Canceled, "close": wire.ErrClosed} {
		t.Run(name, func(t *testing.T) {
			s := oneMeter()
			s.Fault = func(server.Call) server.Fault { return server.Fault{Drop: true} }
			l := serve(t, wire.TCP, s, several)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan []error, 1)
			go func() {
				var errs []error
				n := 0
				l.Stream(ctx, func() (wire.Request, bool) { n++; return read(0, 1), n <= 10 },
					func(_ int, _ wire.Reply, err error) { errs = append(errs, err) })
				ended <- errs
			}()
			waitFor(t, "requests under way", func() bool { return s.Calls() >= 4 })
			if name == "cancel" {
				cancel()
			} else {
				l.Close()
			}
			select {
			case errs := <-ended:
				if len(errs) != 10 {
					t.Errorf("%d of 10 ended", len(errs))
				}
				for _, err := range errs {
					if !errors.Is(err, want) {
						t.Errorf("got %v", err)
					}
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it does not end")
			}
		})
	}
}
