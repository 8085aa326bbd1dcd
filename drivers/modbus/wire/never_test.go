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

// misbehave draws a fault. Every kind of it may meet every request.
func misbehave(r *rand.Rand, kind wire.Kind) server.Fault {
	switch r.IntN(12) {
	case 0:
		return server.Fault{Drop: true}
	case 1:
		return server.Fault{Silent: true}
	case 2, 3, 4:
		return server.Fault{Delay: time.Duration(r.IntN(150)) * time.Millisecond}
	case 5:
		return server.Fault{Twice: true}
	case 6:
		if kind == wire.TCP {
			return server.Fault{Frame: older} // nothing guards the content of a TCP frame but its transport
		}
		return server.Fault{Frame: server.Corrupt}
	case 7:
		return server.Fault{Frame: server.Cut(r.IntN(8))}
	case 8:
		return server.Fault{Exception: byte(1 + r.IntN(6))}
	case 9:
		if kind == wire.TCP {
			return server.Fault{Chunk: 3}
		}
		noise := make([]byte, r.IntN(12))
		for i := range noise {
			noise[i] = []byte{0, 0xFF, 1, 3, 2, 6}[r.IntN(6)]
		}
		return server.Fault{Before: noise, After: noise}
	case 10:
		return server.Fault{Hangup: kind == wire.TCP || kind == wire.RTUOverTCP}
	}
	return server.Fault{}
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
	each(t, kinds, func(t *testing.T, kind wire.Kind) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		faults := rand.New(rand.NewPCG(seed, 1)) // the device draws these, from each of its connections
		var draw sync.Mutex
		m := meter()
		var calm atomic.Bool
		s := &server.Server{Units: map[byte]server.Bank{1: m}, Fault: func(server.Call) server.Fault {
			if calm.Load() {
				return server.Fault{}
			}
			draw.Lock()
			defer draw.Unlock()
			return misbehave(faults, kind)
		}}
		change := func(c *wire.Config) { c.LateGuard, c.Retries = 20*time.Millisecond, 1 }
		var l *wire.Line
		if kind == wire.RTUOverUDP {
			l = through(t, &network{answer: badNetwork(rand.New(rand.NewPCG(seed, 2)))}, s, change)
		} else {
			l = serve(t, kind, s, change)
		}
		good, until := 0, time.Now().Add(long())
		for n := 0; n < 40 || time.Now().Before(until); n++ {
			timeout := time.Duration(5+r.IntN(60)) * time.Millisecond
			if n%4 == 3 {
				value := uint16(r.IntN(60000))
				req := wire.Request{Unit: 1, Function: modbus.FuncCodeWriteMultipleRegisters, Address: 195, Quantity: 1,
					Data: []byte{byte(value >> 8), byte(value)}, Timeout: timeout}
				if _, err := do(t, l, req); err == nil {
					if got := m.Get(server.Holdings, 195); got != value {
						t.Fatalf("WRONG: %d reported as written, the register holds %d", value, got)
					}
				}
				continue
			}
			req := read(uint16(r.IntN(100)), uint16(1+r.IntN(3)))
			req.Timeout = timeout
			if reply, err := do(t, l, req); err == nil {
				checkValues(t, req.Address, req.Quantity, reply.Data)
				good++
			}
		}
		t.Logf("%d good reads; %+v", good, l.Stats())
		calm.Store(true)
		eventually(t, l, 42, 1)
	})
}
