package buffer

import (
	"context"
	"os"
	"testing"
	"time"
)

// TestBench runs the benchmark of `fieldgate bench queue` for a moment: every
// message must come back, and every figure be there.
func TestBench(t *testing.T) {
	per := 40 * time.Millisecond
	if os.Getenv("FIELDGATE_LONG") != "" {
		per = 5 * time.Second
	}
	res, err := Bench(context.Background(), t.TempDir(), per, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(res) != len(BenchBatches) {
		t.Fatalf("%d results", len(res))
	}
	for _, r := range res {
		t.Log(r)
		if r.QueuePerSecond <= 0 || r.RawPerSecond <= 0 || r.DrainPerSecond <= 0 || r.StoredBytes <= 0 || r.Commits == 0 {
			t.Errorf("batch %d has no figures", r.Batch)
		}
	}
}
