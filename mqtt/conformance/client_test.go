package conformance

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
)

// clientRun is a script for our client. The script plays the broker on the
// connection c, with the verbs of run, and tells the client what to do:
//
//	answer BYTES             the CONNACK to come; without it one of success
//	do connect [id=ID] [keepalive=SECONDS] [clean=1]
//	do publish TOPIC QOS TEXT, do subscribe FILTER QOS, do close
//	connect 02               CONNECT had these flags, among others
//	done 2                   two calls have succeeded
//	fails                    a call has failed
//	c none                   the client sends nothing before its next SUBSCRIBE
type clientRun struct {
	*run
	ln      net.Listener
	conn    *client.Conn
	flags   byte // of CONNECT
	connack string
	results chan error
	publish chan mqtt.Message
}

// TestClient holds our client to every statement about clients.
func TestClient(t *testing.T) {
	for _, v := range versions {
		each(v, func(s *statement) {
			if s.client == "" {
				return
			}
			t.Run(v.name+"/"+s.name(v), func(t *testing.T) {
				t.Parallel()
				if err := runClient(t, v.v5, s.client); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func runClient(t *testing.T, v5 bool, script string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ln.Close()
	c := &clientRun{
		run: newRun("", v5, true, generous), ln: ln, connack: "20( 00 00 {} )",
		results: make(chan error, 16), publish: make(chan mqtt.Message, 16),
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer func() {
		cancel()
		close(c.publish)
		for _, w := range c.peers {
			w.nc.Close()
		}
		if c.conn != nil {
			c.conn.Close()
			<-c.conn.Done()
		}
	}()
	for i, line := range strings.Split(strings.TrimSpace(script), "\n") {
		if err := c.line(ctx, strings.TrimSpace(line)); err != nil {
			return fmt.Errorf("line %d: %s: %w", i+1, strings.TrimSpace(line), err)
		}
	}
	return nil
}

func (c *clientRun) line(ctx context.Context, line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	words := strings.Fields(rest)
	switch verb {
	case "answer":
		c.connack = rest
		return nil
	case "do":
		return c.call(ctx, words)
	case "connect":
		if want, err := strconv.ParseUint(rest, 16, 8); err != nil || c.flags&byte(want) != byte(want) {
			return fmt.Errorf("flags are %02x", c.flags)
		}
		return nil
	case "fails", "done":
		return c.await(verb, words)
	}
	if line == "c none" {
		go c.conn.Subscribe(ctx, mqtt.Subscription{Filter: "probe"})
		return c.peers["c"].expectText("82( ?? ?? {} 'probe' * )")
	}
	return c.step(line)
}

func (c *clientRun) await(verb string, words []string) error {
	n := 1
	if verb == "done" {
		n, _ = strconv.Atoi(words[0])
	}
	for range n {
		select {
		case err := <-c.results:
			if (err != nil) != (verb == "fails") {
				return fmt.Errorf("the call ends with %v", err)
			}
		case <-time.After(generous):
			return errors.New("the call does not end")
		}
	}
	return nil
}

func (c *clientRun) call(ctx context.Context, words []string) error {
	if words[0] == "connect" {
		return c.connect(ctx, words[1:])
	}
	if c.conn == nil {
		return errors.New("not connected")
	}
	switch words[0] {
	case "close":
		go c.conn.Close()
	case "publish":
		qos, first := quality(words[2])
		c.publish <- mqtt.Message{Topic: words[1], QoS: mqtt.QoS(qos), Retain: first&1 != 0, Payload: []byte(words[3])}
	case "subscribe":
		go func() {
			_, err := c.conn.Subscribe(ctx, mqtt.Subscription{Filter: words[1], QoS: mqtt.QoS(words[2][0] - '0')})
			c.results <- err
		}()
	}
	return nil
}

// connect dials and plays the broker meanwhile.
func (c *clientRun) connect(ctx context.Context, options []string) error {
	cfg := client.Config{URL: "mqtt://" + c.ln.Addr().String(), Version: mqtt.V311, ClientID: "client"}
	if c.v5 {
		cfg.Version = mqtt.V5
	}
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		switch name {
		case "id":
			cfg.ClientID = value
		case "clean":
			cfg.CleanStart = true
		case "keepalive":
			n, err := strconv.Atoi(value)
			if err != nil {
				return err
			}
			cfg.KeepAlive = time.Duration(n) * time.Second
		}
	}
	broker := make(chan error, 1)
	go func() { broker <- c.accept() }()
	conn, err := client.Dial(ctx, cfg)
	if err := <-broker; err != nil {
		return err
	}
	if err != nil {
		c.results <- err
		return nil
	}
	c.conn = conn
	go func() { // one after the other, so that their order is known
		for m := range c.publish {
			if err := conn.PublishAsync(ctx, m, func(err error) { c.result(err) }); err != nil {
				c.result(err)
			}
		}
	}()
	return nil
}

// result keeps what a call ended with; a run has fewer than there is room for.
func (c *clientRun) result(err error) {
	select {
	case c.results <- err:
	default:
	}
}

func (c *clientRun) accept() error {
	nc, err := c.ln.Accept()
	if err != nil {
		return err
	}
	w := &wire{run: c.run, nc: nc, r: bufio.NewReader(nc)}
	c.peers["c"] = w
	b, err := w.read()
	if err != nil {
		return err
	}
	x, err := c.parse("10( 'MQTT' VV * )")
	if err != nil {
		return err
	}
	if !c.match(x, b) {
		return fmt.Errorf("CONNECT is % x", b)
	}
	_, used := readVarint(b[1:])
	c.flags = b[1+used+7]
	return w.sendText(c.connack)
}
