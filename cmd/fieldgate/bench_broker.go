package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"fieldgate/cmd/fieldgate/internal/bench"
	"fieldgate/mqtt"
)

// brokerBench is what `bench broker` was asked for.
type brokerBench struct {
	load    bench.Load
	qos     uint8
	persist bool
	clients int
	hold    time.Duration
	dir     string
}

func (a *app) benchBrokerCommand() *cobra.Command {
	b := brokerBench{load: bench.Load{Quiet: 5 * time.Second, Linger: 200 * time.Millisecond}}
	c := &cobra.Command{
		Use: "broker", Short: "A broker under load: messages/s, processor time per message, latency, memory; nothing lost", Args: cobra.NoArgs,
		Long: `Runs one scenario against a broker and counts what was lost, repeated or came out of order:
  fanin   20 publishers, one subscriber        fanout  one publisher, 50 subscribers
  pairs   10 publishers, each with its own     rate    as pairs, at 1000 messages/s or --rate: latency
  idle    --clients connections that do nothing: memory of each
Without --addr our own broker is started in another process. With --addr, --pid names the broker's process on this
machine, for its processor time and memory. Publishers send no more than --outstanding messages ahead of their delivery:
without that, the limits of queues decide the result.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := b.check(); err != nil {
				return usageError{err}
			}
			return a.benchBroker(c.Context(), b)
		},
	}
	f := c.Flags()
	f.StringVar(&b.load.Address, "addr", "", "`host:port` of the broker; default: our own is started")
	f.IntVar(&b.load.PID, "pid", 0, "process of the broker at --addr")
	f.StringVar(&b.load.Username, "user", "", "user name")
	f.StringVar(&b.load.Password, "password", "", "password")
	f.StringVar(&b.load.Scenario, "scenario", "fanin", "fanin, fanout, pairs, idle or rate")
	f.Uint8Var(&b.qos, "qos", 0, "QoS of publishers and subscribers")
	f.IntVar(&b.load.Payload, "payload", 64, "bytes, at least 20")
	f.Int64Var(&b.load.Count, "count", 200_000, "messages published in all")
	f.Int64Var(&b.load.Outstanding, "outstanding", 40, "messages of a publisher that are not delivered yet; 0: no limit")
	f.Float64Var(&b.load.Rate, "rate", 0, "messages per second of all publishers together; 0: as fast as possible")
	f.BoolVar(&b.persist, "persist", false, "our own broker keeps sessions and retained messages on disk")
	f.StringVar(&b.dir, "dir", "", "where our own broker keeps them; default: where temporary files go")
	f.IntVar(&b.clients, "clients", 1000, "idle: connections")
	f.DurationVar(&b.hold, "hold", 5*time.Second, "idle: before and while it is measured")
	return c
}

// check refuses what cannot be measured and fills in what a scenario implies.
func (b *brokerBench) check() error {
	switch {
	case b.qos > 2:
		return fmt.Errorf("--qos %d: 0, 1 or 2", b.qos)
	case b.load.Payload < 20 || b.load.Payload > 200_000:
		return fmt.Errorf("--payload %d: 20 to 200000 bytes; each message carries its number and time", b.load.Payload)
	case b.load.Count < 1 || b.load.Outstanding < 0 || b.load.Rate < 0 || b.clients < 1:
		return fmt.Errorf("--count and --clients are at least 1, --outstanding and --rate not negative")
	case b.load.PID != 0 && b.load.Address == "":
		return fmt.Errorf("--pid without --addr: name the broker that it is the process of")
	}
	b.load.QoS = mqtt.QoS(b.qos)
	switch b.load.Scenario {
	case "fanin", "fanout", "pairs", "idle":
	case "rate":
		b.load.Scenario = "pairs"
		if b.load.Rate == 0 {
			b.load.Rate = 1000
		}
	default:
		return fmt.Errorf("--scenario %q: one of fanin, fanout, pairs, idle, rate", b.load.Scenario)
	}
	return nil
}

func (a *app) benchBroker(ctx context.Context, b brokerBench) error {
	if b.load.Address == "" {
		own, err := bench.StartBroker(ctx, b.dir, b.persist, 1000)
		if err != nil {
			return fmt.Errorf("start our broker: %w", err)
		}
		defer own.Close()
		b.load.Address, b.load.PID = own.Address, own.PID()
	}
	if b.load.Scenario == "idle" {
		r, err := bench.Idle(ctx, b.load.Address, b.load.PID, b.clients, b.hold)
		if err != nil {
			return err
		}
		return a.printIdle(r)
	}
	r, err := b.load.Run(ctx)
	if err != nil {
		return err
	}
	return a.printLoad(r)
}

func (a *app) printIdle(r bench.IdleResult) error {
	if a.json {
		return a.printJSON(struct {
			Schema string `json:"schema"`
			bench.IdleResult
		}{"fieldgate.bench-idle/1", r})
	}
	a.printf("%d idle clients: %.2f KiB each (%.1f MiB before, %.1f MiB with them), processor %.2f %%\n",
		r.Clients, r.PerClient/1024, mib(r.Before.RSS), mib(r.After.RSS), r.CPU)
	return nil
}

func (a *app) printLoad(r bench.LoadResult) error {
	if a.json {
		if err := a.printJSON(struct {
			Schema string `json:"schema"`
			bench.LoadResult
		}{"fieldgate.bench-broker/1", r}); err != nil {
			return err
		}
	} else {
		a.printf("%s QoS %d, %d bytes, %d publishers, %d subscribers\n", r.Scenario, r.QoS, r.Payload, r.Publishers, r.Subscribers)
		a.printf("  delivered %d in %.2f s: %.0f messages/s\n", r.Delivered, r.Seconds, r.PerSecond)
		a.printf("  lost %d, repeated %d, out of order %d\n", r.Lost, r.Repeated, r.OutOfOrder)
		a.printf("  latency %v\n", r.Latency)
		if r.Memory != nil {
			a.printf("  broker: %.2f µs of processor per delivered message, %.1f MiB\n", r.CPUPer, mib(r.Memory.RSS))
		}
		for _, p := range r.Problems {
			a.say("%s %s", a.paint(red, "problem:"), p)
		}
	}
	if !r.OK() {
		return codeError{exitProblems, nil}
	}
	return nil
}
