package wire_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fieldgate/drivers/modbus/wire"
	"fieldgate/scripts/peertest"
)

// peer is a slave of another maker on one kind of line.
type peer struct {
	name    string
	kind    wire.Kind
	command func(t *testing.T, place string) []string // place is a port number or a path
	lacks   []byte                                    // functions it answers with exception 1
}

// peers are all of them. What they need is looked for when a test runs.
var peers = []peer{
	{"libmodbus", wire.TCP, libmodbus("tcp"), nil},
	{"libmodbus", wire.RTU, libmodbus("rtu"), nil},
	{"pymodbus", wire.TCP, pymodbus("socket"), nil},
	{"pymodbus", wire.RTUOverTCP, pymodbus("rtu"), nil},
	{"pymodbus", wire.RTU, pymodbus("rtu"), nil},
	{"pymodbus", wire.ASCII, pymodbus("ascii"), nil},
	{"modbus-serial", wire.TCP, modbusSerial("tcp"), []byte{0x16, 0x17}},
	{"modbus-serial", wire.RTU, modbusSerial("rtu"), []byte{0x16, 0x17}},
}

// TestPeers talks to slaves of other makers, over each line they know:
// functions and exceptions, then answers that are cut, then a restart.
func TestPeers(t *testing.T) {
	t.Parallel()
	for _, p := range peers {
		t.Run(p.name+" "+p.kind.String(), func(t *testing.T) {
			t.Parallel()
			far := newFarEnd(t, p)
			far.start()
			t.Run("functions", func(t *testing.T) { conversation(t, far.line(t), p.lacks) })
			t.Run("cuts", func(t *testing.T) { cuts(t, far) })
			t.Run("restarts", func(t *testing.T) { restarts(t, far) })
		})
	}
}

func libmodbus(kind string) func(*testing.T, string) []string {
	return func(t *testing.T, place string) []string { return []string{buildLibmodbus(t), kind, place} }
}

func pymodbus(framer string) func(*testing.T, string) []string {
	return func(t *testing.T, place string) []string {
		return []string{peertest.NeedPython(t, "pymodbus.server"), "testdata/slave.py", framer, place}
	}
}

func modbusSerial(kind string) func(*testing.T, string) []string {
	return func(t *testing.T, place string) []string {
		return []string{peertest.Need(t, "node"), "testdata/slave.js", peertest.NodeModules(t, "modbus-serial"), kind, place}
	}
}

// conversation uses every function that slaves know.
func conversation(t *testing.T, l *wire.Line, lacks []byte) {
	t.Helper()
	answering(t, l)
	before := l.Stats()
	for _, step := range []struct {
		name string
		req  wire.Request
		want []byte
	}{
		{"coils", wire.Request{Function: 1, Address: 0, Quantity: 10}, []byte{0x55, 0x01}},
		{"discretes", wire.Request{Function: 2, Address: 0, Quantity: 9}, []byte{0x49, 0x00}},
		{"holdings", wire.Request{Function: 3, Address: 100, Quantity: 2}, []byte{0x04, 0x4C, 0x04, 0x4D}},
		{"inputs", wire.Request{Function: 4, Address: 100, Quantity: 1}, []byte{0x08, 0x34}},
		{"write coil", wire.Request{Function: 5, Address: 1, Data: []byte{0xFF, 0}}, []byte{0, 1, 0xFF, 0}},
		{"coil written", wire.Request{Function: 1, Address: 1, Quantity: 1}, []byte{1}},
		{"write register", wire.Request{Function: 6, Address: 150, Data: []byte{1, 2}}, []byte{0, 150, 1, 2}},
		{"write coils", wire.Request{Function: 15, Address: 100, Quantity: 9, Data: []byte{0xFF, 1}}, []byte{0, 100, 0, 9}},
		{"coils written", wire.Request{Function: 1, Address: 100, Quantity: 9}, []byte{0xFF, 1}},
		{"write registers", wire.Request{Function: 16, Address: 151, Quantity: 2, Data: []byte{1, 2, 0, 0x12}}, []byte{0, 151, 0, 2}},
		{"registers written", wire.Request{Function: 3, Address: 150, Quantity: 3}, []byte{1, 2, 1, 2, 0, 0x12}},
		{"mask write", wire.Request{Function: 0x16, Address: 152, Data: []byte{0, 0xF2, 0, 0x25}}, []byte{0, 152, 0, 0xF2, 0, 0x25}},
		{"masked", wire.Request{Function: 3, Address: 152, Quantity: 1}, []byte{0, 0x17}}, // the example of Modbus V1.1b3 §6.16
		{"read and write", wire.Request{Function: 0x17, Address: 153, Quantity: 1, Data: []byte{0, 153, 0, 1, 9, 9}}, []byte{9, 9}},
		{"the most registers", wire.Request{Function: 3, Address: 0, Quantity: 125}, nil},
	} {
		step.req.Unit = 1
		reply, err := do(t, l, step.req)
		if bytes.IndexByte(lacks, step.req.Function) >= 0 {
			wantException(t, step.name, err, wire.IllegalFunction)
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if step.name == "masked" && len(lacks) > 0 {
			continue // it was not masked
		}
		if step.want != nil && !bytes.Equal(reply.Data, step.want) {
			t.Errorf("%s: got % x, want % x", step.name, reply.Data, step.want)
		}
	}
	_, err := do(t, l, read(1000, 1))
	wantException(t, "beyond the map", err, wire.IllegalAddress)
	_, err = do(t, l, write(1000, 1))
	wantException(t, "write beyond the map", err, wire.IllegalAddress)
	for n := range uint16(50) {
		mustRead(t, l, n, 1)
	}
	if s := l.Stats(); s.Timeouts+s.CRC+s.Misfits != before.Timeouts+before.CRC+before.Misfits {
		t.Errorf("stats %+v, before %+v", s, before)
	}
}

func wantException(t *testing.T, what string, err error, code byte) {
	t.Helper()
	var ex *wire.Exception
	if !errors.As(err, &ex) || ex.Code != code {
		t.Errorf("%s: got %v, want exception %d", what, err, code)
	}
}

// answering waits until the slave has started.
func answering(t *testing.T, l *wire.Line) {
	t.Helper()
	waitFor(t, "the slave to answer", func() bool { return tryRead(t, l, 0) })
}

// tryRead reads one register with little patience, and checks its value.
func tryRead(t *testing.T, l *wire.Line, address uint16) bool {
	t.Helper()
	req := read(address, 1)
	req.Timeout = 500 * time.Millisecond
	reply, err := do(t, l, req)
	if err == nil {
		checkValues(t, address, 1, reply.Data)
	}
	return err == nil
}

// cuts breaks off answers after every number of bytes: no value is wrong, a
// write is never reported as done without its answer, and the line recovers.
func cuts(t *testing.T, far *farEnd) {
	l := far.line(t)
	answering(t, l)
	for n := range 12 {
		far.cut(n)
		tryRead(t, l, uint16(n))
		waitFor(t, "a good answer after a cut", func() bool { return tryRead(t, l, uint16(n+20)) })
	}
	far.cut(3)
	req := write(199, 1199) // what it holds already
	req.Timeout = 500 * time.Millisecond
	if _, err := do(t, l, req); err == nil {
		t.Error("a write whose answer was cut is reported as done")
	}
	waitFor(t, "a good answer after a cut", func() bool { return tryRead(t, l, 42) })
}

// restarts kills the slave while it is polled, and starts it again.
func restarts(t *testing.T, far *farEnd) {
	l := far.line(t)
	answering(t, l)
	for range 2 {
		far.kill()
		waitFor(t, "the loss to be noticed", func() bool { return !tryRead(t, l, 7) })
		far.start()
		waitFor(t, "the slave to be back", func() bool { return tryRead(t, l, 8) })
		mustRead(t, l, 30, 5)
	}
}

func buildLibmodbus(t *testing.T) string {
	t.Helper()
	gcc := peertest.Need(t, "gcc")
	flags, err := exec.Command(peertest.Need(t, "pkg-config"), "--cflags", "--libs", "libmodbus").Output()
	if err != nil {
		t.Fatalf("libmodbus-dev is not installed; scripts/peers installs it: %v", err)
	}
	slave := filepath.Join(t.TempDir(), "slave")
	args := append([]string{"-Wall", "-Werror", "-o", slave, "testdata/slave.c"}, strings.Fields(string(flags))...)
	if out, err := exec.Command(gcc, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return slave
}

// start runs a program until stop, or until the test ends.
func start(t *testing.T, command []string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			_ = cmd.Wait() // killed
			if t.Failed() {
				t.Logf("%s says: %s", strings.Join(command, " "), &out)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// freePort is a port for a program that is started later.
func freePort(t *testing.T) (addr, number string) {
	t.Helper()
	number = strconv.Itoa(peertest.FreePort(t))
	return net.JoinHostPort("127.0.0.1", number), number
}
