package bench

import (
	"context"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fieldgate/drivers/modbus/server"
)

// TestPollLimit has the figures of the standard's arithmetic: 8N1, and the
// turn-around on top.
func TestPollLimit(t *testing.T) {
	for _, c := range []struct {
		baud, n int
		want    float64 // ms, without the turn-around
	}{{9600, 1, 22.9}, {9600, 10, 41.7}, {9600, 125, 281.2}, {19200, 10, 20.8}, {115200, 1, 4.8}, {115200, 125, 26.3}} {
		got := ms(busLine{server.Pace{Baud: c.baud, Bits: 10}, c.n}.limit())
		if got < c.want-0.06 || got > c.want+0.06 {
			t.Errorf("%d Bd, %d registers: %.2f ms, want %.1f", c.baud, c.n, got, c.want)
		}
	}
}

// TestLines: each speed, the fastest behind an adapter, TCP.
func TestLines(t *testing.T) {
	var got []string
	for _, l := range (BusOptions{Bauds: []int{9600, 115200}, Quantities: []int{1, 10, 125}}).lines() {
		got = append(got, l.name()+" "+strconv.Itoa(l.quantity))
	}
	want := "9600 Bd 1, 9600 Bd 10, 9600 Bd 125, 115200 Bd 1, 115200 Bd 10, 115200 Bd 125, " +
		"115200 Bd FTDI 1, 115200 Bd FTDI 10, 115200 Bd FTDI 125, TCP 1, TCP 10"
	if strings.Join(got, ", ") != want {
		t.Errorf("lines %q", got)
	}
	ftdi := busLine{server.Pace{Baud: 115200, Bits: 10, Chunk: 62, Every: 16 * time.Millisecond}, 1}
	if got := ms(ftdi.limit()); got < 20 || got > 20.4 { // 8 characters, two silences, 16 ms
		t.Errorf("limit behind an adapter %.2f ms", got)
	}
}

func TestMasterOf(t *testing.T) {
	runs := []MasterResult{{Polls: 100, Seconds: 1, CPU: 0.01}, {Polls: 80, Seconds: 1, CPU: 0.016, Failed: 2}, {Polls: 90, Seconds: 1, CPU: 0.009}}
	got := masterOf("x", runs, 10*time.Millisecond)
	if got.Polls != 90 || got.CPU != 100 || got.Failed != 2 || got.Efficiency < 0.899 || got.Efficiency > 0.901 {
		t.Errorf("%+v", got)
	}
}

// TestMasters polls a device whose registers are right, then one whose last
// register is wrong: that is no poll.
func TestMasters(t *testing.T) {
	unit := &server.Memory{}
	for i := range 10 {
		unit.Set(server.Holdings, i, uint16(i+1000))
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server.Server{Units: map[byte]server.Bank{1: unit}}
	wg.Go(func() { _ = s.ServeTCP(ctx, ln) })
	for _, who := range []string{"fieldgate", "goburrow"} {
		o := MasterOptions{Who: who, Kind: "tcp", Target: ln.Addr().String(), Quantity: 10, For: 20 * time.Millisecond}
		r, err := Master(ctx, o)
		if err != nil || r.Polls < 1 || r.Failed != 0 || r.Seconds < 0.02 {
			t.Errorf("%s: %+v, %v", who, r, err)
		}
	}
	unit.Set(server.Holdings, 9, 7)
	if _, err := Master(ctx, MasterOptions{Who: "fieldgate", Kind: "tcp", Target: ln.Addr().String(), Quantity: 10, For: time.Millisecond}); err == nil {
		t.Error("a wrong value counts as a poll")
	}
	if _, err := Master(ctx, MasterOptions{Who: "nobody", Kind: "tcp"}); err == nil {
		t.Error("an unknown master polls")
	}
}

// TestOnOneProcessor: what is started meanwhile may use one processor, and
// this process all of its own again afterwards.
func TestOnOneProcessor(t *testing.T) {
	allowed := func() string {
		out, err := exec.Command("grep", "Cpus_allowed_list", "/proc/self/status").Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(strings.TrimPrefix(string(out), "Cpus_allowed_list:"))
	}
	before := allowed()
	undo, err := onOneProcessor()
	if err != nil {
		t.Fatal(err)
	}
	if got := allowed(); strings.ContainsAny(got, ",-") {
		t.Errorf("bound to %q", got)
	}
	undo()
	if got := allowed(); got != before {
		t.Errorf("afterwards %q, before %q", got, before)
	}
}
