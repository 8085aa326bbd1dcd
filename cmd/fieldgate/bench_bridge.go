package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"fieldgate/cmd/fieldgate/internal/bench"
	"fieldgate/mqtt"
)

func (a *app) benchBridgeCommand() *cobra.Command {
	b := bench.Bridge{Progress: a.benchProgress}
	var qos uint8
	c := &cobra.Command{
		Use: "bridge", Short: "Messages/s and processor time per message forwarded, beside mosquitto's own bridge", Args: cobra.NoArgs,
		Long: `Twenty publishers send to a forwarder, which sends everything on to a mosquitto, where a subscriber counts: what
was lost, repeated or came out of order. Forwarders are, by turns, our gateway (its queue on disk, as always) and a
mosquitto with a bridge; all processes run on this machine. Only the forwarder's processor time counts.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if qos > 2 || b.Payload < 20 || b.Payload > 200_000 || b.Count < 1 || b.Rounds < 1 {
				return usageError{fmt.Errorf("--qos is 0 to 2, --payload 20 to 200000, --count and --rounds at least 1")}
			}
			b.QoS = mqtt.QoS(qos)
			var err error
			if b.Mosquitto == "" {
				if b.Mosquitto, err = bench.FindMosquitto(); err != nil {
					return err
				}
			}
			r, err := b.Run(c.Context())
			if err != nil {
				return err
			}
			return a.printBridge(b, r)
		},
	}
	f := c.Flags()
	f.Uint8Var(&qos, "qos", 1, "QoS of publishers, bridge and subscriber")
	f.IntVar(&b.Payload, "payload", 64, "bytes, at least 20")
	f.Int64Var(&b.Count, "count", 100_000, "messages in each run")
	f.IntVar(&b.Rounds, "rounds", 3, "runs of each forwarder")
	f.StringVar(&b.Dir, "dir", "", "where our queue is written; default: where temporary files go")
	f.StringVar(&b.Mosquitto, "mosquitto", "", "`path` of mosquitto; default: Debian's")
	return c
}

func (a *app) printBridge(b bench.Bridge, r bench.BridgeResult) error {
	if a.json {
		if err := a.printJSON(struct {
			Schema string `json:"schema"`
			bench.BridgeResult
		}{"fieldgate.bench-bridge/1", r}); err != nil {
			return err
		}
	} else {
		a.printf("QoS %d, %d bytes, %d messages a run, median of %d\n", b.QoS, b.Payload, b.Count, b.Rounds)
		for _, side := range []struct {
			name string
			runs []bench.LoadResult
		}{{"fieldgate", r.Ours}, {"mosquitto", r.Mosquitto}} {
			a.printf("  %-10s %8.0f messages/s   %6.2f µs of processor per message\n", side.name, bench.PerSecond(side.runs), bench.CPUPer(side.runs))
			for _, l := range side.runs {
				for _, p := range l.Problems {
					a.say("%s %s: %s", a.paint(red, "problem:"), side.name, p)
				}
			}
		}
		a.printf("  ratio of processor time %.2f (by round", r.Ratio)
		for _, x := range r.Ratios {
			a.printf(" %.2f", x)
		}
		a.printf(")\n")
	}
	if !r.OK() {
		return codeError{exitProblems, nil}
	}
	return nil
}
