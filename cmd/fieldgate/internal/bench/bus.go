package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"fieldgate/drivers/modbus/server"
	"fieldgate/drivers/port/pty"
)

// turnaround is what the simulated unit takes before it answers, as a quick
// meter does.
const turnaround = 5 * time.Millisecond

// BusOptions say what Bus tries.
type BusOptions struct {
	Bauds      []int
	Quantities []int
	Rounds     int
	For        time.Duration // for each master in each round
	Libmodbus  string        // path of the program made from peer/libmodbus.c; "": without it
	Progress   func(string)
}

// BusResult is what masters reach on one line: medians of all rounds.
type BusResult struct {
	Baud     int         `json:"baud,omitempty"` // 0: Modbus TCP on loopback
	FTDI     bool        `json:"ftdi,omitempty"` // behind an adapter that hands over 62 characters at a time, the rest after 16 ms
	Quantity int         `json:"registers"`
	Limit    float64     `json:"limit_ms,omitempty"` // the shortest poll that the line allows
	Masters  []BusMaster `json:"masters"`
}

// BusMaster is one of the masters.
type BusMaster struct {
	Name       string  `json:"name"`
	Polls      float64 `json:"polls_per_s"`
	Efficiency float64 `json:"efficiency,omitempty"` // polls/s × limit; above 1 only for who does not keep the silences
	CPU        float64 `json:"cpu_us_per_poll"`
	Failed     int64   `json:"failed"`
}

// Bus lets the masters poll by turns, each in a process of its own: a paced
// RTU line on a pseudo-terminal, then Modbus TCP on loopback, all on one
// processor. The simulated unit is in this process.
func Bus(ctx context.Context, o BusOptions) ([]BusResult, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	var out []BusResult
	for _, line := range o.lines() {
		o.Progress(line.name() + ", " + strconv.Itoa(line.quantity) + " registers")
		r, err := o.line(ctx, line)
		if err != nil {
			return out, fmt.Errorf("%s, %d registers: %w", line.name(), line.quantity, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// busLine is one line of the table.
type busLine struct {
	pace     server.Pace // zero: Modbus TCP on loopback
	quantity int
}

// lines are all of them: the speeds, the fastest behind an FTDI adapter with
// its default timer, and TCP. There the quantity hardly matters: the first and
// 10 are shown.
func (o BusOptions) lines() (all []busLine) {
	paces := make([]server.Pace, 0, len(o.Bauds)+2)
	for _, baud := range o.Bauds {
		paces = append(paces, server.Pace{Baud: baud, Bits: 10, Turnaround: turnaround, Exact: true})
	}
	if len(o.Bauds) > 0 {
		ftdi := server.Pace{Baud: slices.Max(o.Bauds), Bits: 10, Turnaround: turnaround, Exact: true}
		ftdi.Chunk, ftdi.Every = 62, 16*time.Millisecond
		paces = append(paces, ftdi)
	}
	for _, pace := range append(paces, server.Pace{}) {
		for i, n := range o.Quantities {
			if pace.Baud > 0 || i == 0 || n == 10 {
				all = append(all, busLine{pace, n})
			}
		}
	}
	return all
}

func (l busLine) name() string {
	switch {
	case l.pace.Baud == 0:
		return "TCP"
	case l.pace.Chunk > 0:
		return strconv.Itoa(l.pace.Baud) + " Bd FTDI"
	}
	return strconv.Itoa(l.pace.Baud) + " Bd"
}

// limit is the time of a poll of n registers with a perfect master: 13+2n
// characters of 10 bits, two silences and the unit's own time (Modbus serial
// line V1.02 §2.5.1.1), and what an adapter holds the last of them back.
func (l busLine) limit() time.Duration {
	if l.pace.Baud == 0 {
		return 0
	}
	char := l.pace.CharTime()
	silence := char * 7 / 2
	if l.pace.Baud > 19200 {
		silence = 1750 * time.Microsecond
	}
	return 8*char + silence + l.pace.Turnaround + l.pace.Answer(5+2*l.quantity) + silence
}

func (o BusOptions) line(ctx context.Context, line busLine) (BusResult, error) {
	res := BusResult{Baud: line.pace.Baud, FTDI: line.pace.Chunk > 0, Quantity: line.quantity}
	names := []string{"fieldgate", "goburrow"}
	if o.Libmodbus != "" {
		names = append(names, "libmodbus")
	}
	if line.pace.Baud == 0 {
		undo, err := onOneProcessor()
		if err != nil {
			return res, err
		}
		defer undo()
	}
	runs := make([][]MasterResult, len(names))
	for range o.Rounds {
		for i, name := range names {
			r, err := o.turn(ctx, name, line)
			if err != nil {
				return res, fmt.Errorf("%s: %w", name, err)
			}
			runs[i] = append(runs[i], r)
		}
	}
	res.Limit = ms(line.limit())
	for i, name := range names {
		res.Masters = append(res.Masters, masterOf(name, runs[i], line.limit()))
	}
	return res, nil
}

func masterOf(name string, runs []MasterResult, limit time.Duration) BusMaster {
	m := BusMaster{Name: name}
	var rates, cpu []float64
	for _, r := range runs {
		rates = append(rates, float64(r.Polls)/r.Seconds)
		cpu = append(cpu, r.CPU*1e6/float64(max(r.Polls, 1)))
		m.Failed += r.Failed
	}
	m.Polls, m.CPU = median(rates), median(cpu)
	m.Efficiency = m.Polls * limit.Seconds()
	return m
}

// median is the middle one; of an even number, the mean of the two.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// turn serves a fresh line for one master and lets it poll.
func (o BusOptions) turn(ctx context.Context, name string, on busLine) (MasterResult, error) {
	baud, n := on.pace.Baud, on.quantity
	serveCtx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	unit := &server.Memory{}
	for i := range n {
		unit.Set(server.Holdings, i, uint16(i+1000))
	}
	s := &server.Server{Units: map[byte]server.Bank{1: unit}}
	target, kind := "", "rtu"
	if baud > 0 {
		line, err := pty.Open()
		if err != nil {
			return MasterResult{}, err
		}
		defer line.Close()
		s.Pace = on.pace
		wg.Go(func() { _ = s.ServeRTU(serveCtx, line) }) // a failure shows as polls that fail
		target = line.Path()
	} else {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return MasterResult{}, err
		}
		wg.Go(func() { _ = s.ServeTCP(serveCtx, ln) })
		target, kind = ln.Addr().String(), "tcp"
	}
	seconds := strconv.FormatFloat(o.For.Seconds(), 'f', 3, 64)
	if name != "libmodbus" {
		self, err := os.Executable()
		if err != nil {
			return MasterResult{}, err
		}
		return master(ctx, o.For, self, "bench", "master", "--who", name, "--kind", kind, "--target", target,
			"--baud", strconv.Itoa(baud), "--registers", strconv.Itoa(n), "--for", seconds+"s")
	}
	place, number := target, strconv.Itoa(baud)
	if kind == "tcp" {
		var err error
		if place, number, err = net.SplitHostPort(target); err != nil {
			return MasterResult{}, err
		}
	}
	return master(ctx, o.For, o.Libmodbus, kind, place, number, strconv.Itoa(n), seconds)
}

// master runs a program that polls and prints a MasterResult.
func master(ctx context.Context, d time.Duration, name string, args ...string) (r MasterResult, err error) {
	ctx, cancel := context.WithTimeout(ctx, d+upLimit)
	defer cancel()
	var talk tail
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = &talk
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(runtime.NumCPU())) // whatever it is bound to
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("%w: %s", err, talk.String())
	}
	if err := json.Unmarshal(bytes.TrimSpace(out), &r); err != nil {
		return r, fmt.Errorf("%s says %q: %w", name, strings.TrimSpace(string(out)), err)
	}
	if r.Seconds <= 0 {
		return r, fmt.Errorf("%s polled for %v s", name, r.Seconds)
	}
	return r, nil
}
