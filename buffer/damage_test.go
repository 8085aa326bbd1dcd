package buffer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

// copyFiles copies the databases of a directory, as they are.
func copyFiles(t testing.TB, from, to string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"queue.db", "queue.db-wal", "state.db", "state.db-wal"} {
		b, err := os.ReadFile(filepath.Join(from, name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

const damageTotal = 160

// damageSource makes a queue with segments of all sizes, part of it still in
// the log, as a kill leaves it.
func damageSource(t *testing.T, checkpoint bool) string {
	t.Helper()
	rnd := rand.New(rand.NewPCG(3, 4))
	cfg := testConfig(memDir(t))
	cfg.Commit = conf.Duration(time.Minute)
	b := mustOpen(t, cfg)
	defer b.Close()
	upstream(t, b, "z", "a")
	s := b.State()
	changes := []mqtt.StoreChange{{PutSession: &mqtt.SessionState{ClientID: "s", Expiry: 99}}}
	for n := range damageTotal {
		size := []int{10, 300, 3000, 12_000}[n%4]
		it := Item{Message: noise(rnd, n, size), Targets: 2, Priority: Priority(n % 3), Durable: n%20 == 19}
		if err := b.Append(context.Background(), []Item{it}); err != nil {
			t.Fatal(err)
		}
		m := text(n)
		m.Topic = fmt.Sprint("r/", n)
		changes = append(changes, mqtt.StoreChange{Retain: &m},
			mqtt.StoreChange{Enqueue: &mqtt.SessionEntry{ClientID: "s", Queued: mqtt.Queued{Seq: uint64(n + 1), Message: text(n)}}})
	}
	if err := s.Apply(context.Background(), true, changes); err != nil {
		t.Fatal(err)
	}
	b.call(func() error {
		err := b.w.flush()
		b.w.marked = time.Time{}
		b.w.saveMark()
		return err
	})
	if err := s.flushNow(); err != nil {
		t.Fatal(err)
	}
	to := memDir(t)
	b.db.mu.Lock()
	s.db.mu.Lock()
	defer b.db.mu.Unlock()
	defer s.db.mu.Unlock()
	if checkpoint {
		if err := b.db.truncateLocked(); err != nil {
			t.Fatal(err)
		}
		if err := s.db.truncateLocked(); err != nil {
			t.Fatal(err)
		}
	}
	copyFiles(t, b.cfg.Dir, to)
	return to
}

// spoil rewrites a file through f.
func spoil(t *testing.T, path string, f func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, f(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

func zeroPage(n int) func([]byte) []byte {
	return func(b []byte) []byte {
		if (n+1)*pageSize <= len(b) {
			clear(b[n*pageSize : (n+1)*pageSize])
		}
		return b
	}
}

func flip(rnd *rand.Rand, n int) func([]byte) []byte {
	return func(b []byte) []byte {
		for range n {
			b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
		}
		return b
	}
}

// damages are the ways in which a file is spoilt. lossless says that nothing
// may be missing afterwards.
func damages(rnd *rand.Rand) map[string]struct {
	f        func([]byte) []byte
	lossless bool
} {
	type d = struct {
		f        func([]byte) []byte
		lossless bool
	}
	m := map[string]d{
		"empty":       {func(b []byte) []byte { return nil }, false},
		"half":        {func(b []byte) []byte { return b[:len(b)/2] }, false},
		"odd":         {func(b []byte) []byte { return b[:len(b)*3/4+123] }, false},
		"one page":    {func(b []byte) []byte { return b[:pageSize] }, false},
		"garbage":     {func(b []byte) []byte { return []byte(strings.Repeat("not a database ", 3000)) }, false},
		"bad header":  {func(b []byte) []byte { copy(b, "spoilt by a dying memory card"); return b }, true},
		"few bits":    {flip(rnd, 5), false},
		"many bits":   {flip(rnd, 200), false},
		"last zeroed": {func(b []byte) []byte { clear(b[len(b)-4*pageSize:]); return b }, false},
	}
	for i := range 4 {
		m[fmt.Sprint("zero page ", i)] = d{zeroPage(i), false}
	}
	for range 3 {
		n := 4 + rnd.IntN(100)
		m[fmt.Sprint("zero page ", n)] = d{zeroPage(n), false}
	}
	return m
}

// TestDamagedQueue: whatever happens to queue.db, the buffer starts, takes
// new messages, gives back what is whole, and reports the rest.
func TestDamagedQueue(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, form := range []string{"in file", "in log"} {
		src := damageSource(t, form == "in file")
		for name, d := range damages(rnd) {
			for _, file := range []string{"queue.db", "queue.db-wal"} {
				if form == "in file" && file != "queue.db" || form == "in log" && file == "queue.db" && name != "bad header" && name != "empty" {
					continue
				}
				dir := memDir(t)
				copyFiles(t, src, dir)
				spoil(t, filepath.Join(dir, file), d.f)
				for _, reader := range []string{"patient", "eager"} {
					t.Run(form+"/"+name+"/"+file+"/"+reader, func(t *testing.T) {
						t.Parallel() // each waits for the next second
						to := memDir(t)
						copyFiles(t, dir, to)
						checkDamaged(t, to, d.lossless && file == "queue.db", reader == "eager")
					})
				}
			}
		}
	}
}

// checkDamaged reads a spoilt queue; eager: while it is still searched.
func checkDamaged(t *testing.T, dir string, lossless, eager bool) {
	b := mustOpen(t, testConfig(dir))
	defer b.Close()
	c := upstream(t, b, "a", "z")[0] // in another order than before
	if err := b.Append(context.Background(), []Item{{Message: text(0), Targets: c.Bit(), Durable: true}}); err != nil {
		t.Fatal(err)
	}
	if !eager {
		waitSearch(t, b)
	}
	got, missing := map[int]int{}, uint64(0)
	fresh := 0
	c.Mark()
	eventually(t, "the queue is empty", func() bool {
		for _, lane := range []Lane{Live, Backlog} {
			for _, e := range drain(t, c, lane) {
				if g, ok := b.parseGap(&e.Message); ok {
					missing += g.Count
				} else if strings.HasPrefix(string(e.Message.Payload), `{"n":`) {
					got[numberOf(e)]++
				} else {
					fresh++
				}
			}
		}
		s := c.Stats()
		b.mu.Lock()
		open := c.report || c.gaps[reasonDamaged].count > 0 || b.salvage
		b.mu.Unlock()
		return s.Messages == 0 && !open
	})
	if fresh != 1 {
		t.Errorf("the new message came %d times", fresh)
	}
	if lossless && len(got) != damageTotal {
		t.Errorf("%d of %d came back", len(got), damageTotal)
	}
	if uint64(len(got))+missing != damageTotal {
		t.Errorf("%d came back and %d are reported missing, of %d", len(got), missing, damageTotal)
	}
	t.Logf("%d came back, %d are reported missing, of %d; moved aside: %v", len(got), missing, damageTotal, b.Stats().MovedAside)
	moved := len(b.Stats().MovedAside) > 0
	if moved {
		for _, name := range b.Stats().MovedAside {
			if !exists(filepath.Join(dir, name)) && !exists(filepath.Join(dir, name+"-wal")) {
				t.Errorf("%s is not there", name)
			}
		}
	}
}

func waitSearch(t *testing.T, b *Buffer) {
	t.Helper()
	eventually(t, "the search ends", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return !b.salvage
	})
}

// TestDamageWhileReading: the file is moved aside while an upstream has some of
// it in hand and goes on reading. What is whole comes, nothing twice but what
// was given back, and what was acknowledged is not counted as missing.
func TestDamageWhileReading(t *testing.T) {
	dir := memDir(t)
	copyFiles(t, damageSource(t, true), dir)
	b := mustOpen(t, testConfig(dir))
	defer b.Close()
	c := upstream(t, b, "a", "z")[0]
	got := map[int]int{}
	take := func(n int) (ids []uint64) {
		for _, lane := range []Lane{Live, Backlog} {
			entries, err := c.Next(lane, 0, n, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if _, ok := b.parseGap(&e.Message); ok {
					t.Errorf("reported missing: %s", e.Message.Payload)
				} else {
					got[numberOf(e)]++
				}
				ids = append(ids, e.ID)
			}
		}
		return ids
	}
	c.Ack(take(20)...)
	before, after := take(20), take(20)
	if err := b.call(func() error { return b.w.replace(errDamaged) }); err != nil {
		t.Fatal(err)
	}
	c.Ack(before...) // maybe before they are found, maybe after
	c.Ack(take(20)...)
	waitSearch(t, b)
	c.Ack(after...) // certainly after
	eventually(t, "all have come", func() bool {
		c.Ack(take(100)...)
		return len(got) == damageTotal && c.Stats().Messages == 0
	})
	for n, times := range got {
		if times != 1 {
			t.Errorf("%d came %d times", n, times)
		}
	}
	if s := c.Stats(); s.Dropped["damaged"] != 0 {
		t.Errorf("counted as lost: %d", s.Dropped["damaged"])
	}
}

// TestDamagedState: whatever happens to state.db, the buffer starts, keeps
// the queue, and the state works.
func TestDamagedState(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	src := damageSource(t, true)
	for name, d := range damages(rnd) {
		t.Run(name, func(t *testing.T) {
			dir := memDir(t)
			copyFiles(t, src, dir)
			spoil(t, filepath.Join(dir, "state.db"), d.f)
			b := mustOpen(t, testConfig(dir))
			defer b.Close()
			s := b.State()
			ctx := context.Background()
			sessions, retained, err := s.Load(ctx)
			if err != nil {
				sessions, retained, err = s.Load(ctx) // found damaged just now: replaced
			}
			if err != nil {
				t.Fatal(err)
			}
			after, n := uint64(0), 0
			for len(sessions) > 0 {
				q, err := s.Pending(ctx, "s", after, 100)
				if err != nil || len(q) == 0 {
					break
				}
				n += len(q)
				after = q[len(q)-1].Seq
			}
			t.Logf("%d sessions, %d retained, %d queued came back", len(sessions), len(retained), n)
			m := text(1)
			err = s.Apply(ctx, true, []mqtt.StoreChange{
				{PutSession: &mqtt.SessionState{ClientID: "new"}}, {Retain: &m},
				{Enqueue: &mqtt.SessionEntry{ClientID: "new", Queued: mqtt.Queued{Seq: 1, Message: m}}}})
			if err != nil {
				t.Fatal(err)
			}
			if q, err := s.Pending(ctx, "new", 0, 10); err != nil || len(q) != 1 {
				t.Fatal(q, err)
			}
			c := upstream(t, b, "a", "z")[0]
			if n := len(drain(t, c, Backlog)); n != damageTotal {
				t.Errorf("%d of %d of the queue", n, damageTotal)
			}
		})
	}
}
