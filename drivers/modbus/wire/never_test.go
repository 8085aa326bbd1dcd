package wire_test

import (
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goburrow/modbus"

	"fieldgate/drivers/modbus/server"
	"fieldgate/drivers/modbus/wire"
)

// misbehave draws a fault from the list of hostile devices. Every kind of it
// may meet every request.
func misbehave(r *rand.Rand, t testing.TB, kind wire.Kind, c server.Call) server.Fault {
	ms := func(n int) time.Duration { return time.Duration(r.IntN(n)) * time.Millisecond }
	switch r.IntN(16) {
	case 0:
		return server.Fault{Drop: true}
	case 1:
		return server.Fault{Silent: true}
	case 2, 3, 4: // H1, H2
		return server.Fault{Delay: ms(150)}
	case 5:
		return server.Fault{Twice: true}
	case 6: // H11, H19
		if kind == wire.TCP {
			return server.Fault{Frame: muchOlder} // nothing guards the content under the right number but its transport
		}
		return server.Fault{Frame: server.Corrupt}
	case 7: // H10
		return server.Fault{Frame: server.Cut(r.IntN(8))}
	case 8: // H14 to H16, H18
		return server.Fault{Exception: []byte{1, 2, 3, 4, 5, 6, 10, 11, 0x0D, 0xE1}[r.IntN(10)], Chunk: r.IntN(5), Pause: ms(10)}
	case 9: // H3, H4
		if kind == wire.TCP {
			return server.Fault{Chunk: 3}
		}
		noise := make([]byte, r.IntN(12))
		for i := range noise {
			noise[i] = []byte{0, 0xFF, 1, 3, 2, 6}[r.IntN(6)]
		}
		return server.Fault{Before: noise, After: noise}
	case 10: // H29
		return server.Fault{Hangup: kind == wire.TCP || kind == wire.RTUOverTCP, Frame: server.Cut(r.IntN(20))}
	case 11: // H8, H9, H12, H21
		return server.Fault{Edit: []func(*server.Answer){
			func(a *server.Answer) { a.Unit = 2 },
			func(a *server.Answer) { a.Function ^= 7 }, // 3 becomes 4, 16 becomes 0x17
			func(a *server.Answer) { a.Data = []byte{3, 1, 2, 3} },
		}[r.IntN(3)]}
	case 12: // H22, H36, H37
		return server.Fault{Chunk: 1 + r.IntN(8), Pause: ms(6)}
	case 13: // H24, H25; H8
		if kind == wire.TCP {
			at, to := []int{2, 3, 4}[r.IntN(3)], byte(1+r.IntN(255))
			return server.Fault{Frame: func(f []byte) []byte { f[at] = to; return f }}
		}
		return server.Fault{Before: encode(t, kind, 2, 3, 2, 0xDE, 0xAD)}
	case 14: // H5, H7
		if kind == wire.TCP {
			return server.Fault{}
		}
		echo := encode(t, kind, c.Unit, c.Function, c.Data...)
		return server.Fault{Before: echo[:r.IntN(len(echo)+1)]}
	}
	return server.Fault{}
}

// muchOlder puts an answer in front whose number is that of no request under
// way, not even of one of several.
func muchOlder(frame []byte) []byte {
	old := older(frame)
	old[0]--
	return old
}

// long is how long the model test goes on for each kind: three seconds, or ten
// minutes where FIELDGATE_LONG is set (with go test -timeout 20m).
func long() time.Duration {
	if os.Getenv("FIELDGATE_LONG") != "" {
		return 10 * time.Minute
	}
	return 3 * time.Second
}

// badNetwork draws what becomes of a datagram: most arrive, some late, twice,
// or never.
func badNetwork(r *rand.Rand) func(int) []time.Duration {
	some := func() time.Duration { return time.Duration(1+r.IntN(40)) * time.Millisecond }
	return func(int) []time.Duration {
		switch r.IntN(12) {
		case 0:
			return nil
		case 1:
			return at(some())
		case 2:
			return at(0, some())
		}
		return at(0)
	}
}

// TestNeverAWrongValue lets a device misbehave at random, and asks only that
// what is delivered is true: each value is the register's, each write that is
// reported as done has been done. Datagrams also pass a network that loses,
// delays and reorders them; it doubles answers only, for a write that the
// network doubles may undo a later one whatever we do.
func TestNeverAWrongValue(t *testing.T) {
	t.Parallel()
	each(t, kinds, neverWrong)
}

func neverWrong(t *testing.T, kind wire.Kind) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	faults := rand.New(rand.NewPCG(seed, 1)) // the device draws these, from each of its connections
	var draw sync.Mutex
	m := meter()
	var calm atomic.Bool
	s := &server.Server{Units: map[byte]server.Bank{1: m}, Fault: func(c server.Call) server.Fault {
		if calm.Load() {
			return server.Fault{}
		}
		draw.Lock()
		defer draw.Unlock()
		return misbehave(faults, t, kind, c)
	}}
	change := func(c *wire.Config) { c.LateGuard, c.Retries, c.MaxInFlight = 20*time.Millisecond, 1, 4 }
	var l *wire.Line
	if kind == wire.RTUOverUDP {
		bad := badNetwork(rand.New(rand.NewPCG(seed, 2)))
		l = through(t, &network{answer: func(n int) []time.Duration {
			if calm.Load() { // or it would lose what the end waits for
				return at(0)
			}
			return bad(n)
		}}, s, change)
	} else {
		l = serve(t, kind, s, change)
	}
	good, until := 0, time.Now().Add(long())
	for n := 0; n < 40 || time.Now().Before(until); n++ {
		timeout := time.Duration(5+r.IntN(60)) * time.Millisecond
		switch {
		case kind == wire.TCP && n%50 == 49: // a line that knows nothing of its device yet
			cfg := l.Config()
			l.Close()
			l = newLine(t, cfg)
		case n%8 == 7:
			good += streamOne(t, l, r, timeout)
		case n%4 == 3:
			writeOne(t, l, m, uint16(r.IntN(60000)), timeout)
		default:
			req := randomRead(r, timeout)
			if reply, err := do(t, l, req); err == nil {
				checkValues(t, req.Address, req.Quantity, reply.Data)
				good++
			}
		}
	}
	t.Logf("%d good reads; %+v", good, l.Stats())
	calm.Store(true)
	eventually(t, l, 42, 1)
}

func randomRead(r *rand.Rand, timeout time.Duration) wire.Request {
	req := read(uint16(r.IntN(100)), uint16(1+r.IntN(3)))
	req.Timeout = timeout
	return req
}

// writeOne checks that what is reported as written has been.
func writeOne(t *testing.T, l *wire.Line, m *server.Memory, value uint16, timeout time.Duration) {
	t.Helper()
	req := wire.Request{Unit: 1, Function: modbus.FuncCodeWriteMultipleRegisters, Address: 195, Quantity: 1,
		Data: []byte{byte(value >> 8), byte(value)}, Timeout: timeout}
	if _, err := do(t, l, req); err == nil {
		if got := m.Get(server.Holdings, 195); got != value {
			t.Fatalf("WRONG: %d reported as written, the register holds %d", value, got)
		}
	}
}

// streamOne has six reads under way, as far as the line goes.
func streamOne(t *testing.T, l *wire.Line, r *rand.Rand, timeout time.Duration) (good int) {
	t.Helper()
	var reqs []wire.Request
	for range 6 {
		reqs = append(reqs, randomRead(r, timeout))
	}
	for _, err := range stream(t, l, reqs) { // checks the values
		if err == nil {
			good++
		}
	}
	return good
}
