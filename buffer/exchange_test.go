package buffer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

// exact is a QoS 2 publish of a session.
func exact(session, number uint64, again bool) Item {
	m := text(int(number))
	m.QoS, m.Exchange = 2, &mqtt.Exchange{Session: session, Number: number, Again: again}
	return Item{Message: m, Targets: 1, Durable: true}
}

// crash is the directory as a kill at this moment would leave it.
func crash(t *testing.T, dir string) string {
	t.Helper()
	to := memDir(t)
	for _, name := range []string{"queue.db", "queue.db-wal", "state.db", "state.db-wal"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// TestExchangeRepeated: what was stored before a crash and is sent again after
// it is queued once, delivered or not; what was not stored is queued, and a
// client that begins anew is not taken for one that repeats.
func TestExchangeRepeated(t *testing.T) {
	ctx := context.Background()
	dir := memDir(t)
	b := mustOpen(t, testConfig(dir))
	c := upstream(t, b, "a")[0]
	for n := range uint64(4) {
		if err := b.Append(ctx, []Item{exact(7, n+1, false), exact(8, n+1, false)}); err != nil {
			t.Fatal(err)
		}
	}
	drain(t, c, Live)
	if err := b.Append(ctx, []Item{exact(7, 5, false)}); err != nil {
		t.Fatal(err)
	}
	dir = crash(t, dir)
	b.Close()

	b = mustOpen(t, testConfig(dir))
	c = upstream(t, b, "a")[0]
	queued := func(want int64, items ...Item) {
		t.Helper()
		before := c.Stats().Messages
		if err := b.Append(ctx, items); err != nil {
			t.Fatal(err)
		}
		if n := c.Stats().Messages - before; n != want {
			t.Errorf("%d of %d were queued, want %d", n, len(items), want)
		}
	}
	if n := c.Stats().Messages; n != 1 {
		t.Fatalf("%d messages wait after the crash, want 1", n)
	}
	queued(0, exact(7, 4, true), exact(7, 5, true)) // delivered, and waiting
	queued(1, exact(7, 6, true))                    // sent before the crash, never stored
	queued(1, exact(9, 1, true))                    // a session that was not known
	queued(2, exact(8, 1, false), exact(8, 2, true))
	dir = crash(t, dir)
	b.Close()

	b = mustOpen(t, testConfig(dir))
	defer b.Close()
	c = upstream(t, b, "a")[0]
	queued(0, exact(8, 2, true))
	queued(1, exact(8, 3, true)) // not that of its first life
}

// TestExchangeWaitsForTheDisk: a QoS 2 publish is not handed out before it is
// stored, what comes after it in its lane neither, and nothing waits for longer.
func TestExchangeWaitsForTheDisk(t *testing.T) {
	cfg := testConfig(memDir(t))
	cfg.Commit = conf.Duration(MaxCommit)
	b := mustOpen(t, cfg)
	defer b.Close()
	c := upstream(t, b, "a")[0]
	early := exact(7, 1, false)
	early.Durable = false // so that nothing makes the writer hurry
	if err := b.Append(context.Background(), []Item{{Message: text(0), Targets: 1}, early, {Message: text(2), Targets: 1}}); err != nil {
		t.Fatal(err)
	}
	if got := drain(t, c, Live); len(got) != 1 {
		t.Fatalf("%d were handed out before the commit, want the first", len(got))
	}
	c.Mark()
	if got := drain(t, c, Newest); len(got) != 1 || seqOf(got[0].ID) != 3 {
		t.Fatalf("downwards %d were handed out before the commit, want the last", len(got))
	}
	c.Mark()
	if got := drain(t, c, Backlog); len(got) != 0 {
		t.Fatalf("again: %d were handed out before the commit", len(got))
	}
	if err := b.call(func() error { return b.w.flush() }); err != nil {
		t.Fatal(err)
	}
	<-c.Notify()
	if got := drain(t, c, Newest); len(got) != 1 || seqOf(got[0].ID) != 2 || got[0].Message.Exchange != nil {
		t.Fatalf("%+v", got)
	}
}

// TestExchangesAreBounded: the session that was quiet longest is forgotten.
func TestExchangesAreBounded(t *testing.T) {
	var x exchanges
	for i := range uint64(maxExchanges + 10) {
		x.take(&mqtt.Exchange{Session: i + 1, Number: 1})
		x.take(&mqtt.Exchange{Session: 1, Number: i + 2})
	}
	if len(x.marks) != maxExchanges || x.marks[maxExchanges-1] != (exchangeMark{1, maxExchanges + 11}) || x.marks[0].session != 12 {
		t.Errorf("%d marks, %v … %v", len(x.marks), x.marks[0], x.marks[len(x.marks)-1])
	}
}

// TestHandedOutIsNotGivenUp: what a policy gives up was not handed out: it
// might be delivered and reported as missing.
func TestHandedOutIsNotGivenUp(t *testing.T) {
	cfg := testConfig(memDir(t))
	b := mustOpen(t, cfg)
	defer b.Close()
	c := upstream(t, b, "a")[0]
	for n := range 10 {
		m := text(n)
		m.Payload = fmt.Appendf(nil, `{"n":%d}`, n)
		if err := b.Append(context.Background(), []Item{{Message: m, Targets: 1, Durable: true}}); err != nil {
			t.Fatal(err)
		}
	}
	handed, err := c.Next(Live, 0, 3, 1<<20)
	if err != nil || len(handed) != 3 {
		t.Fatal(len(handed), err)
	}
	err = b.call(func() error {
		for b.w.evictOne(c, 1, reasonFull, nil) {
		}
		return b.w.flush()
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s.Messages != 3 || s.Dropped["full"] != 7 {
		t.Fatalf("%+v", s)
	}
	for _, e := range handed {
		c.Ack(e.ID)
	}
	got, gaps := account(t, c)
	if len(got) != 0 || len(gaps) != 1 || gaps[0].Count != 7 {
		t.Fatalf("%v %+v", got, gaps)
	}
}
