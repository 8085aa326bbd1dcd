package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
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
// RTU line on a pseudo-terminal, then Modbus TCP on loopback. The simulated
// unit is in this process.
func Bus(ctx context.Context, o BusOptions) ([]BusResult, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	var out []BusResult
	for _, baud := range append(slices.Clone(o.Bauds), 0) {
		for _, n := range o.Quantities {
			if baud == 0 && n != o.Quantities[0] && len(out) > 0 && n != 10 {
				continue // the quantity hardly matters on loopback: the first and 10 are shown
			}
			o.Progress(lineName(baud) + ", " + strconv.Itoa(n) + " registers")
			r, err := o.line(ctx, baud, n)
			if err != nil {
				return out, fmt.Errorf("%s, %d registers: %w", lineName(baud), n, err)
			}
			out = append(out, r)
		}
	}
	return out, nil
}

func lineName(baud int) string {
	if baud == 0 {
		return "TCP"
	}
	return strconv.Itoa(baud) + " Bd"
}

// pollLimit is the time of a poll of n registers with a perfect master: 13+2n
// characters of 10 bits, two silences and the unit's own time (Modbus serial
// line V1.02 §2.5.1.1).
func pollLimit(baud, n int) time.Duration {
	char := 10 * time.Second / time.Duration(baud)
	silence := char * 7 / 2
	if baud > 19200 {
		silence = 1750 * time.Microsecond
	}
	return time.Duration(13+2*n)*char + 2*silence + turnaround
}

func (o BusOptions) line(ctx context.Context, baud, n int) (BusResult, error) {
	res := BusResult{Baud: baud, Quantity: n}
	names := []string{"fieldgate", "goburrow"}
	if o.Libmodbus != "" {
		names = append(names, "libmodbus")
	}
	runs := make([][]MasterResult, len(names))
	for range o.Rounds {
		for i, name := range names {
			r, err := o.turn(ctx, name, baud, n)
			if err != nil {
				return res, fmt.Errorf("%s: %w", name, err)
			}
			runs[i] = append(runs[i], r)
		}
	}
	var limit time.Duration
	if baud > 0 {
		limit = pollLimit(baud, n)
		res.Limit = ms(limit)
	}
	for i, name := range names {
		res.Masters = append(res.Masters, masterOf(name, runs[i], limit))
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
func (o BusOptions) turn(ctx context.Context, name string, baud, n int) (MasterResult, error) {
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
		s.Pace = server.Pace{Baud: baud, Bits: 10, Turnaround: turnaround, Exact: true}
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
