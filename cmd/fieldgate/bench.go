package main

import (
	"time"

	"github.com/spf13/cobra"

	"fieldgate/cmd/fieldgate/internal/bench"
)

func (a *app) benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "bench", Short: "Measure what this board can do", GroupID: "run", Args: cobra.NoArgs,
		Long: `Measures the broker, the bridge, the queue, the buses or the whole gateway on this machine. What is measured runs in a process
of its own with a configuration in a temporary directory; a running gateway is not touched. docs/performance.md
explains the figures.`,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.benchBrokerCommand(), a.benchBridgeCommand(), a.benchQueueCommand(), a.benchBusCommand(), a.benchDevicesCommand(), a.benchGatewayCommand(), a.benchWireCommand(), a.benchMasterCommand())
	return c
}

// benchProgress tells a person what is measured at the moment.
func (a *app) benchProgress(step string) { a.say("%s …", step) }

func (a *app) benchGatewayCommand() *cobra.Command {
	o := bench.GatewayOptions{Progress: a.benchProgress}
	c := &cobra.Command{
		Use: "gateway", Short: "Start-up, memory, processor time and latency of `run` with simulated devices", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := bench.Gateway(c.Context(), o)
			if err != nil {
				return err
			}
			return a.printGateway(r)
		},
	}
	f := c.Flags()
	f.IntVar(&o.Devices, "devices", 10, "simulated Modbus TCP devices")
	f.IntVar(&o.Tags, "tags", 20, "tags of each device; half of them change at every poll")
	f.IntVar(&o.Starts, "starts", 5, "how often the start is timed")
	f.DurationVar(&o.Settle, "settle", 10*time.Second, "before memory and processor time are read")
	f.DurationVar(&o.Watch, "for", 30*time.Second, "how long processor time is summed")
	f.IntVar(&o.Changes, "changes", 100, "changes of a register whose way is timed")
	return c
}

func (a *app) printGateway(r bench.GatewayResult) error {
	if a.json {
		return a.printJSON(struct {
			Schema string `json:"schema"`
			bench.GatewayResult
		}{"fieldgate.bench-gateway/1", r})
	}
	a.printf("devices, tags        %d, %d\n", r.Devices, r.Tags)
	a.printf("start to first poll  median %.0f ms, max %.0f ms of %d starts\n", r.FirstPoll.Median, r.FirstPoll.Max, r.FirstPoll.Runs)
	a.printf("start to all polled  median %.0f ms, max %.0f ms\n", r.AllPolled.Median, r.AllPolled.Max)
	a.printf("memory               %.1f MiB resident, %.1f MiB of it not the program's file\n", mib(r.Idle.RSS), mib(r.Idle.Anon))
	a.printf("processor            %.2f %% of one, at %.0f messages/s\n", r.CPU, r.Messages)
	for _, l := range r.Latency {
		a.printf("poll %-6s change to subscriber  %v\n", l.Poll, l.FromChange)
		a.printf("            answer to subscriber  %v\n", l.FromAnswer)
	}
	return nil
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
