package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
)

// crashes is how often the broker is killed.
const crashes = 30

// TestBrokerKilled kills a broker-only gateway at random moments while ten
// publishers wait for their acknowledgements, five of QoS 1 and five of QoS 2.
// Nothing that was acknowledged is missing afterwards, for a session that was
// away all the time and among what is retained; what there is keeps the order
// of each publisher; and what was published with QoS 2 is there once.
func TestBrokerKilled(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	file := writeFile(t, filepath.Join(dir, "gateway.toml"), fmt.Sprintf(`[gateway]
id = "crash"

[web]
bind = ""

[broker]
max_queued = 1000000

[[broker.listener]]
name = "local"
bind = "127.0.0.1:%d"
allow_anonymous = true
max_connects = 100000

[buffer]
dir = "%s/state"
`, port, dir))
	url := fmt.Sprintf("mqtt://127.0.0.1:%d", port)
	gateway := start(t, fieldgateBinary(t), "run", "-c", file)
	waitPort(t, port)

	away := client.Config{URL: url, ClientID: "away", SessionExpiry: 3600, Session: client.NewSession()}
	conn, err := client.Dial(t.Context(), away)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Subscribe(t.Context(), mqtt.Subscription{Filter: "crash/+", QoS: 2, RetainHandling: 2}); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	<-conn.Done()

	ctx, stop := context.WithCancel(t.Context())
	publishers := make([]*crashPublisher, 10)
	var running sync.WaitGroup
	for i := range publishers {
		publishers[i] = newCrashPublisher(url, i, mqtt.QoS(1+i%2))
		running.Go(func() { publishers[i].run(ctx, t) })
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range crashes {
		time.Sleep(time.Duration(random.IntN(250)) * time.Millisecond)
		gateway.stop(syscall.SIGKILL)
		gateway = start(t, fieldgateBinary(t), "run", "-c", file)
		waitPort(t, port)
	}
	stop()
	running.Wait()

	got := collect(t, away)
	retained := collect(t, client.Config{URL: url, ClientID: "later", CleanStart: true})
	total := 0
	for _, p := range publishers {
		total += len(p.acknowledged)
		p.check(t, got[p.topic], retained[p.topic])
	}
	t.Logf("%d messages were acknowledged", total)
	if total < 10*crashes {
		t.Errorf("only %d messages were acknowledged", total)
	}
	gateway.stop(syscall.SIGINT)
}

// crashPublisher publishes numbers, one after another, and remembers which were
// acknowledged. One of QoS 1 gives up what was not when the broker went; one of
// QoS 2 keeps its session and ends each exchange.
type crashPublisher struct {
	topic string
	cfg   client.Config
	qos   mqtt.QoS
	next  int

	mu           sync.Mutex
	acknowledged []int
}

func newCrashPublisher(url string, i int, qos mqtt.QoS) *crashPublisher {
	p := &crashPublisher{topic: fmt.Sprintf("crash/%d", i), qos: qos}
	p.cfg = client.Config{URL: url, ClientID: fmt.Sprintf("publisher-%d", i), CleanStart: true}
	if qos == 2 {
		p.cfg.CleanStart, p.cfg.SessionExpiry, p.cfg.Session = false, 3600, client.NewSession()
	}
	return p
}

func (p *crashPublisher) unfinished() int {
	if p.cfg.Session == nil {
		return 0
	}
	return p.cfg.Session.Unfinished()
}

func (p *crashPublisher) run(ctx context.Context, t *testing.T) {
	end := time.Time{}
	for ctx.Err() == nil || p.unfinished() > 0 {
		if ctx.Err() != nil && end.IsZero() {
			end = time.Now().Add(patience)
		}
		if !end.IsZero() && time.Now().After(end) {
			t.Errorf("%s: %d exchanges are never ended", p.topic, p.unfinished())
			return
		}
		conn, err := client.Dial(context.Background(), p.cfg)
		if err != nil {
			time.Sleep(10 * time.Millisecond) // it is down; the port refuses at once
			continue
		}
		for ctx.Err() == nil && p.publish(conn) {
		}
		for begin := time.Now(); p.unfinished() > 0 && conn.Err() == nil && time.Since(begin) < patience; {
			time.Sleep(5 * time.Millisecond)
		}
		conn.Close()
		<-conn.Done()
	}
}

// publish sends the next number and waits for the end of its exchange, or of
// the connection; then it returns false.
func (p *crashPublisher) publish(conn *client.Conn) bool {
	p.next++
	n := p.next
	over := make(chan struct{})
	m := mqtt.Message{Topic: p.topic, Payload: fmt.Append(nil, n), QoS: p.qos, Retain: true}
	err := conn.PublishAsync(context.Background(), m, func(err error) {
		if err == nil {
			p.mu.Lock()
			p.acknowledged = append(p.acknowledged, n)
			p.mu.Unlock()
		}
		close(over)
	})
	if err != nil {
		return false
	}
	select {
	case <-over:
	case <-conn.Done():
	}
	return conn.Err() == nil
}

// check compares with what came. A number that was not acknowledged may be
// there or not.
func (p *crashPublisher) check(t *testing.T, got, retained []int) {
	t.Helper()
	there := map[int]bool{}
	for i, n := range got {
		if i > 0 && n <= got[i-1] {
			t.Errorf("%s: %d comes after %d", p.topic, n, got[i-1])
		}
		there[n] = true
	}
	for _, n := range p.acknowledged {
		if !there[n] {
			t.Errorf("%s: %d was acknowledged and is missing", p.topic, n)
		}
	}
	if last := p.acknowledged; len(last) > 0 && (len(retained) == 0 || retained[0] < last[len(last)-1]) {
		t.Errorf("%s: retained is %v, %d was acknowledged", p.topic, retained, last[len(last)-1])
	}
}

// collect connects and takes what waits, up to a message of its own that it
// sends behind all of it.
func collect(t *testing.T, cfg client.Config) map[string][]int {
	t.Helper()
	got := map[string][]int{}
	end := make(chan struct{})
	cfg.OnMessage = func(m *mqtt.Message, ack func()) {
		ack()
		if string(m.Payload) == "end" {
			select {
			case <-end:
			default:
				close(end)
			}
			return
		}
		n := 0
		fmt.Sscan(string(m.Payload), &n)
		got[m.Topic] = append(got[m.Topic], n)
	}
	conn, err := client.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.CleanStart {
		if _, err := conn.Subscribe(t.Context(), mqtt.Subscription{Filter: "crash/+", QoS: 1}); err != nil {
			t.Fatal(err)
		}
	} else if !conn.Limits().SessionPresent {
		t.Error("the session that was away is gone")
	}
	if err := conn.Publish(t.Context(), mqtt.Message{Topic: "crash/end", Payload: []byte("end"), QoS: 1}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-end:
	case <-time.After(patience):
		t.Fatal("the end does not come")
	}
	conn.Close()
	<-conn.Done()
	return got
}
