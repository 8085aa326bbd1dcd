package buffer

import (
	"context"
	"os"
	"runtime"
	"testing"
	"time"

	"fieldgate/configs/conf"
)

// TestStartWithBacklog: start-up and memory do not depend on what is queued.
// FIELDGATE_LONG=1 queues ten million samples.
func TestStartWithBacklog(t *testing.T) {
	total := 100_000
	if os.Getenv("FIELDGATE_LONG") != "" {
		total = 10_000_000
	}
	cfg := testConfig(t.TempDir())
	cfg.MaxSize, cfg.Commit = 4<<30, conf.Duration(time.Second)
	b := mustOpen(t, cfg)
	upstream(t, b, "a")
	items := make([]Item, 1000)
	for n := 0; n < total; n += len(items) {
		for i := range items {
			items[i] = Item{Message: benchPool()[(n+i)%len(benchPool())], Targets: 1, Durable: i == 0}
		}
		if err := b.Append(context.Background(), items); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	b = mustOpen(t, cfg)
	defer b.Close()
	c := upstream(t, b, "a")[0]
	took := time.Since(start)
	got, err := c.Next(Backlog, 0, 10, 1<<20)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if err != nil || len(got) != 10 || c.Stats().Messages != int64(total) {
		t.Fatal(err, len(got), c.Stats().Messages)
	}
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("start with %d queued took %v, %d KiB more heap", total, took, grown>>10)
	if took > 20*time.Second || grown > 16<<20 { // a second on an idle machine; this one may be loaded
		t.Errorf("start took %v, %d bytes more heap", took, grown)
	}
}
