package siege

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"fieldgate/cmd/fieldgate/internal/proctest"
	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
)

// publisher publishes numbers to a topic of its own, a few at a time, and
// keeps its session: what was not acknowledged when the gateway went is sent
// again as the standard wants it.
type publisher struct {
	topic  string
	cfg    client.Config
	qos    mqtt.QoS
	size   int           // of the payload, noise that does not compress
	every  time.Duration // between two messages
	forget bool          // does not remember what was acknowledged
	mu     sync.Mutex
	sent   int
	began  map[int]time.Time // when each was published
	acked  map[int]time.Time // and acknowledged
	lost   []error           // sessions that were lost, refusals
}

func newPublisher(port int, name string, v mqtt.Version, qos mqtt.QoS) *publisher {
	return &publisher{
		topic: "line/" + name, qos: qos, size: 200, every: 3 * time.Millisecond, began: map[int]time.Time{}, acked: map[int]time.Time{},
		cfg: client.Config{
			URL: fmt.Sprintf("mqtt://127.0.0.1:%d", port), ClientID: name, Version: v, SessionExpiry: 1 << 20,
			Session: client.NewSession(), MaxInflight: 8,
		},
	}
}

// run publishes until ctx ends, and then until everything is acknowledged.
func (p *publisher) run(ctx context.Context, t *testing.T) {
	deadline := time.Time{}
	for ctx.Err() == nil || p.cfg.Session.Unfinished() > 0 {
		if ctx.Err() != nil && deadline.IsZero() {
			deadline = time.Now().Add(proctest.Patience)
		}
		if !deadline.IsZero() && time.Now().After(deadline) {
			t.Errorf("%s: %d messages are never acknowledged", p.topic, p.cfg.Session.Unfinished())
			return
		}
		conn, err := client.Dial(context.Background(), p.cfg)
		if err != nil {
			time.Sleep(10 * time.Millisecond) // it is down; the port refuses at once
			continue
		}
		p.talk(ctx, conn)
		conn.Close()
		<-conn.Done()
	}
}

// talk uses one connection.
func (p *publisher) talk(ctx context.Context, conn *client.Conn) {
	for ctx.Err() == nil {
		if p.publish(ctx, conn) != nil {
			return
		}
		select {
		case <-conn.Done():
			return
		case <-time.After(p.every):
		}
	}
	for p.cfg.Session.Unfinished() > 0 {
		select {
		case <-conn.Done():
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// publish sends the next number.
func (p *publisher) publish(ctx context.Context, conn *client.Conn) error {
	noise := make([]byte, p.size/2)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	p.mu.Lock()
	n := p.sent + 1
	if !p.forget {
		p.began[n] = time.Now()
	}
	p.mu.Unlock()
	m := mqtt.Message{Topic: p.topic, QoS: p.qos, Payload: fmt.Appendf(nil, "%d %s", n, hex.EncodeToString(noise))}
	err := conn.PublishAsync(ctx, m, func(err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if err != nil {
			p.lost = append(p.lost, err)
			return
		}
		if !p.forget {
			p.acked[n] = time.Now()
		}
	})
	if err == nil {
		p.mu.Lock()
		p.sent = n
		p.mu.Unlock()
	}
	return err
}

// numbers sorts what an upstream got by publisher, in order of arrival.
func numbers(got []receipt, topic string) (list []int) {
	for _, r := range got {
		if r.topic == topic {
			list = append(list, number(r.text))
		}
	}
	return list
}

func number(payload string) (n int) {
	fmt.Sscan(payload, &n)
	return n
}

// check compares with what a receiver got: nothing that was acknowledged is
// missing, and each number is there once where exact says so.
func (p *publisher) check(t *testing.T, who string, got []int, exact bool) {
	t.Helper()
	p.mu.Lock()
	lost := p.lost
	p.mu.Unlock()
	for _, err := range lost {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: a message ended with: %v", p.topic, err)
		}
	}
	times := map[int]int{}
	twice := []int{}
	for _, n := range got {
		if times[n]++; times[n] == 2 {
			twice = append(twice, n)
		}
	}
	if missing := p.missing(got); len(missing) > 0 {
		t.Errorf("%s: %d of %d acknowledged messages of %s are missing: %v", who, len(missing), len(p.acked), p.topic, head(missing))
	}
	if exact && len(twice) > 0 {
		t.Errorf("%s: %d messages of %s came twice: %v", who, len(twice), p.topic, head(twice))
	}
}

// missing are the numbers that were acknowledged and are not among got.
func (p *publisher) missing(got []int) (list []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	there := make(map[int]bool, len(got))
	for _, n := range got {
		there[n] = true
	}
	for n := range p.acked {
		if !there[n] {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list
}

func head(list []int) []int { return list[:min(len(list), 20)] }
