package buffer

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

// setPages changes the largest size of queue.db: a disk that is full.
func setPages(t *testing.T, b *Buffer, pages string) {
	t.Helper()
	err := b.call(func() error {
		b.db.mu.Lock()
		defer b.db.mu.Unlock()
		_, err := b.db.numberLocked("PRAGMA max_page_count=" + pages)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFullDisk: on a full disk the oldest go and are reported; what was
// acknowledged to a publisher and is not reported comes back.
func TestFullDisk(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	cfg := testConfig(t.TempDir())
	b := mustOpen(t, cfg)
	defer b.Close()
	c := upstream(t, b, "a")[0]
	const total = 400
	for n := range total {
		if n == 100 {
			setPages(t, b, "1") // no more than there are
		}
		if err := b.Append(context.Background(), []Item{{Message: noise(rnd, n, 20_000), Targets: 1, Durable: true}}); err != nil {
			t.Fatal(err)
		}
	}
	got, gaps := account(t, c)
	missing := uint64(0)
	for _, g := range gaps {
		missing += g.Count
	}
	if uint64(len(got))+missing != total || missing == 0 || got[total-1] != 1 {
		t.Fatalf("%d delivered, %d reported, of %d", len(got), missing, total)
	}
}

// TestFullDiskBlocks: where nothing may be dropped, publishers wait until
// there is room again, values beyond the memory's limit are counted, and the
// upstream can still drain.
func TestFullDiskBlocks(t *testing.T) {
	defer func(d time.Duration) { retryFull = d }(retryFull)
	retryFull = 20 * time.Millisecond
	rnd := rand.New(rand.NewPCG(1, 2))
	cfg := testConfig(t.TempDir())
	cfg.Full = FullBlock
	b := mustOpen(t, cfg)
	defer b.Close()
	c := upstream(t, b, "a")[0]
	put := func(ctx context.Context, n int) error {
		return b.Append(ctx, []Item{{Message: noise(rnd, n, 20_000), Targets: 1, Durable: true}})
	}
	for n := range 50 {
		if err := put(context.Background(), n); err != nil {
			t.Fatal(err)
		}
	}
	setPages(t, b, "1")
	n := 50
	for ; ; n++ {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		err := put(ctx, n)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the buffer says so", func() bool { return b.Stats().Degraded != "" })
	done := make(chan error, 1)
	go func() { done <- put(context.Background(), n+1) }()
	setPages(t, b, "1000000")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	eventually(t, "the buffer is well again", func() bool { return b.Stats().Degraded == "" })
	got, gaps := account(t, c)
	if len(got) != n+2 || len(gaps) != 0 {
		t.Fatalf("%d of %d, gaps %+v", len(got), n+2, gaps)
	}
}

// breakDB closes the connection under the writer, as an I/O error that lasts.
func breakDB(b *Buffer, path string) error {
	return b.call(func() error {
		b.db.mu.Lock()
		defer b.db.mu.Unlock()
		b.db.path = path
		return b.db.closeLocked()
	})
}

// TestBrokenDisk: while queue.db cannot be opened, publishers are not
// acknowledged, messages go on to the upstream from memory, memory is bounded
// and its losses are counted; afterwards everything is as before.
func TestBrokenDisk(t *testing.T) {
	defer func(d time.Duration) { retryIO = d }(retryIO)
	retryIO = 20 * time.Millisecond
	cfg := testConfig(t.TempDir())
	var events atomic.Int64
	b, err := Open(cfg, Options{GatewayID: "gw", Events: func(Event) { events.Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c := upstream(t, b, "a")[0]
	if err := b.Append(context.Background(), []Item{{Message: noise(rand.New(rand.NewPCG(1, 2)), 0, 10), Targets: 1, Durable: true}}); err != nil {
		t.Fatal(err)
	}
	good := b.db.path
	if err := breakDB(b, filepath.Join(cfg.Dir, "gone", "queue.db")); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	waiting := make(chan error, 1)
	go func() {
		waiting <- b.Append(context.Background(), []Item{{Message: noise(rnd, 1, 100), Targets: 1, Durable: true}})
	}()
	eventually(t, "the buffer says so", func() bool { return b.Stats().Degraded != "" })
	select {
	case err := <-waiting:
		t.Fatalf("acknowledged without a disk: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	// Handed on from memory: that is as good as stored.
	got := drain(t, c, Live)
	if err := <-waiting; err != nil || len(got) == 0 {
		t.Fatal(err, len(got))
	}
	const values = 3000
	for n := range values {
		if err := b.Append(context.Background(), []Item{{Message: noise(rnd, 2+n, 10_000), Targets: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	s := b.Stats()
	if s.MemoryBytes > ramLimit+1<<20 || c.Stats().Dropped["disk"] == 0 {
		t.Fatalf("%d bytes in memory, dropped %v", s.MemoryBytes, c.Stats().Dropped)
	}
	if err := breakDB(b, good); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the buffer is well again", func() bool { return b.Stats().Degraded == "" })
	account2, gaps := account(t, c)
	missing := uint64(0)
	for _, g := range gaps {
		missing += g.Count
	}
	delete(account2, 0)
	delete(account2, 1)
	if uint64(len(account2))+missing != values || events.Load() < 2 {
		t.Fatalf("%d delivered, %d reported, of %d; %d events", len(account2), missing, values, events.Load())
	}
}

// TestDirectory: what a person can put right is one sentence with the remedy.
func TestDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Config{Dir: file}, Options{})
	if err == nil || !contains(err.Error(), "buffer.dir "+file+" cannot be written", "a file is in its place") {
		t.Errorf("a file as directory: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "new", "dir")
	b := mustOpen(t, testConfig(dir))
	defer b.Close()
	if _, err := Open(testConfig(dir), Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second gateway: %v", err)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o700, dir + "/queue.db": 0o600, dir + "/state.db": 0o600, dir + "/queue.db-wal": 0o600} {
		st, err := os.Stat(path)
		if err != nil || st.Mode().Perm() != mode {
			t.Errorf("%s: %v %v, want %v", path, st.Mode(), err, mode)
		}
	}
}

func contains(s string, parts ...string) bool {
	for _, p := range parts {
		found := false
		for i := 0; i+len(p) <= len(s); i++ {
			found = found || s[i:i+len(p)] == p
		}
		if !found {
			return false
		}
	}
	return true
}

// TestStateBrokenDisk: what waits for the broker's state survives a disk that
// comes back.
func TestStateBrokenDisk(t *testing.T) {
	defer func(d time.Duration) { retryFull = d }(retryFull)
	retryFull = 20 * time.Millisecond
	cfg := testConfig(t.TempDir())
	cfg.Commit = conf.Duration(10 * time.Millisecond)
	b := mustOpen(t, cfg)
	defer b.Close()
	s := b.State()
	s.db.mu.Lock()
	good := s.db.path
	s.db.path = filepath.Join(cfg.Dir, "gone", "state.db")
	s.db.closeLocked()
	s.db.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		done <- s.Apply(context.Background(), true, []mqtt.StoreChange{{PutSession: &mqtt.SessionState{ClientID: "a"}},
			{Enqueue: &mqtt.SessionEntry{ClientID: "a", Queued: mqtt.Queued{Seq: 1, Message: text(1)}}}})
	}()
	select {
	case err := <-done:
		t.Fatalf("acknowledged without a disk: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	s.db.mu.Lock()
	s.db.path = good
	s.db.mu.Unlock()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if q, err := s.Pending(context.Background(), "a", 0, 9); err != nil || len(q) != 1 {
		t.Fatal(q, err)
	}
}
