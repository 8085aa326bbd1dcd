package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"fieldgate/cmd/fieldgate/internal/bench"
)

func (a *app) benchDevicesCommand() *cobra.Command {
	o := bench.DevicesOptions{Progress: a.benchProgress}
	c := &cobra.Command{
		Use: "devices", Short: "Very many Modbus TCP devices on one gateway: missed polls, processor time, memory, allocations", Args: cobra.NoArgs,
		Long: `Runs a gateway with everything by default and as many Modbus TCP devices, each with its own connection, which are
simulated in another process and polled once a second; half of the values change at every poll. Exit code 1 if a poll
was missed.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.Devices < 1 || o.Tags < 1 || o.Tags > 1000 || o.Watch < time.Second {
				return usageError{fmt.Errorf("--devices and --tags are 1 or more, --tags at most 1000, --for at least 1s")}
			}
			r, err := bench.Devices(c.Context(), o)
			if err != nil {
				return err
			}
			return a.printManyDevices(r)
		},
	}
	f := c.Flags()
	f.IntVar(&o.Devices, "devices", 1000, "simulated Modbus TCP devices")
	f.IntVar(&o.Tags, "tags", 20, "tags of each device")
	f.DurationVar(&o.Settle, "settle", 10*time.Second, "before anything is counted")
	f.DurationVar(&o.Watch, "for", 30*time.Second, "how long it is")
	return c
}

func (a *app) printManyDevices(r bench.DevicesResult) error {
	if a.json {
		if err := a.printJSON(struct {
			Schema string `json:"schema"`
			bench.DevicesResult
		}{"fieldgate.bench-devices/1", r}); err != nil {
			return err
		}
	} else {
		a.printf("devices, tags  %d, %d\n", r.Devices, r.Tags)
		a.printf("polls          %.0f in %.1f s, %.0f missed, %.0f requests lost\n", r.Polls, r.Seconds, r.Missed, r.Failures)
		a.printf("messages       %.0f/s\n", r.Messages)
		a.printf("processor      %.1f %% of one, %.0f µs per poll (the simulator: %.1f %%)\n", r.CPU, r.PerPoll, r.SimCPU)
		a.printf("memory         %.1f MiB resident, %.1f MiB of it not the program's file, peak %.1f MiB\n", mib(r.Memory.RSS), mib(r.Memory.Anon), mib(r.Memory.Peak))
		a.printf("allocations    %.1f per poll, %.0f bytes\n", r.Allocs, r.Bytes)
		a.printf("open files     %d\n", r.Files)
	}
	if r.Missed > 0 {
		return withCode(exitProblems, "%.0f polls were missed", r.Missed)
	}
	return nil
}
