package buffer

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

// testConfig is a buffer in a directory of the test's own.
func testConfig(dir string) Config {
	return Config{Dir: dir, MaxSize: 64 << 20, MinFree: 1, MaxAge: conf.Duration(24 * time.Hour), Commit: conf.Duration(20 * time.Millisecond)}
}

func mustOpen(t testing.TB, cfg Config) *Buffer {
	t.Helper()
	b, err := Open(cfg, Options{GatewayID: "gw", Events: func(e Event) { t.Logf("event %s: %s", e.Code, e.Text) }})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// memDir is a folder of the test, in memory where that is possible: what is
// tested there is what the files hold, not when they are synced, and a disk
// that others keep busy would only make it slow.
func memDir(t testing.TB) string {
	t.Helper()
	if free, err := freeBytes("/dev/shm"); err == nil && free > 1<<30 {
		if dir, err := os.MkdirTemp("/dev/shm", "fieldgate-test-*"); err == nil {
			t.Cleanup(func() { os.RemoveAll(dir) })
			return dir
		}
	}
	return t.TempDir()
}

// upstream is the cursor of a name, made ready.
func upstream(t testing.TB, b *Buffer, names ...string) []*Cursor {
	t.Helper()
	if err := b.Upstreams(names); err != nil {
		t.Fatal(err)
	}
	var out []*Cursor
	for _, n := range names {
		c, err := b.Cursor(n)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

func text(n int) mqtt.Message {
	return mqtt.Message{Topic: fmt.Sprintf("plant/boiler/t%d", n%7), Payload: fmt.Appendf(nil, `{"value":%d,"quality":"good"}`, n), QoS: 1, Origin: "test"}
}

// drain takes everything a lane has and acknowledges it.
func drain(t testing.TB, c *Cursor, lane Lane) (out []Entry) {
	t.Helper()
	for {
		got, err := c.Next(lane, 0, 100, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			return out
		}
		for _, e := range got {
			c.Ack(e.ID)
		}
		out = append(out, got...)
	}
}

// eventually waits for a condition that has no channel.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func TestAppendSurvivesRestart(t *testing.T) {
	dir := memDir(t)
	b := mustOpen(t, testConfig(dir))
	c := upstream(t, b, "cloud", "other")
	for i := range 500 {
		it := Item{Message: text(i), Targets: c[0].Bit(), Durable: i%50 == 0}
		if i%3 == 0 {
			it.Targets |= c[1].Bit()
		}
		if err := b.Append(context.Background(), []Item{it}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = mustOpen(t, testConfig(dir))
	defer b.Close()
	c = upstream(t, b, "other", "cloud")
	c[0], c[1] = c[1], c[0]
	if n := c[0].Stats().Messages; n != 500 {
		t.Fatalf("%d messages wait after the restart, want 500", n)
	}
	for k, want := range []int{500, 167} {
		got := drain(t, c[k], Backlog)
		if len(got) != want {
			t.Fatalf("upstream %d got %d of %d", k, len(got), want)
		}
		for i, e := range got {
			n := i
			if k == 1 {
				n = 3 * i
			}
			if m := text(n); string(e.Message.Payload) != string(m.Payload) || e.Message.Topic != m.Topic || e.Message.Origin != "test" {
				t.Fatalf("entry %d is %s %s", i, e.Message.Topic, e.Message.Payload)
			}
		}
		if s := c[k].Stats(); s.Messages != 0 || s.Bytes != 0 {
			t.Fatalf("upstream %d still has %d messages, %d bytes", k, s.Messages, s.Bytes)
		}
	}
	eventually(t, "the file is empty", func() bool {
		var n int64
		b.call(func() error {
			b.db.mu.Lock()
			defer b.db.mu.Unlock()
			n, _ = b.db.numberLocked("SELECT count(*) FROM seg")
			return nil
		})
		return n == 0
	})
}

func TestStateRoundTrip(t *testing.T) {
	dir := memDir(t)
	b := mustOpen(t, testConfig(dir))
	s := b.State()
	ctx := context.Background()
	m := text(1)
	m.Retain = true
	err := s.Apply(ctx, true, []mqtt.StoreChange{
		{PutSession: &mqtt.SessionState{ClientID: "a", User: "u", Version: mqtt.V5, Expiry: 60, Received: []uint16{7},
			Subscriptions: []mqtt.Subscription{{Filter: "x/#", QoS: 2, NoLocal: true, RetainHandling: 2, ID: 9}},
			Will:          &mqtt.Will{Message: text(2), Delay: 3}}},
		{Retain: &m},
		{Enqueue: &mqtt.SessionEntry{ClientID: "a", Queued: mqtt.Queued{Seq: 1, Message: text(3)}}},
		{Enqueue: &mqtt.SessionEntry{ClientID: "a", Queued: mqtt.Queued{Seq: 2, Message: text(4)}}},
		{ReceivedAdd: &mqtt.SessionPacketID{ClientID: "a", PacketID: 65535}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = mustOpen(t, testConfig(dir))
	defer b.Close()
	s = b.State()
	sess, ret, err := s.Load(ctx)
	if err != nil || len(sess) != 1 || len(ret) != 1 {
		t.Fatal(sess, ret, err)
	}
	if len(sess[0].Received) != 2 || sess[0].Will == nil || sess[0].Will.Delay != 3 || len(sess[0].Subscriptions) != 1 || sess[0].Subscriptions[0].ID != 9 {
		t.Fatalf("%+v", sess[0])
	}
	q, err := s.Pending(ctx, "a", 0, 10)
	if err != nil || len(q) != 2 || q[0].Seq != 1 || string(q[1].Message.Payload) != string(text(4).Payload) {
		t.Fatalf("%+v %v", q, err)
	}
	if n, _ := s.PendingCount("a"); n != 2 {
		t.Fatal(n)
	}
}
