package siege

import (
	"context"
	"fmt"
	"testing"
	"time"

	"fieldgate/cmd/fieldgate/internal/proctest"
	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
)

// send publishes n numbers as fast as they are taken and returns when all are
// acknowledged.
func (p *publisher) send(t *testing.T, n int) {
	t.Helper()
	p.every, p.size = 0, 64
	conn, err := client.Dial(t.Context(), p.cfg)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		if err := p.publish(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
	}
	proctest.Eventually(t, "everything is acknowledged", func() bool { return p.cfg.Session.Unfinished() == 0 })
	conn.Close()
	<-conn.Done()
}

// TestOfflineSession: 10,000 messages of QoS 1 and as many of QoS 2 for a
// client that is away, and 1,000 retained ones; the gateway is killed as soon
// as the last is acknowledged. Everything is there, once and in order.
func TestOfflineSession(t *testing.T) {
	g := newGateway(t, "min_free = \"1MiB\"", "")
	g.start()
	away := newSubscriber(t, g.port, "away", "line/#")
	keep(t, g.port, 1000)
	pubs := []*publisher{newPublisher(g.port, "one", mqtt.V311, 1), newPublisher(g.port, "two", mqtt.V5, 2)}
	for _, p := range pubs {
		p.cfg.MaxInflight = 0 // as many as the broker allows
		p.send(t, 10_000)
		g.kill()
		g.start()
	}
	away.until(t, 20_000)
	for _, p := range pubs {
		got := numbers(away.all(), p.topic)
		p.check(t, "away", got, true)
		inOrder(t, "away", p.topic, got)
	}
	checkKept(t, g.port, 1000)
}

// keep publishes retained messages and waits for their acknowledgements.
func keep(t *testing.T, port, n int) {
	t.Helper()
	conn, err := client.Dial(t.Context(), client.Config{URL: fmt.Sprintf("mqtt://127.0.0.1:%d", port), CleanStart: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	done := make(chan error, n)
	for i := range n {
		m := mqtt.Message{Topic: fmt.Sprintf("keep/%d", i), Payload: fmt.Append(nil, i), QoS: 1, Retain: true}
		if err := conn.PublishAsync(t.Context(), m, func(err error) { done <- err }); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// checkKept looks whether they are all there.
func checkKept(t *testing.T, port, n int) {
	t.Helper()
	got := make(chan string, 2*n)
	conn, err := client.Dial(t.Context(), client.Config{
		URL: fmt.Sprintf("mqtt://127.0.0.1:%d", port), CleanStart: true,
		OnMessage: func(m *mqtt.Message, ack func()) { got <- m.Topic + " " + string(m.Payload); ack() },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Subscribe(t.Context(), mqtt.Subscription{Filter: "keep/#", QoS: 1}); err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for i := range n {
		missing[fmt.Sprintf("keep/%d %d", i, i)] = true
	}
	deadline := time.After(proctest.Patience)
	for len(missing) > 0 {
		select {
		case m := <-got:
			delete(missing, m)
		case <-deadline:
			t.Errorf("%d of %d retained messages are missing", len(missing), n)
			return
		}
	}
}

// TestLargeSession: 200,000 messages for a client that is away cost memory for
// none of them and no processor; the gateway is back at once after a kill, and
// they come in order.
func TestLargeSession(t *testing.T) {
	total := 50_000
	if long() {
		total = 200_000
	}
	g := newGateway(t, "min_free = \"1MiB\"", "")
	g.start()
	away := newSubscriber(t, g.port, "away", "line/#")
	p := newPublisher(g.port, "one", mqtt.V5, 1)
	p.cfg.MaxInflight = 0
	p.send(t, 1000)
	before := g.usage()
	p.send(t, total-1000)
	grown := g.usage().rss - before.rss
	idle := g.usage()
	time.Sleep(3 * time.Second)
	spent := g.usage().cpu - idle.cpu
	g.kill()
	began := time.Now()
	g.start()
	conn, err := client.Dial(context.Background(), client.Config{URL: fmt.Sprintf("mqtt://127.0.0.1:%d", g.port), CleanStart: true})
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	conn.Close()
	again := g.usage().rss - before.rss
	t.Logf("%d messages: %d KiB more, after the restart %d KiB more than before; %v of processor time in 3 s; CONNACK %v after the start",
		total, grown>>10, again>>10, spent, took)
	if grown > 32<<20 || again > 32<<20 {
		t.Errorf("memory has grown by %d and %d KiB", grown>>10, again>>10)
	}
	if spent > 150*time.Millisecond {
		t.Errorf("an idle gateway takes %v of processor time in 3 s", spent)
	}
	if took > 10*time.Second { // a second on a machine of its own
		t.Errorf("CONNACK comes after %v", took)
	}
	away.until(t, total)
	got := numbers(away.all(), p.topic)
	p.check(t, "away", got, true)
	inOrder(t, "away", p.topic, got)
}
