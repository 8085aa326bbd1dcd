package bridge

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fieldgate/buffer"
	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
	"fieldgate/scripts/peertest"
)

const patience = 30 * time.Second

// until waits for a condition; what says it for the failure.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in %s: %s", patience, what)
		}
	}
}

// mosquitto is Debian's broker in the role of the cloud.
type mosquitto struct {
	t    testing.TB
	bin  string
	conf string
	addr string
	cmd  *exec.Cmd
	log  *os.File
}

// newMosquitto writes a configuration for a free port and starts it. lines
// follow the listener line.
func newMosquitto(t testing.TB, lines ...string) *mosquitto {
	t.Helper()
	bin := peertest.Need(t, "mosquitto")
	dir := t.TempDir()
	port := strconv.Itoa(peertest.FreePort(t))
	addr := "127.0.0.1:" + port
	all := append([]string{"user root", "listener " + port + " 127.0.0.1", "max_inflight_messages 0", "max_queued_messages 0"}, lines...)
	file := filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(file, []byte(strings.Join(all, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	m := &mosquitto{t: t, bin: bin, conf: file, addr: addr, log: log}
	t.Cleanup(func() {
		m.stop(syscall.SIGKILL)
		log.Close()
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("mosquitto said:\n%.800s", b)
		}
	})
	m.start()
	return m
}

func (m *mosquitto) start() {
	m.t.Helper()
	m.cmd = exec.Command(m.bin, "-v", "-c", m.conf)
	m.cmd.Stdout, m.cmd.Stderr = m.log, m.log
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	until(m.t, "mosquitto listens", func() bool {
		c, err := net.Dial("tcp", m.addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (m *mosquitto) stop(sig syscall.Signal) {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Signal(sig)
	_ = m.cmd.Wait()
	m.cmd = nil
}

// consumer is an application at the upstream. It keeps everything it gets.
type consumer struct {
	conn *client.Conn
	mu   sync.Mutex
	got  []mqtt.Message
	at   []time.Time
}

func (m *mosquitto) consumer(filters ...string) *consumer {
	m.t.Helper()
	return m.consume(1, filters)
}

// watcher is a consumer that sends nothing back. A broker that is killed with
// acknowledgements of a consumer unread resets its connection, and what was on
// its way to the consumer is lost although the gateway had its PUBACK.
func (m *mosquitto) watcher(filters ...string) *consumer {
	m.t.Helper()
	return m.consume(0, filters)
}

func (m *mosquitto) consume(qos mqtt.QoS, filters []string) *consumer {
	m.t.Helper()
	c := &consumer{}
	c.conn = m.client(func(cfg *client.Config) {
		cfg.ReceiveMaximum = 65535
		cfg.OnMessage = func(msg *mqtt.Message, ack func()) {
			c.mu.Lock()
			c.got = append(c.got, *msg)
			c.at = append(c.at, time.Now())
			c.mu.Unlock()
			ack()
		}
	})
	for _, f := range filters {
		codes, err := c.conn.Subscribe(m.t.Context(), mqtt.Subscription{Filter: f, QoS: qos, RetainAsPublished: true})
		if err != nil || codes[0].Failed() {
			m.t.Fatalf("subscribe to %s: %v %v", f, codes, err)
		}
	}
	return c
}

func (m *mosquitto) client(change func(*client.Config)) *client.Conn {
	m.t.Helper()
	cfg := client.Config{URL: "mqtt://" + m.addr, CleanStart: true, KeepAlive: time.Minute}
	change(&cfg)
	conn, err := client.Dial(m.t.Context(), cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { conn.Close() })
	return conn
}

func (c *consumer) messages() []mqtt.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]mqtt.Message(nil), c.got...)
}

func (c *consumer) on(topic string) (payloads []string) {
	for _, m := range c.messages() {
		if m.Topic == topic {
			payloads = append(payloads, string(m.Payload))
		}
	}
	return payloads
}

// rig is a gateway with the real queue on disk: a local broker that dispatches,
// a hub, a bridge.
type rig struct {
	*Bridge
	t      testing.TB
	local  *fakeBroker
	buffer *buffer.Buffer
	stop   func()
}

func newRig(t testing.TB, cfg Config, change ...func(*Options)) *rig {
	t.Helper()
	b, err := buffer.Open(buffer.Config{Dir: t.TempDir(), MinFree: 1 << 20, Commit: conf.Duration(50 * time.Millisecond)}, buffer.Options{GatewayID: "gw"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close the buffer: %v", err)
		}
	})
	if err := b.Upstreams([]string{"up"}); err != nil {
		t.Fatal(err)
	}
	cursor, err := b.Cursor("up")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Name = "up"
	if cfg.Connect.BackoffMin == 0 {
		cfg.Connect.BackoffMin, cfg.Connect.BackoffMax = conf.Duration(50*time.Millisecond), conf.Duration(500*time.Millisecond)
	}
	r := &rig{t: t, local: &fakeBroker{}, buffer: b}
	o := Options{Gateway: "gw", Base: "fieldgate/gw", Buffer: b, Cursor: cursor, Broker: r.local}
	for _, f := range change {
		f(&o)
	}
	if r.Bridge, err = New(cfg, o); err != nil {
		t.Fatal(err)
	}
	if _, err := NewHub(r.local, b, []*Bridge{r.Bridge}); err != nil {
		t.Fatal(err)
	}
	return r
}

// run starts the bridge; stop, or the end of the test, ends it.
func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("Run: %v", err)
		}
	})
	r.t.Cleanup(r.stop)
}

// publish is what a driver's poll or a client's publish brings to the broker.
func (r *rig) publish(msgs ...mqtt.Message) {
	r.t.Helper()
	if err := r.local.Publish(r.t.Context(), msgs...); err != nil {
		r.t.Errorf("publish: %v", err)
	}
}

func (r *rig) online() {
	r.t.Helper()
	until(r.t, fmt.Sprintf("online; it is %+v", r.Stats()), func() bool { return r.Stats().State == StateOnline })
}

func (r *rig) drained() {
	r.t.Helper()
	until(r.t, "everything is acknowledged", func() bool { return r.Stats().Backlog.Messages == 0 })
}

// account checks that payloads 0…n-1 all arrived, and counts repeats by the
// identity that goes with every message.
func account(t testing.TB, got []mqtt.Message, n int) (repeats int) {
	t.Helper()
	seen := map[string]string{}
	values := map[int]bool{}
	for _, m := range got {
		if m.Props == nil {
			t.Fatalf("no properties on %s", m.Topic)
		}
		id := userProperty(m.Props.User, propMark)
		if old, ok := seen[id]; ok {
			if old != string(m.Payload) {
				t.Errorf("%s is both %q and %q", id, old, m.Payload)
			}
			repeats++
			continue
		}
		seen[id] = string(m.Payload)
		v, err := strconv.Atoi(string(m.Payload))
		if err != nil || values[v] {
			t.Errorf("payload %q came twice with different identities, or is none", m.Payload)
		}
		values[v] = true
	}
	for i := range n {
		if !values[i] {
			t.Errorf("%d of %d is missing", i, n)
			break
		}
	}
	if len(values) != n {
		t.Errorf("%d values of %d", len(values), n)
	}
	return repeats
}
