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
	"testing"
	"time"

	"fieldgate/drivers/modbus/wire"
	"fieldgate/drivers/port/porttest"
	"fieldgate/scripts/peertest"
)

// TestPeers talks to slaves of other makers, over each line they know.
func TestPeers(t *testing.T) {
	t.Parallel()
	t.Run("libmodbus", func(t *testing.T) {
		slave := buildLibmodbus(t)
		t.Run("rtu", func(t *testing.T) {
			ours, theirs := porttest.Cable(t)
			start(t, slave, "rtu", theirs)
			conversation(t, newLine(t, wire.Config{Kind: wire.RTU, Port: ours, Baud: 115200, Timeout: patience}))
		})
		t.Run("tcp", func(t *testing.T) {
			addr, number := freePort(t)
			start(t, slave, "tcp", number)
			conversation(t, newLine(t, wire.Config{Kind: wire.TCP, Address: addr, Timeout: patience}))
		})
	})
	t.Run("pymodbus", func(t *testing.T) {
		python := peertest.NeedPython(t, "pymodbus.server")
		for framer, kind := range map[string]wire.Kind{"socket": wire.TCP, "rtu": wire.RTUOverTCP} {
			t.Run(kind.String(), func(t *testing.T) {
				addr, number := freePort(t)
				start(t, python, "testdata/slave.py", framer, number)
				conversation(t, newLine(t, wire.Config{Kind: kind, Address: addr, Timeout: patience, ReconnectMin: 20 * time.Millisecond, ReconnectMax: 100 * time.Millisecond}))
			})
		}
	})
}

// conversation uses every function that both slaves know.
func conversation(t *testing.T, l *wire.Line) {
	t.Helper()
	waitFor(t, "the slave to listen", func() bool {
		req := read(0, 1)
		req.Timeout = time.Second
		_, err := do(t, l, req)
		return err == nil
	})
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
		{"coils written", wire.Request{Function: 1, Address: 100, Quantity: 10}, []byte{0xFF, 1}},
		{"write registers", wire.Request{Function: 16, Address: 151, Quantity: 2, Data: []byte{1, 2, 0, 0x12}}, []byte{0, 151, 0, 2}},
		{"registers written", wire.Request{Function: 3, Address: 150, Quantity: 3}, []byte{1, 2, 1, 2, 0, 0x12}},
		{"mask write", wire.Request{Function: 0x16, Address: 152, Data: []byte{0, 0xF2, 0, 0x25}}, []byte{0, 152, 0, 0xF2, 0, 0x25}},
		{"masked", wire.Request{Function: 3, Address: 152, Quantity: 1}, []byte{0, 0x17}}, // the example of Modbus V1.1b3 §6.16
		{"read and write", wire.Request{Function: 0x17, Address: 153, Quantity: 1, Data: []byte{0, 153, 0, 1, 9, 9}}, []byte{9, 9}},
		{"the most registers", wire.Request{Function: 3, Address: 0, Quantity: 125}, nil},
	} {
		step.req.Unit = 1
		reply, err := do(t, l, step.req)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if step.want != nil && !bytes.Equal(reply.Data, step.want) {
			t.Errorf("%s: got % x, want % x", step.name, reply.Data, step.want)
		}
	}
	_, err := do(t, l, read(1000, 1))
	var ex *wire.Exception
	if !errors.As(err, &ex) || ex.Code != wire.IllegalAddress {
		t.Errorf("beyond the map: %v", err)
	}
	for n := range uint16(50) {
		mustRead(t, l, n, 1)
	}
	if s := l.Stats(); s.Timeouts+s.CRC+s.Misfits != before.Timeouts+before.CRC+before.Misfits {
		t.Errorf("stats %+v, before %+v", s, before)
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

// start runs a slave until the test ends.
func start(t *testing.T, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // killed
		if t.Failed() {
			t.Logf("%s says: %s", name, &out)
		}
	})
}

func freePort(t *testing.T) (addr, number string) {
	t.Helper()
	ln := listen(t)
	ln.Close()
	addr = ln.Addr().String()
	return addr, strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
}
