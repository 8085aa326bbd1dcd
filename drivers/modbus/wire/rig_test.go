package wire_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goburrow/modbus"

	"fieldgate/drivers/modbus/server"
	"fieldgate/drivers/modbus/wire"
	"fieldgate/drivers/port/porttest"
)

// kinds is every way a frame can travel.
var kinds = []wire.Kind{wire.RTU, wire.ASCII, wire.TCP, wire.RTUOverTCP, wire.RTUOverUDP}

// streams are the kinds without transaction numbers.
var streams = []wire.Kind{wire.RTU, wire.ASCII, wire.RTUOverTCP, wire.RTUOverUDP}

// patience is the line's time-out in tests: a loaded machine must not turn a
// good answer into a time-out. Requests that are meant to fail are short.
const patience = 20 * time.Second

// brief gives a request time enough to bring something, where the test waits
// until it is over.
func brief(req wire.Request) wire.Request {
	req.Timeout = 2 * time.Second
	return req
}

// short gives a request little time: nothing good is expected of it.
func short(req wire.Request) wire.Request {
	req.Timeout = 80 * time.Millisecond
	return req
}

// serve runs a device until the test ends and gives a line to it.
func serve(t testing.TB, kind wire.Kind, s *server.Server, change ...func(*wire.Config)) *wire.Line {
	t.Helper()
	cfg := wire.Config{Name: "test", Kind: kind, Timeout: patience, LateGuard: 60 * time.Millisecond,
		BusyPause: 5 * time.Millisecond, ReconnectMin: 5 * time.Millisecond, ReconnectMax: 20 * time.Millisecond, Baud: 115200}
	switch kind {
	case wire.RTU, wire.ASCII:
		dev := porttest.New(t)
		cfg.Port = dev.Path()
		run(t, func(ctx context.Context) error {
			if kind == wire.ASCII {
				return s.ServeASCII(ctx, dev)
			}
			return s.ServeRTU(ctx, dev)
		})
	case wire.RTUOverUDP:
		socket := listenUDP(t)
		cfg.Address = socket.LocalAddr().String()
		run(t, func(ctx context.Context) error { return s.ServeRTUOverUDP(ctx, socket) })
	default:
		ln := listen(t)
		cfg.Address = ln.Addr().String()
		run(t, func(ctx context.Context) error {
			if kind == wire.RTUOverTCP {
				return s.ServeRTUOverTCP(ctx, ln)
			}
			return s.ServeTCP(ctx, ln)
		})
	}
	return newLine(t, cfg, change...)
}

func newLine(t testing.TB, cfg wire.Config, change ...func(*wire.Config)) *wire.Line {
	for _, c := range change {
		c(&cfg)
	}
	l := wire.New(cfg)
	t.Cleanup(func() {
		l.Close()
		if t.Failed() {
			for _, e := range l.Exchanges(-1) {
				t.Logf("unit %d  → %s  ← %s  %v %s", e.Unit, e.Sent, e.Received, e.Took, e.Error)
			}
		}
	})
	return l
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func listenUDP(t testing.TB) net.PacketConn {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return socket
}

// run runs a device's loop and sees to it that it ends with the test.
func run(t testing.TB, loop func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- loop(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "closed") && !errors.Is(err, io.EOF) {
				t.Errorf("device: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the device does not end")
		}
	})
}

// meter is a unit whose holding register n holds n+1000 (0 to 199), input
// register n n+2000; coil n is on where n is even, discrete n where n%3 == 0.
func meter() *server.Memory {
	m := &server.Memory{}
	for n := range 200 {
		m.Set(server.Holdings, n, uint16(n+1000))
		m.Set(server.Inputs, n, uint16(n+2000))
		m.Set(server.Coils, n, uint16(1-n%2))
		on := uint16(0)
		if n%3 == 0 {
			on = 1
		}
		m.Set(server.Discretes, n, on)
	}
	return m
}

// oneMeter is a device with a meter as unit 1.
func oneMeter() *server.Server { return &server.Server{Units: map[byte]server.Bank{1: meter()}} }

func read(address, quantity uint16) wire.Request {
	return wire.Request{Unit: 1, Function: modbus.FuncCodeReadHoldingRegisters, Address: address, Quantity: quantity}
}

func write(address, value uint16) wire.Request {
	return wire.Request{Unit: 1, Function: modbus.FuncCodeWriteSingleRegister, Address: address, Data: []byte{byte(value >> 8), byte(value)}}
}

// do is Do within a generous time.
func do(t testing.TB, l *wire.Line, req wire.Request) (wire.Reply, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	return l.Do(ctx, req)
}

// mustRead reads holding registers and checks every value.
func mustRead(t testing.TB, l *wire.Line, address, quantity uint16) {
	t.Helper()
	reply, err := do(t, l, read(address, quantity))
	if err != nil {
		t.Fatalf("read %d+%d: %v", address, quantity, err)
	}
	checkValues(t, address, quantity, reply.Data)
}

// eventually polls until a read is good, and checks that no value is ever wrong.
func eventually(t testing.TB, l *wire.Line, address, quantity uint16) {
	t.Helper()
	var last error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		reply, err := do(t, l, read(address, quantity))
		if err == nil {
			checkValues(t, address, quantity, reply.Data)
			return
		}
		last = err
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("read %d+%d never became good: %v", address, quantity, last)
}

func checkValues(t testing.TB, address, quantity uint16, data []byte) {
	t.Helper()
	if len(data) != 2*int(quantity) {
		t.Fatalf("read %d+%d: %d bytes", address, quantity, len(data))
	}
	for i := range int(quantity) {
		if got, want := int(data[2*i])<<8|int(data[2*i+1]), int(address)+i+1000; got != want {
			t.Fatalf("WRONG VALUE: register %d reads %d, holds %d", int(address)+i, got, want)
		}
	}
}

// TestMain lets the tests run side by side, for they mostly wait, and in the
// end looks for goroutines that were left behind.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		f.Value.Set("12")
	}
	code := m.Run()
	if code == 0 && !noneLeft() {
		code = 1
	}
	os.Exit(code)
}

// noneLeft waits until no goroutine of ours is left, and says which are.
func noneLeft() bool {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		buf := make([]byte, 1<<20)
		stacks := string(buf[:runtime.Stack(buf, true)])
		_, others, _ := strings.Cut(stacks, "\n\n") // the first is this one
		if !strings.Contains(others, "fieldgate/drivers/") {
			return true
		}
		if time.Now().After(deadline) {
			fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", others)
			return false
		}
	}
}

// each runs a test for every kind side by side.
func each(t *testing.T, kinds []wire.Kind, test func(t *testing.T, kind wire.Kind)) {
	together(t, kinds, wire.Kind.String, test)
}

// together runs a test for each item at the same time. They mostly wait, so
// t.Parallel, which counts processors, would be too careful.
func together[T any](t *testing.T, items []T, name func(T) string, test func(t *testing.T, item T)) {
	var wg sync.WaitGroup
	for _, item := range items {
		wg.Go(func() { t.Run(name(item), func(t *testing.T) { test(t, item) }) })
	}
	wg.Wait()
}

// nth makes a fault for some calls only.
func nth(f server.Fault, numbers ...int) func(server.Call) server.Fault {
	return func(c server.Call) server.Fault {
		for _, n := range numbers {
			if c.Number == n {
				return f
			}
		}
		return server.Fault{}
	}
}
