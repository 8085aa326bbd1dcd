package bridge

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

// TestPairOfMosquittos: two brokers, one is killed under load and started
// again. What the gateway has taken arrives at one of them, in order at each,
// and the gateway goes back to the first, or stays, as failover says.
func TestPairOfMosquittos(t *testing.T) {
	for _, failover := range []string{"primary", "sticky"} {
		t.Run(failover, func(t *testing.T) {
			a, b := newMosquitto(t, "allow_anonymous true"), newMosquitto(t, "allow_anonymous true")
			atA, atB := a.watcher("acme/#"), b.consumer("acme/#")
			r := newRig(t, Config{URLs: []string{"mqtt://" + a.addr, "mqtt://" + b.addr}, Failover: failover, Drain: Drain{Order: "strict"}, Route: []Route{{From: "acme/#"}}})
			r.Bridge.primaryCheck = 100 * time.Millisecond
			r.run()
			r.online()
			n := 0
			publish := func(count int) {
				for range count {
					r.publish(counted(n, 1)) // returns when it is on the disk or acknowledged
					n++
				}
			}
			publish(500)
			done := make(chan struct{})
			go func() {
				defer close(done)
				publish(1000)
			}()
			until(t, "the load runs", func() bool { return r.Stats().Acked > 600 })
			a.stop(syscall.SIGKILL)
			<-done
			until(t, "it has gone over", func() bool { s := r.Stats(); return s.State == StateOnline && s.URL == "mqtt://"+b.addr })
			r.drained()
			a.start()
			back := a.consumer("acme/#")
			if failover == "primary" {
				until(t, "it has come back", func() bool { s := r.Stats(); return s.State == StateOnline && s.URL == "mqtt://"+a.addr })
			}
			publish(200)
			r.drained()
			if s := r.Stats(); failover == "sticky" && s.URL != "mqtt://"+b.addr {
				t.Errorf("it did not stay: %s", s.URL)
			}
			all := func() []mqtt.Message { return append(append(atA.messages(), atB.messages()...), back.messages()...) }
			until(t, "all have arrived", func() bool { return distinct(all()) >= n })
			repeats := account(t, all(), n)
			if most := int(r.Stats().Sent - r.Stats().Acked); repeats > max(windowMax, most) {
				t.Errorf("%d repeats", repeats)
			}
			for name, c := range map[string]*consumer{"first": atA, "second": atB, "first again": back} {
				inOrder(t, name, c.messages())
			}
		})
	}
}

// distinct is how many different payloads there are.
func distinct(msgs []mqtt.Message) int {
	seen := map[string]bool{}
	for _, m := range msgs {
		seen[string(m.Payload)] = true
	}
	return len(seen)
}

// inOrder checks that numbers rise, but for repeats.
func inOrder(t *testing.T, where string, msgs []mqtt.Message) {
	t.Helper()
	seen, last := map[int]bool{}, -1
	for _, m := range msgs {
		v, err := strconv.Atoi(string(m.Payload))
		if err != nil {
			t.Fatalf("%s: payload %q", where, m.Payload)
		}
		if !seen[v] && v < last {
			t.Errorf("%s: %d came after %d", where, v, last)
			return
		}
		seen[v], last = true, max(last, v)
	}
}

// TestTwoUpstreams: each upstream has its own place in the queue and its own
// state; that one is away costs the other nothing.
func TestTwoUpstreams(t *testing.T) {
	a, b := newMosquitto(t, "allow_anonymous true"), newMosquitto(t, "allow_anonymous true")
	atA, atB := a.consumer("acme/#"), b.consumer("acme/#")
	r := newRig(t, Config{URL: "mqtt://" + a.addr, Route: []Route{{From: "acme/#"}}})
	if err := r.buffer.Upstreams([]string{"up", "other"}); err != nil {
		t.Fatal(err)
	}
	cursor, err := r.buffer.Cursor("other")
	if err != nil {
		t.Fatal(err)
	}
	second, err := New(Config{Name: "other", URL: "mqtt://" + b.addr, ClientID: "other", Route: []Route{{From: "acme/#"}},
		Connect: Connect{BackoffMin: conf.Duration(50 * time.Millisecond), BackoffMax: conf.Duration(200 * time.Millisecond)}},
		Options{Gateway: "gw", Base: "fieldgate/gw", Buffer: r.buffer, Cursor: cursor, Broker: r.local})
	if err != nil {
		t.Fatal(err)
	}
	r.local.handlers = nil
	if _, err := NewHub(r.local, r.buffer, []*Bridge{r.Bridge, second}); err != nil {
		t.Fatal(err)
	}
	other := &rig{Bridge: second, t: t, local: r.local, buffer: r.buffer}
	r.run()
	other.run()
	r.online()
	other.online()
	b.stop(syscall.SIGKILL)
	until(t, "the second is offline", func() bool { return second.Stats().State != StateOnline })
	const n = 300
	for i := range n {
		r.publish(counted(i, 0))
	}
	r.drained()
	if s := second.Stats(); s.Backlog.Messages != n || r.Stats().State != StateOnline {
		t.Errorf("%d of %d wait for the second, the first is %s", s.Backlog.Messages, n, r.Stats().State)
	}
	until(t, "all at the first", func() bool { return len(atA.messages()) == n })
	b.start()
	atB = b.consumer("acme/#")
	other.drained()
	until(t, "all at the second", func() bool { return distinct(atB.messages()) == n })
	inOrder(t, "second", atB.messages())
	for name, want := range map[string]string{"up": "online", "other": "online"} {
		got := r.local.on("fieldgate/gw/upstream/" + name + "/status")
		if fmt.Sprint(got[len(got)-1]) != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
