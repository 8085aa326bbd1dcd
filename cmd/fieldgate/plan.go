package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fieldgate/configs"
	"fieldgate/drivers/modbus"
)

func (a *app) planCommand() *cobra.Command {
	return &cobra.Command{
		Use: "plan", Short: "Show the requests per device, bytes, predicted cycle time and bus load",
		Long: `Shows what the gateway will ask of each device, from the configuration alone: nothing is started. Times
assume 20 ms for a serial unit and 5 ms for a TCP device to answer.`,
		GroupID: "file", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			// What is missing on this machine does not change the requests.
			file, err := a.loadWith(exitProblems, configs.Options{SkipFiles: true})
			if err != nil {
				return err
			}
			plans := planBuses(file)
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

type busPlan struct {
	Bus      string        `json:"bus"`
	Load     float64       `json:"load"`     // share of line time
	CycleMs  float64       `json:"cycle_ms"` // if all were due at once
	Requests []requestPlan `json:"requests"`
}

type requestPlan struct {
	Device   string   `json:"device"`
	Unit     int      `json:"unit"`
	Function int      `json:"function"`
	First    string   `json:"first"`
	Modicon  string   `json:"modicon"`
	Count    int      `json:"count"`
	PollMs   float64  `json:"poll_ms"`
	Bytes    int      `json:"bytes"`
	Ms       float64  `json:"ms"`
	Load     float64  `json:"load"`
	Tags     []string `json:"tags"`

	forms string
	poll  time.Duration
}

func planBuses(file *configs.File) []busPlan {
	plans := []busPlan{}
	for _, b := range file.Bus {
		p := busPlan{Bus: b.Name, Requests: []requestPlan{}}
		for _, r := range modbus.Plan(b, file.Device) {
			first := r.First()
			p.Load += r.Load
			p.CycleMs += millis(r.Time)
			p.Requests = append(p.Requests, requestPlan{
				Device: r.Device, Unit: r.Unit, Function: r.Function, First: first.Wire(), Modicon: first.Modicon(), Count: r.Count,
				PollMs: millis(r.Poll), Bytes: r.Bytes, Ms: millis(r.Time), Load: r.Load, Tags: r.Tags, forms: first.Forms(), poll: r.Poll,
			})
		}
		plans = append(plans, p)
	}
	return plans
}

func (a *app) printPlan(plans []busPlan) {
	if len(plans) == 0 {
		a.say("the configuration has no [[bus]]")
	}
	for _, p := range plans {
		load := fmt.Sprintf("%.1f %%", p.Load*100)
		switch {
		case p.Load > 1:
			load = a.paintOn(a.out, red, load+" of the line: more than it can carry")
		case p.Load > 0.8:
			load = a.paintOn(a.out, yellow, load+" of the line")
		default:
			load += " of the line"
		}
		a.printf("%s   %d requests, %.0f ms if all are due at once, %s\n", a.paintOn(a.out, bold, p.Bus), len(p.Requests), p.CycleMs, load)
		w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "  DEVICE\tUNIT\tFC\tFIRST\tCOUNT\tTAGS\tPOLL\tBYTES\tTIME\tLOAD")
		for _, r := range p.Requests {
			fmt.Fprintf(w, "  %s\t%d\t%d\t%s\t%d\t%d\t%s\t%d\t%.1f ms\t%.2f %%\n",
				r.Device, r.Unit, r.Function, r.forms, r.Count, len(r.Tags), r.poll, r.Bytes, r.Ms, r.Load*100)
		}
		w.Flush()
	}
}
