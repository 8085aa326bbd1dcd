package outages

import (
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
)

// arrival is a message at the upstream.
type arrival struct {
	topic string
	text  string
	at    time.Time
}

// consumer is an application at the upstream that keeps all it gets, over
// several lives of the broker. Its cable is never disturbed.
type consumer struct {
	t    testing.TB
	mu   sync.Mutex
	got  []arrival
	conn *client.Conn
}

// attach logs in. Where what the broker has acknowledged survives its death,
// the session does too; else the consumer sends nothing back: a broker that is
// killed with acknowledgements unread resets the connection, and what was on
// its way would be lost although the gateway had its PUBACK.
func (c *consumer) attach(address string, u upstream) {
	c.t.Helper()
	cfg := client.Config{URL: "mqtt://" + address, Version: u.version(), ClientID: "consumer", CleanStart: true, KeepAlive: time.Minute, ConnectTimeout: 5 * time.Second,
		ReceiveMaximum: 65535, OnMessage: c.take}
	qos := mqtt.QoS(0)
	if u.lasting() {
		cfg.CleanStart, cfg.SessionExpiry, qos = false, 3600, 1
	}
	until(c.t, "the consumer is there", func() bool {
		conn, err := client.Dial(c.t.Context(), cfg)
		if err != nil {
			return false
		}
		if _, err := conn.Subscribe(c.t.Context(), mqtt.Subscription{Filter: "up/#", QoS: qos}); err != nil {
			conn.Close()
			return false
		}
		c.conn = conn
		c.t.Cleanup(func() { conn.Close() })
		return true
	})
}

func (c *consumer) take(m *mqtt.Message, ack func()) {
	defer ack()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, arrival{m.Topic, string(m.Payload), time.Now()})
}

// distinct is how many different messages have come.
func (c *consumer) distinct() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := map[string]bool{}
	for _, a := range c.got {
		seen[a.topic+a.text] = true
	}
	return len(seen)
}

// check waits for n messages of each route, and then demands that nothing is
// missing, that first arrivals are in order within each route, and that there
// are at most so many repeats.
func (c *consumer) check(n [2]int, mostRepeats int) (repeats int) {
	c.t.Helper()
	until(c.t, "all have arrived", func() bool { return c.distinct() >= n[0]+n[1] })
	c.mu.Lock()
	defer c.mu.Unlock()
	next := map[string]int{"up/acme/a/n": 0, "up/acme/b/n": 0}
	for _, a := range c.got {
		v, err := strconv.Atoi(a.text)
		due, known := next[a.topic]
		switch {
		case err != nil || !known:
			c.t.Fatalf("%s on %s", a.text, a.topic)
		case v == due:
			next[a.topic]++
		case v < due:
			repeats++
		default:
			c.t.Fatalf("%s: %d came where %d is due", a.topic, v, due)
		}
	}
	if next["up/acme/a/n"] != n[0] || next["up/acme/b/n"] != n[1] {
		c.t.Errorf("%v of %v", next, n)
	}
	if repeats > mostRepeats {
		c.t.Errorf("%d repeats; %d publishes were not acknowledged", repeats, mostRepeats)
	}
	return repeats
}

func host(address string, port int) string { return net.JoinHostPort(address, strconv.Itoa(port)) }
