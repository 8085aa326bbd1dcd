package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fieldgate/configs"
	"fieldgate/drivers/modbus"
)

func (a *app) planCommand() *cobra.Command {
	return &cobra.Command{
		Use: "plan", Short: "Show the requests per device, bytes, predicted and measured cycle time and bus load",
		Long: `Shows what the gateway asks of each device, by the configuration: nothing is started. Predicted times assume 20 ms for
a serial unit and 5 ms for a TCP device to answer. Where the gateway runs, what it has measured stands beside them: the
median of the last answers, the share of the line since it began, and what went wrong. Requests with a * are those of
the running gateway only: it has learnt something, or runs with another configuration. Below the requests stands what
other settings of speed and max_gap would make of the line.`,
		GroupID: "file", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			// What is missing on this machine does not change the requests.
			file, err := a.loadWith(exitProblems, configs.Options{SkipFiles: true})
			if err != nil {
				return err
			}
			plans := planBuses(file)
			running, err := a.measuredPlans(c.Context())
			if err != nil {
				a.say("the running gateway cannot be asked: %v", err)
			}
			for i := range plans {
				plans[i].add(running)
			}
			if a.json {
				return a.printJSON(struct {
					Schema string    `json:"schema"`
					Buses  []busPlan `json:"buses"`
				}{"fieldgate.plan/1", plans})
			}
			a.printPlan(plans)
			return nil
		},
	}
}

// measuredPlans asks the running gateway, if there is one.
func (a *app) measuredPlans(ctx context.Context) ([]busPlan, error) {
	var running []busPlan
	err := a.ask(ctx, 5*time.Second, "GET", "/plan", nil, &running)
	var coded codeError
	if errors.As(err, &coded) && coded.code == exitNotRunning {
		return nil, nil
	}
	return running, err
}

type busPlan struct {
	Bus      string        `json:"bus"`
	Load     float64       `json:"load"`     // share of line time
	CycleMs  float64       `json:"cycle_ms"` // if all were due at once
	Requests []requestPlan `json:"requests"`
	Others   []alternative `json:"alternatives,omitempty"` // what other settings would make of it

	Running         bool    `json:"running"` // the gateway has the bus; the next two are measured
	MeasuredLoad    float64 `json:"measured_load,omitempty"`
	MeasuredCycleMs float64 `json:"measured_cycle_ms,omitempty"`
}

type alternative struct {
	Setting  string  `json:"setting"`
	Requests int     `json:"requests"`
	CycleMs  float64 `json:"cycle_ms"`
	Load     float64 `json:"load"`
}

type requestPlan struct {
	Device   string           `json:"device"`
	Unit     int              `json:"unit"`
	Function int              `json:"function"`
	First    string           `json:"first"`
	Hex      string           `json:"hex"`
	Modicon  string           `json:"modicon"`
	Count    int              `json:"count"`
	Poll     string           `json:"poll"`    // "1s", "once", "on_demand"
	PollMs   float64          `json:"poll_ms"` // 0 where there is no interval
	Bytes    int              `json:"bytes"`
	Ms       float64          `json:"ms"`
	Load     float64          `json:"load"`
	Tags     []string         `json:"tags"`
	Learnt   bool             `json:"only_running,omitempty"` // the file alone would not ask so
	Measured *requestMeasured `json:"measured,omitempty"`
}

// requestMeasured is what became of a request of the running gateway.
type requestMeasured struct {
	OK         uint64         `json:"ok"`
	Timeouts   uint64         `json:"timeouts"`
	CRC        uint64         `json:"crc"`
	Misfits    uint64         `json:"misfits"` // answers that did not fit the request
	Lost       uint64         `json:"lost"`    // with the line, or never sent
	Late       uint64         `json:"late"`
	Retries    uint64         `json:"retries"`
	Exceptions map[int]uint64 `json:"exceptions,omitempty"`
	P50ms      float64        `json:"p50_ms"`
	P95ms      float64        `json:"p95_ms"`
	MaxMs      float64        `json:"max_ms"`
	Load       float64        `json:"load"`
	Failure    string         `json:"failure,omitempty"` // the last one
}

// same reports that two plans ask for the same.
func (r *requestPlan) same(o *requestPlan) bool {
	return r.Device == o.Device && r.Function == o.Function && r.First == o.First && r.Count == o.Count && r.Poll == o.Poll
}

func planBuses(file *configs.File) []busPlan {
	plans := []busPlan{}
	for _, b := range file.Bus {
		p := busPlan{Bus: b.Name, Requests: []requestPlan{}}
		for _, r := range modbus.Plan(b, file.Device) {
			p.Load += r.Load
			if r.Poll != modbus.OnDemand {
				p.CycleMs += millis(r.Time)
			}
			p.Requests = append(p.Requests, planOf(r))
		}
		for _, o := range modbus.Alternatives(b, file.Device) {
			p.Others = append(p.Others, alternative{o.Setting, o.Requests, millis(o.Cycle), o.Load})
		}
		plans = append(plans, p)
	}
	return plans
}

func planOf(r modbus.PlannedRequest) requestPlan {
	first := r.First()
	return requestPlan{
		Device: r.Device, Unit: r.Unit, Function: r.Function, First: first.Wire(), Hex: first.Hex(), Modicon: first.Modicon(), Count: r.Count,
		Poll: r.Poll.String(), PollMs: millis(r.Poll.Every()), Bytes: r.Bytes, Ms: millis(r.Time), Load: r.Load, Tags: r.Tags,
	}
}

// plan serves what `fieldgate plan` puts beside its own: the requests of every
// bus that runs, with their counts.
func (g *gateway) plan() []busPlan {
	g.mu.Lock()
	names := []string{}
	for name, s := range g.buses {
		if s.bus != nil {
			names = append(names, name)
		}
	}
	g.mu.Unlock()
	slices.Sort(names)
	plans := []busPlan{}
	for _, name := range names {
		d, ok := g.modbusDriver(name)
		if !ok {
			continue
		}
		p := busPlan{Bus: name, Running: true, Requests: []requestPlan{}}
		for _, m := range d.Measured() {
			p.Requests = append(p.Requests, measuredOf(m))
		}
		plans = append(plans, p)
	}
	return plans
}

func measuredOf(m modbus.Measured) requestPlan {
	r := planOf(m.PlannedRequest)
	r.Measured = &requestMeasured{
		OK: m.OK, Timeouts: m.Timeouts, CRC: m.CRC, Misfits: m.Misfits, Lost: m.Lost, Late: m.Late, Retries: m.Retries,
		P50ms: millis(m.P50), P95ms: millis(m.P95), MaxMs: millis(m.Max), Load: m.Share, Failure: m.Failure,
	}
	for code, n := range m.Exceptions {
		if r.Measured.Exceptions == nil {
			r.Measured.Exceptions = map[int]uint64{}
		}
		r.Measured.Exceptions[int(code)] = n
	}
	return r
}

// add puts what the running gateway has measured beside a bus of the file.
func (p *busPlan) add(running []busPlan) {
	i := slices.IndexFunc(running, func(o busPlan) bool { return o.Bus == p.Bus })
	if i < 0 {
		return
	}
	p.Running = true
	for _, m := range running[i].Requests {
		p.MeasuredLoad += m.Measured.Load
		p.MeasuredCycleMs += m.Measured.P50ms
		at := slices.IndexFunc(p.Requests, func(r requestPlan) bool { return r.same(&m) })
		if at >= 0 {
			p.Requests[at].Measured = m.Measured
			continue
		}
		m.Learnt = true
		p.Requests = append(p.Requests, m)
	}
	slices.SortStableFunc(p.Requests, func(a, b requestPlan) int { return cmp.Compare(a.Device, b.Device) })
}

func (a *app) printPlan(plans []busPlan) {
	if len(plans) == 0 {
		a.say("the configuration has no [[bus]]")
	}
	for _, p := range plans {
		planned := len(slices.DeleteFunc(slices.Clone(p.Requests), func(r requestPlan) bool { return r.Learnt }))
		a.printf("%s   %d request%s, %.0f ms if all are due at once, %s\n", a.paintOn(a.out, bold, p.Bus), planned, plural(planned), p.CycleMs, a.loadText(p.Load))
		if p.Running {
			a.printf("%*s   measured: %.0f ms, %s\n", len([]rune(p.Bus)), "", p.MeasuredCycleMs, a.loadText(p.MeasuredLoad))
		}
		w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
		fmt.Fprint(w, "  DEVICE\tUNIT\tFC\tFIRST\tCOUNT\tTAGS\tPOLL\tBYTES\tTIME\tLOAD")
		if p.Running {
			fmt.Fprint(w, "\tMEASURED\tLOAD\tOK\tFAILED")
		}
		fmt.Fprintln(w)
		for _, r := range p.Requests {
			r.print(w, p.Running)
		}
		w.Flush()
		a.printAlternatives(p.Others)
	}
}

func (a *app) printAlternatives(list []alternative) {
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	for _, o := range list {
		fmt.Fprintf(w, "  with %s\t%d request%s\t%.0f ms\t%.1f %% of the line\n", o.Setting, o.Requests, plural(o.Requests), o.CycleMs, o.Load*100)
	}
	w.Flush()
}

func (r *requestPlan) print(w io.Writer, running bool) {
	mark := ""
	if r.Learnt {
		mark = "*"
	}
	fmt.Fprintf(w, "  %s%s\t%d\t%d\t%s  %s  %s\t%d\t%d\t%s\t%d\t%.1f ms\t%.2f %%", mark, r.Device, r.Unit, r.Function, r.First, r.Hex, r.Modicon,
		r.Count, len(r.Tags), r.Poll, r.Bytes, r.Ms, r.Load*100)
	switch m := r.Measured; {
	case m != nil:
		fmt.Fprintf(w, "\t%.1f ms\t%.2f %%\t%d\t%s", m.P50ms, m.Load*100, m.OK, m.failures())
	case running:
		fmt.Fprint(w, "\t-\t-\t-\t-")
	}
	fmt.Fprintln(w)
}

// failures is what went wrong, "-" where nothing did.
func (m *requestMeasured) failures() string {
	var text string
	say := func(n uint64, what string) {
		if n == 0 {
			return
		}
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%d %s", n, what)
	}
	say(m.Timeouts, "timeout")
	say(m.CRC, "crc")
	codes := []int{}
	for code := range m.Exceptions {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	for _, code := range codes {
		say(m.Exceptions[code], fmt.Sprintf("exception %d", code))
	}
	say(m.Misfits, "misfit")
	say(m.Lost, "lost")
	say(m.Late, "late")
	say(m.Retries, "repeats")
	return cmp.Or(text, "-")
}

func (a *app) loadText(share float64) string {
	load := fmt.Sprintf("%.1f %%", share*100)
	switch {
	case share > 1:
		return a.paintOn(a.out, red, load+" of the line: more than it can carry")
	case share > 0.8:
		return a.paintOn(a.out, yellow, load+" of the line")
	}
	return load + " of the line"
}
