package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/configs/conf"
	"fieldgate/drivers/modbus/server"
	"fieldgate/mqtt"
	"fieldgate/mqtt/broker"
	"fieldgate/mqtt/client"
	"fieldgate/mqtt/mqtttest"
)

// timedPLC counts its reads in h0:uint32 and knows when each was.
type timedPLC struct {
	server.Memory
	mu   sync.Mutex
	read []time.Time
}

// ReadRegisters implements server.Bank.
func (p *timedPLC) ReadRegisters(server.Area, int, int) ([]uint16, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read = append(p.read, time.Now())
	b := binary.BigEndian.AppendUint32(nil, uint32(len(p.read)))
	return []uint16{binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])}, nil
}

func (p *timedPLC) reads() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.read)
}

// TestClock is a gateway without a clock battery: it boots in 1970 with its
// upstream away; the clock jumps 56 years ahead, is called synchronised, the
// gateway restarts, the clock goes back by an hour, and repeats a second.
// Nothing is lost or expires, every sample reaches the upstream with the time
// at which it was read, and neither session, message expiry nor will notices.
func TestClock(t *testing.T) {
	plc := &timedPLC{}
	cloud := &clockCloud{}
	link := cloud.start(t)
	link.Cut()
	dir, port := t.TempDir(), freePort(t)
	text := clockFile(dir, port, serveModbus(t, plc), link.Address())

	fromEpoch := time.Until(time.Unix(1000, 0))
	set := func(shift time.Duration, synced bool) { t.Cleanup(clock.Pretend(shift, synced)) }
	set(fromEpoch, false)
	g, stop := runClockGateway(t, dir, text)
	poll := func() {
		t.Helper()
		n := plc.reads() + 5
		eventually(t, "five more polls", func() bool { return plc.reads() >= n })
	}
	poll()
	eventually(t, "a sample says that its time is not known", func() bool {
		ts, _, unsynced := lastSample(g)
		return unsynced && ts > 0 && ts < 365*86400*1000
	})
	leaveSession(t, port)

	set(0, false) // 56 years ahead, and nobody vouches for it
	poll()
	time.Sleep(2500 * time.Millisecond) // the queue looks for what is too old each second
	if _, _, unsynced := lastSample(g); !unsynced {
		t.Error("a sample does not say that the clock is not synchronised")
	}
	checkQueued(t, g)

	set(0, true)
	eventually(t, "samples have their right time", func() bool {
		ts, _, unsynced := lastSample(g)
		return !unsynced && time.Since(time.UnixMilli(ts)).Abs() < 10*time.Second
	})
	stop()
	g, stop = runClockGateway(t, dir, text) // with a backlog
	defer stop()
	for _, shift := range []time.Duration{-time.Hour, 0, -time.Second, 0} { // an hour back and right again, a leap second
		set(shift, true)
		poll()
		time.Sleep(1200 * time.Millisecond)
	}
	checkQueued(t, g)
	checkSession(t, port)
	link.Restore()
	last := plc.reads()
	eventually(t, "everything has come", func() bool { return cloud.has(last) && g.buffer.Stats().Upstreams[0].Messages < 20 })
	cloud.check(t, plc, last)
	checkQueued(t, g)
}

func clockFile(dir string, port int, plc, cloud string) string {
	text := smallFile(dir, port, fmt.Sprintf(`
[publish]
on = "poll"
qos = 1
[[bus]]
name = "net"
tcp = %q
[[device]]
name = "plc"
bus = "net"
poll = "100ms"
tags = [ { name = "reads", reg = "h0:uint32" } ]
[[upstream]]
name = "cloud"
url = "mqtt://%s"
connect = { backoff_min = "100ms", backoff_max = "300ms" }
[[upstream.route]]
from = "gw/plc/reads"
`, plc, cloud))
	return strings.Replace(text, `min_free = "1MiB"`, "min_free = \"1MiB\"\nmax_age = \"2m\"\ncommit = \"100ms\"", 1)
}

func serveModbus(t *testing.T, bank server.Bank) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = (&server.Server{Any: bank}).ServeTCP(ctx, l) // ends with ctx
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return l.Addr().String()
}

// runClockGateway opens and runs a gateway in this process until stop.
func runClockGateway(t *testing.T, dir, text string) (g *gateway, stop func()) {
	t.Helper()
	g = openSmall(t, dir, text)
	writeFile(t, filepath.Join(dir, "fieldgate.toml"), text)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.run(ctx) }()
	return g, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		g.close()
	})
}

// lastSample is the retained one.
func lastSample(g *gateway) (ts int64, value int, unsynced bool) {
	for _, m := range g.broker.Retained("gw/plc/reads") {
		ts, value, unsynced = clockSample(m.Payload)
	}
	return ts, value, unsynced
}

func clockSample(payload []byte) (ts int64, value int, unsynced bool) {
	var doc struct {
		Value int
		TS    int64
		Clock string
	}
	if json.Unmarshal(payload, &doc) != nil {
		return 0, 0, false
	}
	return doc.TS, doc.Value, doc.Clock == "unsynced"
}

// checkQueued: nothing was given up.
func checkQueued(t *testing.T, g *gateway) {
	t.Helper()
	for _, q := range g.buffer.Stats().Upstreams {
		for why, n := range q.Dropped {
			if n > 0 {
				t.Errorf("%s: %d dropped: %s", q.Name, n, why)
			}
		}
	}
}

// leaveSession leaves a session of two hours behind, with a message that lives
// for an hour and a will that waits for one.
func leaveSession(t *testing.T, port int) {
	t.Helper()
	cfg := client.Config{URL: fmt.Sprintf("mqtt://127.0.0.1:%d", port), ClientID: "away", SessionExpiry: 7200,
		Will: &mqtt.Will{Message: mqtt.Message{Topic: "line/will", Payload: []byte("gone"), QoS: 1}, Delay: 3600}}
	away, err := client.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := away.Subscribe(t.Context(), mqtt.Subscription{Filter: "line/#", QoS: 1}); err != nil {
		t.Fatal(err)
	}
	if err := away.Disconnect(mqtt.DisconnectWithWill); err != nil {
		t.Fatal(err)
	}
	<-away.Done()
	here, err := client.Dial(t.Context(), client.Config{URL: cfg.URL, CleanStart: true})
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	m := mqtt.Message{Topic: "line/msg", Payload: []byte("kept"), QoS: 1, Props: &mqtt.Properties{HasExpiry: true, MessageExpiry: 3600}}
	if err := here.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// checkSession comes back to it: the message is there and the will is not.
func checkSession(t *testing.T, port int) {
	t.Helper()
	got := make(chan *mqtt.Message, 10)
	conn, err := client.Dial(t.Context(), client.Config{URL: fmt.Sprintf("mqtt://127.0.0.1:%d", port), ClientID: "away", SessionExpiry: 7200,
		OnMessage: func(m *mqtt.Message, ack func()) { ack(); got <- m }})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if !conn.Limits().SessionPresent {
		t.Error("the session has expired")
	}
	select {
	case m := <-got:
		if m.Topic != "line/msg" || m.Props == nil || m.Props.MessageExpiry < 3000 || m.Props.MessageExpiry > 3600 {
			t.Errorf("%s %s, expires in %+v", m.Topic, m.Payload, m.Props)
		}
	case <-time.After(patience):
		t.Error("the message has expired")
	}
	select {
	case m := <-got:
		t.Errorf("%s %s comes too", m.Topic, m.Payload)
	case <-time.After(300 * time.Millisecond):
	}
}

// clockCloud is the upstream.
type clockCloud struct {
	mu   sync.Mutex
	got  map[int]int64 // value to time
	miss []string      // samples without a right time
}

func (c *clockCloud) start(t *testing.T) *mqtttest.Link {
	t.Helper()
	b, err := broker.New(broker.Config{Listener: []broker.Listener{{Name: "up", Bind: "127.0.0.1:0", AllowAnonymous: true}}, SysInterval: new(conf.Duration)}, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.got = map[int]int64{}
	if err := b.Handle("gw/plc/reads", c.take); err != nil {
		t.Fatal(err)
	}
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return mqtttest.NewLink(t, b.Addr("up").String())
}

func (c *clockCloud) take(_ context.Context, msgs []mqtt.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range msgs {
		ts, value, unsynced := clockSample(m.Payload)
		if value == 0 {
			continue // the change to bad at the gateway's end
		}
		c.got[value] = ts
		if unsynced {
			c.miss = append(c.miss, string(m.Payload))
		}
	}
	return nil
}

func (c *clockCloud) has(value int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got[value] != 0
}

// check: every read came, with its own time.
func (c *clockCloud) check(t *testing.T, plc *timedPLC, last int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	plc.mu.Lock()
	defer plc.mu.Unlock()
	if len(c.miss) > 0 {
		t.Errorf("%d samples say that their time is not known, as %s", len(c.miss), c.miss[0])
	}
	missing, wrong := 0, 0
	for value := 1; value <= last; value++ {
		ts, came := c.got[value]
		if !came {
			missing++
			continue
		}
		if diff := time.UnixMilli(ts).Sub(plc.read[value-1]).Abs(); diff > 10*time.Second { // wrong is an hour, or 56 years
			wrong++
			t.Logf("%d has time %v, was read at %v", value, time.UnixMilli(ts), plc.read[value-1])
		}
	}
	if missing > 1 || wrong > 0 { // the read that the gateway's end cut off
		t.Errorf("of %d samples %d are missing and %d have a wrong time", last, missing, wrong)
	}
}
