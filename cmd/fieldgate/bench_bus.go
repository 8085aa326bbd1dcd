package main

import (
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fieldgate/cmd/fieldgate/internal/bench"
)

func (a *app) benchBusCommand() *cobra.Command {
	o := bench.BusOptions{Progress: a.benchProgress}
	c := &cobra.Command{
		Use: "bus", Short: "Polls/s of our Modbus master against the physical limit of the line", Args: cobra.NoArgs,
		Long: `Polls a simulated unit on a line that keeps the times of its speed (8N1, a turn-around of 5 ms), as fast as it goes,
and the same with goburrow's master: efficiency is the share of the polls that the line allows,
(13 + 2 × registers) characters, two silences and the turn-around. The fastest speed also behind an FTDI adapter that
hands over 62 characters at a time and the rest after 16 ms. Then Modbus TCP on loopback.
--libmodbus names a program made from cmd/fieldgate/internal/bench/peer/libmodbus.c, as scripts/bench makes it.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkBus(o); err != nil {
				return usageError{err}
			}
			results, err := bench.Bus(c.Context(), o)
			if err != nil {
				return err
			}
			return a.printBus(results)
		},
	}
	f := c.Flags()
	f.IntSliceVar(&o.Bauds, "baud", []int{9600, 19200, 115200}, "speeds of the RTU line")
	f.IntSliceVar(&o.Quantities, "registers", []int{1, 10, 125}, "registers of a poll")
	f.IntVar(&o.Rounds, "rounds", 1, "rounds by turns; medians are printed")
	f.DurationVar(&o.For, "for", 4*time.Second, "time of each master in each round")
	f.StringVar(&o.Libmodbus, "libmodbus", "", "`program` that polls with libmodbus")
	return c
}

func checkBus(o bench.BusOptions) error {
	if o.Rounds < 1 || o.For <= 0 || len(o.Quantities) == 0 {
		return fmt.Errorf("--rounds, --for and --registers must not be empty")
	}
	for _, b := range o.Bauds {
		if b < 300 || b > 4_000_000 {
			return fmt.Errorf("--baud %d: 300 to 4000000", b)
		}
	}
	for _, n := range o.Quantities {
		if n < 1 || n > 125 {
			return fmt.Errorf("--registers %d: 1 to 125 fit into one poll", n)
		}
	}
	if o.Libmodbus != "" {
		if _, err := os.Stat(o.Libmodbus); err != nil {
			return fmt.Errorf("--libmodbus: %w", err)
		}
	}
	return nil
}

func (a *app) printBus(results []bench.BusResult) error {
	if a.json {
		return a.printJSON(struct {
			Schema string            `json:"schema"`
			Lines  []bench.BusResult `json:"lines"`
		}{"fieldgate.bench-bus/1", results})
	}
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "line\tregisters\tlimit\tmaster\tpolls/s\tefficiency\tCPU/poll\tfailed\t")
	for _, r := range results {
		line, limit := "TCP", "-"
		if r.Baud > 0 {
			line, limit = fmt.Sprintf("%d Bd", r.Baud), fmt.Sprintf("%.1f ms", r.Limit)
		}
		if r.FTDI {
			line += " FTDI"
		}
		for _, m := range r.Masters {
			efficiency := "-"
			if r.Baud > 0 {
				efficiency = fmt.Sprintf("%.0f %%", 100*m.Efficiency)
			}
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%.1f\t%s\t%.0f µs\t%d\t\n", line, r.Quantity, limit, m.Name, m.Polls, efficiency, m.CPU, m.Failed)
		}
	}
	return w.Flush()
}

// benchMasterCommand is one master of `bench bus`, in a process of its own.
func (a *app) benchMasterCommand() *cobra.Command {
	var o bench.MasterOptions
	c := &cobra.Command{
		Use: "master", Short: "One master of bench bus", Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := bench.Master(c.Context(), o)
			if err != nil {
				return err
			}
			return a.printJSON(r)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Who, "who", "fieldgate", "fieldgate or goburrow")
	f.StringVar(&o.Kind, "kind", "rtu", "rtu or tcp")
	f.StringVar(&o.Target, "target", "", "path or host:port")
	f.IntVar(&o.Baud, "baud", 9600, "speed of an RTU line, 8N1")
	f.IntVar(&o.Quantity, "registers", 10, "holding registers from 0 on")
	f.DurationVar(&o.For, "for", time.Second, "how long")
	return c
}
