package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/buffer"
	"fieldgate/mqtt"
	"fieldgate/mqtt/encode"
)

// dialer is a fake upstream: plan says, by attempt, what happens.
type dialer struct {
	mu    sync.Mutex
	times []time.Time
	urls  []string
	plan  func(n int, host string) (*fakeConn, error)
	in    func(*mqtt.Message, func())
}

func (d *dialer) dial(_ context.Context, _ *Bridge, u *url.URL, in func(*mqtt.Message, func())) (connection, error) {
	d.mu.Lock()
	n := len(d.times)
	d.times = append(d.times, time.Now())
	d.urls = append(d.urls, u.Hostname())
	d.in = in
	d.mu.Unlock()
	c, err := d.plan(n, u.Hostname())
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (d *dialer) attempts() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.times)
}

func (d *dialer) hosts() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.urls)
}

// runBridge runs it until the returned function is called.
func (w *world) runBridge(t *testing.T, d *dialer) (stop func()) {
	w.dial, w.dialer = d.dial, d
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func TestRunReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		c := newFakeConn(time.Millisecond)
		d := &dialer{plan: func(n int, _ string) (*fakeConn, error) {
			if n < 8 {
				return nil, errors.New("no link")
			}
			return c, nil
		}}
		stop := w.runBridge(t, d)
		time.Sleep(20 * time.Second)
		s := w.Stats()
		if s.State != StateWaiting || s.Reason != "no link" || s.NextTry.Before(time.Now()) || s.Attempts == 0 {
			t.Errorf("after 20 s: %+v", s)
		}
		time.Sleep(15 * time.Minute)
		if s := w.Stats(); s.State != StateOnline || s.Reason != "" || s.Version != 5 || s.Connects != 1 || d.attempts() != 9 {
			t.Errorf("later: %+v after %d attempts", s, d.attempts())
		}
		stop()
		if s := w.Stats(); s.State != StateStopped {
			t.Errorf("at the end: %s", s.State)
		}
		if got := c.payloads(); !slices.Equal(got, []string{"online", "offline"}) || !c.published[0].Retain || c.published[0].Topic != "fieldgate/gw/status" {
			t.Errorf("state at the upstream: %q", got)
		}
		if got := w.broker.on("fieldgate/gw/upstream/up/status"); !slices.Equal(got, []string{"offline", "offline: no link", "online", "offline: stopped"}) {
			t.Errorf("state here: %q", got)
		}
		if got := w.broker.on("$SYS/broker/connection/gw.up/state"); !slices.Contains(got, "1") || got[len(got)-1] != "0" {
			t.Errorf("$SYS: %q", got)
		}
	})
}

// A wrong password is not tried again and again, and a reload tries at once.
func TestRunBadLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Name: "up", URL: "mqtt://h", Username: "plant7"})
		d := &dialer{plan: func(int, string) (*fakeConn, error) {
			return nil, fmt.Errorf("connect: %w", mqtt.BadUserNameOrPassword)
		}}
		stop := w.runBridge(t, d)
		time.Sleep(2 * time.Minute)
		if d.attempts() != 1 {
			t.Errorf("%d attempts in two minutes", d.attempts())
		}
		s := w.Stats()
		if !strings.Contains(s.Reason, `wrong user name or password for "plant7"`) || !strings.Contains(s.Hint, "fieldgate reload") {
			t.Errorf("%q, hint %q", s.Reason, s.Hint)
		}
		w.Kick()
		synctest.Wait()
		if d.attempts() != 2 {
			t.Errorf("%d attempts after a kick", d.attempts())
		}
		time.Sleep(time.Hour)
		if n := d.attempts(); n < 12 || n > 22 {
			t.Errorf("%d attempts in an hour", n)
		}
		stop()
	})
}

func TestRunFailover(t *testing.T) {
	for _, mode := range []string{"primary", "sticky"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Config{Name: "up", URLs: []string{"mqtt://a", "mqtt://b"}, Failover: mode})
			var aUp atomic.Bool
			var b atomic.Pointer[fakeConn]
			d := &dialer{plan: func(_ int, host string) (*fakeConn, error) {
				if host == "a" && !aUp.Load() {
					return nil, errors.New("a is down")
				}
				c := newFakeConn(time.Millisecond)
				if host == "b" {
					b.Store(c)
				}
				return c, nil
			}}
			stop := w.runBridge(t, d)
			time.Sleep(10 * time.Second)
			if got := d.hosts(); !slices.Equal(got, []string{"a", "b"}) || w.Stats().State != StateOnline {
				t.Fatalf("%s: went to %q, %+v", mode, got, w.Stats())
			}
			aUp.Store(true)
			b.Load().cut(errors.New("b is gone"))
			time.Sleep(5 * time.Second)
			want := map[string]string{"primary": "a", "sticky": "b"}[mode]
			if got := d.hosts(); got[len(got)-1] != want {
				t.Errorf("%s: after the loss of b it went to %q", mode, got)
			}
			stop()
		})
	}
}

// TestBackToPrimary: on a stand-by the bridge returns to the first address when
// that accepts connections again.
func TestBackToPrimary(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w := newWorld(t, Config{Name: "up", URLs: []string{"mqtt://" + l.Addr().String(), "mqtt://localhost:1"}})
	w.primaryCheck = 10 * time.Millisecond
	d := &dialer{plan: func(n int, host string) (*fakeConn, error) {
		if n == 0 {
			return nil, errors.New("not yet")
		}
		return newFakeConn(time.Millisecond), nil
	}}
	stop := w.runBridge(t, d)
	defer stop()
	until(t, "back at the first address", func() bool {
		return slices.Equal(d.hosts(), []string{"127.0.0.1", "localhost", "127.0.0.1"}) && w.Stats().State == StateOnline
	})
	time.Sleep(50 * time.Millisecond)
	if got := d.hosts(); len(got) != 3 {
		t.Errorf("went on to %q", got)
	}
}

func TestRunDisabled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Name: "up", URL: "mqtt://h", Disabled: true})
		d := &dialer{}
		stop := w.runBridge(t, d)
		time.Sleep(time.Minute)
		if s := w.Stats(); d.attempts() != 0 || s.State != StateDisabled || s.Reason != "disabled" {
			t.Errorf("%d attempts, %+v", d.attempts(), s)
		}
		stop()
	})
}

// commands is a bridge with commands, online, and a way to send it some.
func commands(t *testing.T, cfg Config) (w *world, c *fakeConn, send func(m mqtt.Message) (acked bool), stop func()) {
	cfg.Name, cfg.URL = "up", "mqtt://h"
	w = newWorld(t, cfg)
	if _, err := NewHub(w.broker, w.store, []*Bridge{w.Bridge}); err != nil {
		t.Fatal(err)
	}
	c = newFakeConn(time.Millisecond)
	d := &dialer{plan: func(int, string) (*fakeConn, error) { return c, nil }}
	stop = w.runBridge(t, d)
	synctest.Wait()
	return w, c, func(m mqtt.Message) bool {
		var acked atomic.Bool
		d.in(&m, func() { acked.Store(true) })
		time.Sleep(time.Second)
		synctest.Wait()
		return acked.Load()
	}, stop
}

func last(c *fakeConn) mqtt.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.published[len(c.published)-1]
}

func TestCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, send, stop := commands(t, Config{Command: []Command{{From: "cmd/{gateway}/+/set", To: "acme/{1}/set"}}})
		defer stop()
		if len(c.subs) != 1 || c.subs[0].Filter != "cmd/gw/+/set" || !c.subs[0].NoLocal || c.subs[0].RetainHandling != 2 {
			t.Errorf("subscribed to %+v", c.subs)
		}
		// the device answers as the supervisor does
		w.broker.handlers = append(w.broker.handlers, func(ctx context.Context, msgs []mqtt.Message) error {
			for _, m := range msgs {
				if strings.HasSuffix(m.Topic, "/set") {
					r := mqtt.Message{Topic: m.Topic + "/result", Payload: []byte(`{"status":"ok"}`), Kind: mqtt.KindCommandResult, Props: &mqtt.Properties{}}
					if m.Props.ResponseTopic != "" {
						r.Topic, r.Props.CorrelationData = m.Props.ResponseTopic, m.Props.CorrelationData
					}
					go w.broker.Publish(context.Background(), r)
				}
			}
			return nil
		})
		if !send(mqtt.Message{Topic: "cmd/gw/pump/set", Payload: []byte("1"), QoS: 1}) {
			t.Error("not acknowledged")
		}
		if got := w.broker.on("acme/pump/set"); !slices.Equal(got, []string{"1"}) {
			t.Errorf("carried out %q", got)
		}
		if m := last(c); m.Topic != "cmd/gw/pump/set/result" || string(m.Payload) != `{"status":"ok"}` {
			t.Errorf("result %s %s", m.Topic, m.Payload)
		}
		// with a Response Topic
		send(mqtt.Message{Topic: "cmd/gw/pump/set", Payload: []byte("2"), Props: &mqtt.Properties{ResponseTopic: "answers/7", CorrelationData: []byte("x")}})
		if m := last(c); m.Topic != "answers/7" || string(m.Props.CorrelationData) != "x" || m.Props.ResponseTopic != "" {
			t.Errorf("result %s %+v", m.Topic, m.Props)
		}
		if s := w.Stats(); s.Commands != 2 || s.Rejected != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestCommandsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, send, stop := commands(t, Config{Command: []Command{{From: "cmd/#", To: "acme/{#}"}}})
		defer stop()
		old := fmt.Sprintf(`{"value":1,"id":"a1","ts":%d}`, time.Now().Add(-time.Minute).UnixMilli())
		for _, tc := range []struct {
			m    mqtt.Message
			code string
		}{
			{mqtt.Message{Topic: "cmd/a/set", Payload: []byte(`{"value":1,"id":"a1"}`), Retain: true}, CodeRetained},
			{mqtt.Message{Topic: "cmd/a/set", Payload: []byte(old)}, CodeTooOld},
		} {
			send(tc.m)
			m := last(c)
			if m.Topic != "cmd/a/set/result" || !strings.Contains(string(m.Payload), `"code":"`+tc.code) || !strings.Contains(string(m.Payload), `"id":"a1"`) {
				t.Errorf("want %s, result on %s: %s", tc.code, m.Topic, m.Payload)
			}
		}
		w.broker.refuse = mqtt.NotAuthorized
		send(mqtt.Message{Topic: "cmd/a/set", Payload: []byte("1")})
		if m := last(c); !strings.Contains(string(m.Payload), CodeNotTaken) {
			t.Errorf("refused by the broker: %s", m.Payload)
		}
		w.broker.refuse = nil
		n := len(c.payloads())
		send(mqtt.Message{Topic: "other/a", Payload: []byte("1")})
		send(mqtt.Message{Topic: "cmd/b", Payload: []byte("1"), Props: &mqtt.Properties{User: []mqtt.UserProperty{{Name: propOrigin, Value: "gw"}}}})
		send(mqtt.Message{Topic: "cmd/b", Payload: []byte("1"), Props: &mqtt.Properties{User: []mqtt.UserProperty{{Name: propHops, Value: "3"}}}})
		if len(c.payloads()) != n || len(w.broker.on("acme/b")) != 0 {
			t.Error("a message that had come round was carried out or answered")
		}
		if s := w.Stats(); s.Rejected != 3 || s.Commands != 0 || s.Loops != 2 {
			t.Errorf("stats %+v", s)
		}
		if got := w.broker.on("acme/a/set"); len(got) != 1 { // the one that the broker refused
			t.Errorf("carried out %q", got)
		}
	})
}

// TestNoEcho: a both-way map on an upstream that echoes everything, without
// properties, does not turn.
func TestNoEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, send, stop := commands(t, Config{Route: []Route{{From: "x/#"}}, Command: []Command{{From: "x/#", To: "x/{#}"}}})
		defer stop()
		c.answer = func(m *mqtt.Message) error {
			echo := *m
			echo.Props = nil
			go w.dialer.in(&echo, func() {})
			return nil
		}
		if err := w.broker.Publish(context.Background(), mqtt.Message{Topic: "x/a", Payload: []byte("1")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if s := w.Stats(); s.Sent != 1 || s.Echoes != 1 || s.Commands != 0 {
			t.Errorf("sent %d, echoes %d, commands %d", s.Sent, s.Echoes, s.Commands)
		}
		// what comes down by itself does not go up again
		send(mqtt.Message{Topic: "x/b", Payload: []byte("2")})
		if s := w.Stats(); s.Sent != 1 || s.Commands != 1 {
			t.Errorf("sent %d, commands %d", s.Sent, s.Commands)
		}
	})
}

func TestHub(t *testing.T) {
	a := newWorld(t, Config{Name: "a", URL: "mqtt://h"})
	b := newWorld(t, Config{Name: "b", URL: "mqtt://h", Route: []Route{{From: "acme/alarm/#", Priority: "alarm"}, {From: "acme/#", Priority: "bulk", Types: []string{"message"}}}})
	b.queue = bitQueue{b.q, 2}
	store := &fakeStore{}
	local := &fakeBroker{}
	h, err := NewHub(local, store, nil)
	if err != nil || len(local.handlers) != 0 {
		t.Fatalf("a hub without bridges listens: %d, %v", len(local.handlers), err)
	}
	off := newWorld(t, Config{Name: "off", URL: "mqtt://h", Disabled: true})
	for range 2 { // as by two reloads
		if err := h.Set([]*Bridge{a.Bridge, b.Bridge, off.Bridge}); err != nil || len(local.handlers) != 1 {
			t.Fatalf("a hub with bridges listens %d times: %v", len(local.handlers), err)
		}
	}
	msgs := []mqtt.Message{
		value(1),                                // a
		{Topic: "acme/alarm/fire", QoS: 1},      // b, durable
		{Topic: "acme/x"},                       // b, bulk
		{Topic: "else"},                         // nobody
		{Topic: "acme/y", Origin: "upstream:b"}, // b's own
		{Topic: "fieldgate/gw/status", Kind: mqtt.KindStatus}, // the bridges' own topic there
		{Topic: "fieldgate/gw/device/x/status", Kind: mqtt.KindStatus},
		{Topic: "fieldgate/gw/upstream/b/reply/9", Kind: mqtt.KindCommandResult}, // nobody has asked
	}
	if err := h.take(context.Background(), msgs); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, it := range store.items {
		got = append(got, fmt.Sprintf("%s %d %s %v", it.Message.Topic, it.Targets, it.Priority, it.Durable))
	}
	want := []string{"acme/pump/level 1 normal false", "acme/alarm/fire 2 alarm true", "acme/x 2 bulk false", "fieldgate/gw/device/x/status 1 normal false"}
	if !slices.Equal(got, want) {
		t.Errorf("queued\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

type bitQueue struct {
	*fakeQueue
	bit uint64
}

func (q bitQueue) Bit() uint64 { return q.bit }

func TestMessageProperties(t *testing.T) {
	w := newWorld(t, Config{Route: []Route{{From: "#", To: "up/{topic}", Format: "value", Compress: "gzip"}}})
	e := buffer.Entry{Epoch: 3, Seq: 17, Message: value(5)}
	e.Message.Props = &mqtt.Properties{User: []mqtt.UserProperty{{Name: "unit", Value: "stale"}, {Name: propHops, Value: "1"}, {Name: propOrigin, Value: "other"}}}
	r, topic := w.destination(&e.Message)
	m, err := r.message(&letter{}, topic, []buffer.Entry{e}, true)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{propMark: "gw/3/17", propOrigin: "other", propHops: "2", "quality": "good", "unit": ""} {
		if got := userProperty(m.Props.User, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if m.Topic != "up/acme/pump/level" || string(m.Payload) != "5" || m.QoS != 1 || m.Props.PayloadFormat != 1 {
		t.Errorf("%+v", m)
	}
}

// A value that was published while the clock was not set gets its right time
// when it leaves, if the clock has been set since.
func TestLateTimes(t *testing.T) {
	w := newWorld(t, Config{})
	e := buffer.Entry{Epoch: 1, Seq: 1, Message: value(5)}
	e.Message.Payload = []byte(`{"value":5,"ts":12345,"quality":"good","clock":"unsynced"}`)
	r, topic := w.destination(&e.Message)
	m, err := r.message(&letter{}, topic, []buffer.Entry{e}, true)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(m.Payload), "unsynced") || strings.Contains(string(m.Payload), "12345") || !strings.Contains(string(m.Payload), `"value":5`) {
		t.Errorf("payload %s", m.Payload)
	}
	// Encoded again it is what the gateway would have published: the number in
	// the queue and the old payload are no part of it.
	r.asIs, err = encode.New(encode.Options{Format: encode.Template, Template: `{{.Topic}}={{.Value}} {{.Seq}} {{.Epoch}}{{.Payload}}`, Wall: r.wall})
	if err != nil {
		t.Fatal(err)
	}
	m, err = r.message(&letter{}, topic, []buffer.Entry{e}, true)
	if want := e.Message.Topic + "=5 0 0"; err != nil || string(m.Payload) != want {
		t.Errorf("payload %q, %v; want %q", m.Payload, err, want)
	}
}
