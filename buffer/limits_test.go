package buffer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

// noise is a message that does not compress.
func noise(rnd *rand.Rand, n, size int) mqtt.Message {
	p := fmt.Appendf(nil, `{"n":%d}`, n)
	for len(p) < size {
		p = append(p, byte(rnd.Uint32()))
	}
	return mqtt.Message{Topic: fmt.Sprintf("noise/%d", n%5), Payload: p, Kind: mqtt.KindSample}
}

// account takes everything out and sorts it: messages by number, and the gap
// records.
func account(t *testing.T, c *Cursor) (got map[int]int, gaps []GapRecord) {
	t.Helper()
	got = map[int]int{}
	c.Mark()
	deadline := time.Now().Add(30 * time.Second)
	for {
		n := 0
		for _, lane := range []Lane{Live, Backlog} {
			for _, e := range drain(t, c, lane) {
				n++
				if e.Message.Kind != mqtt.KindEvent {
					got[numberOf(e)]++
					continue
				}
				var g GapRecord
				if err := json.Unmarshal(e.Message.Payload, &g); err != nil {
					t.Fatalf("gap record %s: %v", e.Message.Payload, err)
				}
				if e.Priority != Alarm || g.Upstream != c.Name() || g.Count == 0 || g.Code != gapCode || g.Gateway != "gw" {
					t.Fatalf("gap record %+v at %v", g, e.Priority)
				}
				gaps = append(gaps, g)
			}
		}
		c.b.mu.Lock()
		open := c.report
		for _, g := range c.gaps {
			open = open || g.count > 0
		}
		c.b.mu.Unlock()
		if n == 0 && !open && c.Stats().Messages == 0 {
			return got, gaps
		}
		if time.Now().After(deadline) {
			t.Fatalf("not empty within 30 s: %+v", c.Stats())
		}
		time.Sleep(time.Millisecond)
	}
}

// TestLimits fills the queue far beyond max_size with each policy: what is
// delivered and what is reported as missing add up to what was appended, also
// over a restart in the middle, and the limit holds.
func TestLimits(t *testing.T) {
	const total = 2000
	for _, policy := range []string{FullDropOldest, FullDropNewest, FullThin} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(1, 2))
			cfg := testConfig(memDir(t))
			cfg.MaxSize, cfg.Full, cfg.Commit = 512<<10, policy, conf.Duration(5*time.Millisecond)
			b := mustOpen(t, cfg)
			c := upstream(t, b, "a", "b")
			for n := range total {
				if n == total/2 {
					if err := b.Close(); err != nil {
						t.Fatal(err)
					}
					b = mustOpen(t, cfg)
					c = upstream(t, b, "a", "b")
				}
				p := Normal
				switch n % 10 {
				case 0:
					p = Alarm
				case 1, 2:
					p = Bulk
				}
				size := 1000
				if p == Alarm {
					size = 20
				}
				it := Item{Message: noise(rnd, n, size), Targets: 3, Priority: p, Durable: n%100 == 0}
				if err := b.Append(context.Background(), []Item{it}); err != nil {
					t.Fatal(err)
				}
				if n%500 == 0 { // the second upstream is well
					drain(t, c[1], Live)
				}
			}
			if err := b.call(func() error { return b.w.flush() }); err != nil {
				t.Fatal(err)
			}
			if s := c[0].Stats(); s.Bytes > int64(cfg.MaxSize)*12/10 {
				t.Errorf("%d bytes are stored, max_size is %d", s.Bytes, cfg.MaxSize)
			}
			got, gaps := account(t, c[0])
			missing := uint64(0)
			for _, g := range gaps {
				missing += g.Count
			}
			if len(gaps) == 0 || uint64(len(got))+missing != total {
				t.Errorf("%d delivered and %d reported in %d gap records, of %d", len(got), missing, len(gaps), total)
			}
			alarms := 0
			for n := range got {
				if n%10 == 0 {
					alarms++
				}
			}
			if alarms != total/10 {
				t.Errorf("%d of %d alarms came through", alarms, total/10)
			}
			checkPolicy(t, policy, total, got)
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func checkPolicy(t *testing.T, policy string, total int, got map[int]int) {
	oldest, newest := 0, 0
	for n := range got {
		if n%10 > 2 {
			if n < total/4 {
				oldest++
			}
			if n > total*3/4 {
				newest++
			}
		}
	}
	switch policy {
	case FullDropOldest:
		if oldest != 0 || newest == 0 {
			t.Errorf("%d of the oldest and %d of the newest were kept", oldest, newest)
		}
	case FullDropNewest:
		if oldest == 0 || newest > 20 {
			t.Errorf("%d of the oldest and %d of the newest were kept", oldest, newest)
		}
	case FullThin:
		if oldest == 0 || newest == 0 || oldest >= newest {
			t.Errorf("%d of the oldest and %d of the newest were kept", oldest, newest)
		}
	}
}

// TestBlock: with full = "block" a durable publisher waits until there is
// room, and nothing of its is lost.
func TestBlock(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	cfg := testConfig(memDir(t))
	cfg.MaxSize, cfg.Full = MinMaxSize, FullBlock
	b := mustOpen(t, cfg)
	defer b.Close()
	c := upstream(t, b, "a")[0]
	n := 0
	for ; ; n++ {
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		err := b.Append(ctx, []Item{{Message: noise(rnd, n, 10_000), Targets: 1, Durable: true}})
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n < 10 {
		t.Fatalf("blocked after %d messages", n)
	}
	done := make(chan error, 1)
	go func() {
		done <- b.Append(context.Background(), []Item{{Message: noise(rnd, n, 10_000), Targets: 1, Durable: true}})
	}()
	select {
	case err := <-done:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	got := drain(t, c, Live)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	got = append(got, drain(t, c, Live)...)
	if len(got) != n+1 {
		t.Fatalf("%d of %d", len(got), n+1)
	}
	// A value that nobody can hold back is refused and counted.
	for i := range 200 {
		if err := b.Append(context.Background(), []Item{{Message: noise(rnd, i, 10_000), Targets: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "refused values are counted", func() bool {
		if err := b.Append(context.Background(), []Item{{Message: noise(rnd, 1, 10_000), Targets: 1}}); err != nil {
			t.Fatal(err)
		}
		return c.Stats().Dropped["refused"] > 0
	})
}

// TestMaxAge: nothing expires by a clock that was never right; then the old
// goes, counted, and the new stays.
func TestMaxAge(t *testing.T) {
	synced := false
	cfg := testConfig(memDir(t))
	cfg.MaxAge = conf.Duration(time.Minute)
	b, err := Open(cfg, Options{GatewayID: "gw", synced: func() bool { return synced }})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c := upstream(t, b, "a")[0]
	put := func(n int, age time.Duration) {
		m := text(n)
		m.Payload = fmt.Appendf(nil, `{"n":%d}`, n)
		m.Stamp = clock.Now().Add(-age)
		if err := b.Append(context.Background(), []Item{{Message: m, Targets: 1, Durable: true}}); err != nil {
			t.Fatal(err)
		}
	}
	put(1, time.Hour)
	put(2, time.Second)
	tick := func() {
		if err := b.call(func() error { b.w.tick(); return b.w.flush() }); err != nil {
			t.Fatal(err)
		}
	}
	tick()
	if n := c.Stats().Messages; n != 2 {
		t.Fatalf("%d messages are left while the clock is not trusted", n)
	}
	if err := b.call(func() error { synced = true; return nil }); err != nil {
		t.Fatal(err)
	}
	tick()
	if s := c.Stats(); s.Messages != 1 || s.Dropped["age"] != 1 {
		t.Fatalf("%+v", s)
	}
	got, gaps := account(t, c)
	if len(got) != 1 || got[2] != 1 || len(gaps) != 1 || gaps[0].Reason != "age" {
		t.Fatalf("got %v, gaps %+v", got, gaps)
	}
}

// TestElision: what is acknowledged before its commit is never written, and a
// durable publisher does not wait for the disk then.
func TestElision(t *testing.T) {
	cfg := testConfig(memDir(t))
	cfg.Commit = conf.Duration(time.Minute)
	b := mustOpen(t, cfg)
	defer b.Close()
	c := upstream(t, b, "a", "b")
	before := b.Stats().Commits
	for i := range 100 {
		if err := b.Append(context.Background(), []Item{{Message: text(i), Targets: 3}}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(drain(t, c[0], Live)); n != 100 {
		t.Fatal(n)
	}
	if n := len(drain(t, c[1], Live)); n != 100 {
		t.Fatal(n)
	}
	if err := b.call(func() error { return b.w.flush() }); err != nil {
		t.Fatal(err)
	}
	if s := b.Stats(); s.Commits != before || s.Elided != 100 || s.MemoryBytes != 0 {
		t.Fatalf("%+v", s)
	}
}

// TestShrink: the file gets smaller again after a drain.
func TestShrink(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	b := mustOpen(t, testConfig(memDir(t)))
	defer b.Close()
	c := upstream(t, b, "a")[0]
	for n := range 300 {
		if err := b.Append(context.Background(), []Item{{Message: noise(rnd, n, 20_000), Targets: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.call(func() error { return b.w.flush() }); err != nil {
		t.Fatal(err)
	}
	b.call(func() error { b.w.measure(); return nil })
	full := b.Stats().FileBytes
	if len(drain(t, c, Live)) != 300 {
		t.Fatal("not all came back")
	}
	eventually(t, "the file shrinks to a tenth", func() bool {
		b.call(func() error {
			b.w.flush()
			b.w.shrinkPause = 0
			b.w.tick()
			return nil
		})
		return b.Stats().FileBytes < full/10
	})
}

// TestShrinkAfterRestart: what an earlier process has left empty is given back,
// though nothing is written; then the database is left alone.
func TestShrinkAfterRestart(t *testing.T) {
	cfg := testConfig(memDir(t))
	b := mustOpen(t, cfg)
	b.call(func() error { b.w.lastShrink, b.w.shrinkPause = time.Now(), time.Hour; return nil })
	c := upstream(t, b, "a")[0]
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range 100 {
		if err := b.Append(context.Background(), []Item{{Message: noise(rnd, n, 20_000), Targets: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.call(func() error { return b.w.flush() }); err != nil {
		t.Fatal(err)
	}
	if len(drain(t, c, Live)) != 100 {
		t.Fatal("not all came back")
	}
	if err := b.call(func() error { return b.w.flush() }); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(b.db.path)
	if err != nil {
		t.Fatal(err)
	}
	full := info.Size()
	if full < 1<<20 {
		t.Fatalf("the file has only %d bytes", full)
	}
	b = mustOpen(t, cfg)
	defer b.Close()
	eventually(t, "the file shrinks and is then left alone", func() (alone bool) {
		b.call(func() error {
			b.w.shrinkPause = 0
			b.w.tick()
			b.w.measure()
			b.db.mu.Lock()
			alone = b.w.shrunkAt == b.db.execs
			b.db.mu.Unlock()
			return nil
		})
		return alone && b.Stats().FileBytes < full/4
	})
}

// TestTooLarge: one message too large leaves the whole call out.
func TestTooLarge(t *testing.T) {
	b := mustOpen(t, testConfig(memDir(t)))
	defer b.Close()
	c := upstream(t, b, "a")[0]
	err := b.Append(context.Background(), []Item{{Message: text(1), Targets: 1}, {Message: mqtt.Message{Topic: "t", Payload: make([]byte, MaxMessage)}, Targets: 1}})
	if !errors.Is(err, ErrTooLarge) || c.Stats().Messages != 0 {
		t.Fatal(err, c.Stats())
	}
}
