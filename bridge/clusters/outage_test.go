package clusters

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"fieldgate/bridge"
	"fieldgate/bridge/clusters/rabbitmq"
	"fieldgate/buffer"
	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
)

// patience covers the start of two Erlang machines on a loaded board.
const patience = 5 * time.Minute

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in %s: %s", patience, what)
		}
	}
}

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
	t     *testing.T
	local *local
	next  int
}

func newGateway(t *testing.T, urls ...string) *gateway {
	t.Helper()
	b, err := buffer.Open(buffer.Config{Dir: t.TempDir(), MinFree: 1 << 20, Commit: conf.Duration(50 * time.Millisecond)}, buffer.Options{GatewayID: "gw"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	if err := b.Upstreams([]string{"up"}); err != nil {
		t.Fatal(err)
	}
	cursor, err := b.Cursor("up")
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{t: t, local: &local{}}
	g.Bridge, err = bridge.New(bridge.Config{Name: "up", URLs: urls, Version: 4, StateTopic: "off", Drain: bridge.Drain{Order: "strict"},
		Connect: bridge.Connect{BackoffMin: conf.Duration(100 * time.Millisecond), BackoffMax: conf.Duration(time.Second)},
		Route:   []bridge.Route{{From: "acme/#"}}},
		bridge.Options{Gateway: "gw", Base: "fieldgate/gw", Buffer: b, Cursor: cursor, Broker: g.local})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bridge.NewHub(g.local, b, []*bridge.Bridge{g.Bridge}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return g
}

// publish returns when all are on the disk, or acknowledged by the upstream.
func (g *gateway) publish(count int) {
	for range count {
		m := mqtt.Message{Topic: "acme/n", Payload: []byte(strconv.Itoa(g.next)), QoS: 1}
		if err := g.local.Publish(context.Background(), m); err != nil {
			g.t.Error(err)
		}
		g.next++
	}
}

func (g *gateway) drained() {
	g.t.Helper()
	until(g.t, fmt.Sprintf("everything is acknowledged; %+v", g.Stats()), func() bool { return g.Stats().Backlog.Messages == 0 })
}

// consumer is an application at the upstream with a session that stays.
type consumer struct {
	t    *testing.T
	mu   sync.Mutex
	got  []int
	seen map[int]bool
}

// attach logs in until it works, and again for the same session.
func (c *consumer) attach(url string) {
	c.t.Helper()
	until(c.t, "the consumer is there", func() bool {
		conn, err := client.Dial(c.t.Context(), client.Config{URL: url, Version: mqtt.V311, ClientID: "consumer", SessionExpiry: 3600, KeepAlive: time.Minute,
			ConnectTimeout: 5 * time.Second, ReceiveMaximum: 65535, OnMessage: c.take})
		if err != nil {
			return false
		}
		if _, err := conn.Subscribe(c.t.Context(), mqtt.Subscription{Filter: "acme/#", QoS: 1}); err != nil {
			conn.Close()
			return false
		}
		c.t.Cleanup(func() { conn.Close() })
		return true
	})
}

func (c *consumer) take(m *mqtt.Message, ack func()) {
	defer ack()
	n, err := strconv.Atoi(string(m.Payload))
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.t.Errorf("payload %q", m.Payload)
		return
	}
	if c.seen == nil {
		c.seen = map[int]bool{}
	}
	c.got, c.seen[n] = append(c.got, n), true
}

// check: everything has come, first times in order, repeats bounded.
func (c *consumer) check(n, repeats int) {
	c.t.Helper()
	until(c.t, fmt.Sprintf("all %d have arrived", n), func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.seen) >= n
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	highest := -1
	first := map[int]bool{}
	for _, v := range c.got {
		if !first[v] && v < highest {
			c.t.Errorf("%d came after %d", v, highest)
			break
		}
		first[v], highest = true, max(highest, v)
	}
	if more := len(c.got) - len(c.seen); more > repeats {
		c.t.Errorf("%d repeats, at most %d are due", more, repeats)
	}
}

// most is how many messages can be in flight, and so repeated, at one cut: to
// the upstream, and from there to the consumer.
const most = 2 * 1024

// TestRabbitCluster: one of two clustered nodes is killed under load; the
// gateway goes over to the other, and nothing that it has taken is lost.
func TestRabbitCluster(t *testing.T) {
	t.Parallel()
	r := rabbitmq.New(t, rabbitmq.Place{}, "a", "b")
	for _, n := range r.Nodes {
		n.Start()
	}
	a, b := r.Nodes[0], r.Nodes[1]
	a.Ready()
	b.Ready()
	r.Together()
	c := &consumer{t: t}
	c.attach(b.URL())
	g := newGateway(t, a.URL(), b.URL())
	until(t, "online at the first", func() bool { s := g.Stats(); return s.State == bridge.StateOnline && s.URL == a.URL() })
	g.publish(500)
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.publish(1500)
	}()
	until(t, "the load runs", func() bool { return g.Stats().Acked > 600 })
	a.Kill()
	<-done
	until(t, "online at the second", func() bool { s := g.Stats(); return s.State == bridge.StateOnline && s.URL == b.URL() })
	g.drained()
	c.check(g.next, most)
}

// TestRabbitOutage: a single node is killed under load and started again.
func TestRabbitOutage(t *testing.T) {
	t.Parallel()
	r := rabbitmq.New(t, rabbitmq.Place{}, "single")
	n := r.Nodes[0]
	n.Start()
	n.Ready()
	c := &consumer{t: t}
	c.attach(n.URL())
	g := newGateway(t, n.URL())
	g.publish(500)
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.publish(1500)
	}()
	until(t, "the load runs", func() bool { return g.Stats().Acked > 600 })
	n.Kill()
	<-done
	g.publish(500) // while it is away
	if s := g.Stats(); s.State == bridge.StateOnline || s.Backlog.Messages < 500 {
		t.Errorf("%s, %d wait", s.State, s.Backlog.Messages)
	}
	n.Start()
	n.Ready()
	c.attach(n.URL())
	g.drained()
	c.check(g.next, most)
}
