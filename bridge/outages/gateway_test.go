package outages

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"fieldgate/bridge"
	"fieldgate/buffer"
	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

// local is the gateway's broker: it hands what is published to the hub.
type local struct {
	take func(context.Context, []mqtt.Message) error
}

func (l *local) Handle(_ string, h func(context.Context, []mqtt.Message) error) error {
	l.take = h
	return nil
}

func (l *local) Publish(ctx context.Context, msgs ...mqtt.Message) error {
	if l.take == nil {
		return nil
	}
	return l.take(ctx, msgs)
}

// gateway is a queue on disk with a bridge.
type gateway struct {
	*bridge.Bridge
	t     testing.TB
	local *local
	stop  func()
	sent  [2]int // on either route
}

// newGateway makes one with a route each for acme/a, acme/b and acme/live; run
// starts it.
func newGateway(t testing.TB, cfg bridge.Config) *gateway {
	t.Helper()
	b, err := buffer.Open(buffer.Config{Dir: t.TempDir(), MinFree: 1 << 20, Commit: conf.Duration(50 * time.Millisecond)}, buffer.Options{GatewayID: "gw"})
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	must(t, b.Upstreams([]string{"up"}))
	cursor, err := b.Cursor("up")
	must(t, err)
	cfg.Name, cfg.StateTopic = "up", "off"
	if cfg.Connect.BackoffMin == 0 {
		cfg.Connect = bridge.Connect{BackoffMin: conf.Duration(100 * time.Millisecond), BackoffMax: conf.Duration(500 * time.Millisecond), Timeout: conf.Duration(5 * time.Second), Spread: cfg.Connect.Spread}
	}
	cfg.Route = []bridge.Route{{From: "acme/a/#", To: "up/{topic}"}, {From: "acme/b/#", To: "up/{topic}"}, {From: "acme/live/#", To: "up/{topic}"}}
	g := &gateway{t: t, local: &local{}}
	g.Bridge, err = bridge.New(cfg, bridge.Options{Gateway: "gw", Base: "fieldgate/gw", Buffer: b, Cursor: cursor, Broker: g.local})
	must(t, err)
	_, err = bridge.NewHub(g.local, b, []*bridge.Bridge{g.Bridge})
	must(t, err)
	return g
}

// run starts the bridge; stop, or the end of the test, ends it.
func (g *gateway) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	g.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			g.t.Errorf("Run: %v", err)
		}
	})
	g.t.Cleanup(func() { g.stop() })
}

// publish is what a poll brings: the next value of each route.
func (g *gateway) publish(count int) {
	g.t.Helper()
	for range count {
		for i, topic := range []string{"acme/a/n", "acme/b/n"} {
			m := mqtt.Message{Topic: topic, Payload: []byte(strconv.Itoa(g.sent[i])), QoS: mqtt.QoS(g.sent[i] % 2)}
			if err := g.local.Publish(g.t.Context(), m); err != nil {
				g.t.Errorf("publish: %v", err)
			}
			g.sent[i]++
		}
	}
}

func (g *gateway) online() {
	g.t.Helper()
	until(g.t, fmt.Sprintf("online; it is %+v", g.Stats()), func() bool { return g.Stats().State == bridge.StateOnline })
}

func (g *gateway) drained() {
	g.t.Helper()
	until(g.t, "everything is acknowledged", func() bool { return g.Stats().Backlog.Messages == 0 })
}
