package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"fieldgate/bridge/netlab"
	"fieldgate/cmd/fieldgate/internal/bench"
)

func (a *app) benchWireCommand() *cobra.Command {
	w := bench.Wire{Progress: a.benchProgress}
	c := &cobra.Command{
		Use: "wire", Short: "Bytes on the link per sample, reconnect and month of silence", Args: cobra.NoArgs,
		Long: `A gateway in a network namespace of its own sends the values of a simulated meter to a mosquitto in another, over TLS
with certificates on both sides, in every format at the same time, each over a cable of its own. What is counted are
the packets of IP, both directions, at the gateway's end of the cable. Needs root, iproute2 and mosquitto.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if w.Batches < 0 || w.Keepalive < 10*time.Second || w.Idle < w.Keepalive {
				return usageError{fmt.Errorf("--batches is at least 0, --keepalive at least 10s, --idle at least --keepalive")}
			}
			if err := netlab.Missing(); err != nil {
				return err
			}
			if !netlab.Owned() {
				code, err := netlab.Own()
				if err != nil || code == 0 {
					return err
				}
				return codeError{code: code}
			}
			if err := netlab.Settle(); err != nil {
				return err
			}
			var err error
			if w.Mosquitto == "" {
				if w.Mosquitto, err = bench.FindMosquitto(); err != nil {
					return err
				}
			}
			r, err := w.Run(c.Context())
			if err != nil {
				return err
			}
			return a.printWire(r)
		},
	}
	f := c.Flags()
	f.IntVar(&w.Batches, "batches", 10, "of 60 samples, counted for each format; 0: only reconnect and silence")
	f.DurationVar(&w.Idle, "idle", time.Minute, "how long the idle link is watched")
	f.DurationVar(&w.Keepalive, "keepalive", 10*time.Second, "of the idle link")
	f.StringVar(&w.Mosquitto, "mosquitto", "", "`path` of mosquitto; default: Debian's")
	return c
}

func (a *app) printWire(r bench.WireResult) error {
	if a.json {
		return a.printJSON(struct {
			Schema string `json:"schema"`
			bench.WireResult
		}{"fieldgate.bench-wire/1", r})
	}
	if len(r.Formats) > 0 {
		a.printf("%-11s %-8s %5s %9s %22s %15s\n", "format", "compress", "batch", "messages", "topic+payload/sample", "on the wire")
	}
	for _, f := range r.Formats {
		a.printf("%-11s %-8s %5d %9d %20.1f B %13.2f B\n", f.Format, f.Compress, f.Batch, f.Messages, f.Payload, f.Bytes)
	}
	for _, e := range r.Reconnects {
		a.printf("reconnect, certificates on both sides, %-27s %5d B\n", e.What, e.Bytes)
	}
	i := r.Idle
	a.printf("idle: %d B in %.0f s, %d pings after %.0f s of silence: %.0f B each\n", i.Bytes, i.Seconds, i.Pings, i.Keepalive, i.PerPing)
	a.printf("a month at the longest silence of the adaptive keep-alive: %.0f B × 30 d / %v = %.2f MB\n", i.PerPing, bench.LongestSilence, i.Month/1e6)
	return nil
}
