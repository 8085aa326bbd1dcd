package buffer

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"

	"golang.org/x/sys/unix"
)

// BenchResult is one batch size of Bench: the queue, and next to it a raw log
// (append, fdatasync) of the same messages on the same disk in the same run.
type BenchResult struct {
	Batch            int     `json:"batch"`
	Commits          int     `json:"commits"`
	RawPerSecond     float64 `json:"raw_per_s"`          // messages
	QueuePerSecond   float64 `json:"queue_per_s"`        // messages, each batch committed and synced
	Ratio            float64 `json:"ratio"`              // queue / raw
	RawBytes         float64 `json:"raw_bytes"`          // per message: record of the raw log
	StoredBytes      float64 `json:"stored_bytes"`       // per message: segments, compressed
	WrittenPerCommit float64 `json:"written_per_commit"` // bytes per commit, from write_bytes of /proc/self/io; 0 where it cannot be read
	RawWritten       float64 `json:"raw_written"`        // the same of the raw log, per message
	QueueWritten     float64 `json:"queue_written"`      // the same of the queue, per message
	DrainPerSecond   float64 `json:"drain_per_s"`        // messages read from disk and acknowledged
	P99              float64 `json:"commit_p99_ms"`      // time of one Append
}

// BenchBatches are the batch sizes that Bench tries.
var BenchBatches = []int{1, 10, 100, 1000}

// Bench measures what the queue costs on the disk of dir, in a directory of
// its own that it removes. It takes about perBatch for each batch size;
// progress, which may be nil, is told of each step.
func Bench(ctx context.Context, dir string, perBatch time.Duration, progress func(step string)) ([]BenchResult, error) {
	tmp, err := os.MkdirTemp(dir, ".fieldgate-bench-*")
	if err != nil {
		return nil, fmt.Errorf("bench in %s: %w", dir, err)
	}
	defer os.RemoveAll(tmp)
	if progress == nil {
		progress = func(string) {}
	}
	benchPool()
	var out []BenchResult
	for _, batch := range BenchBatches {
		progress(fmt.Sprintf("batch %d", batch))
		r, err := benchBatch(ctx, filepath.Join(tmp, fmt.Sprint(batch)), batch, perBatch)
		if err != nil {
			return out, fmt.Errorf("bench batch %d: %w", batch, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// benchBatch alternates rounds of both, so that a disk that gets slower or
// faster meanwhile does so for both.
func benchBatch(ctx context.Context, dir string, batch int, budget time.Duration) (r BenchResult, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return r, err
	}
	b, err := Open(Config{Dir: dir, MaxSize: 4 << 30, MinFree: 1, Commit: conf.Duration(MaxCommit)}, Options{})
	if err != nil {
		return r, err
	}
	defer b.Close()
	if err := b.Upstreams([]string{"bench"}); err != nil {
		return r, err
	}
	c, err := b.Cursor("bench")
	if err != nil {
		return r, err
	}
	raw, err := os.OpenFile(filepath.Join(dir, "raw.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return r, err
	}
	defer raw.Close()

	const rounds = 8
	var rawTime, queueTime time.Duration
	var rawN, queueN, rawCommits, commits int
	var rawIO, queueIO uint64
	var times []time.Duration
	slice := budget / (2 * rounds)
	for range rounds {
		io := writtenBytes()
		start := time.Now()
		for time.Since(start) < slice && ctx.Err() == nil {
			if err := rawAppend(raw, rawN, batch, &r.RawBytes); err != nil {
				return r, err
			}
			rawN += batch
			rawCommits++
		}
		rawTime += time.Since(start)
		rawIO += writtenBytes() - io
		io = writtenBytes()
		start = time.Now()
		for time.Since(start) < slice && ctx.Err() == nil {
			t := time.Now()
			if err := b.Append(ctx, benchItems(queueN, batch, c.Bit())); err != nil {
				return r, err
			}
			times = append(times, time.Since(t))
			queueN += batch
			commits++
		}
		queueTime += time.Since(start)
		queueIO += writtenBytes() - io
	}
	if err := ctx.Err(); err != nil {
		return r, err
	}
	s := b.Stats()
	slices.Sort(times)
	r.Batch, r.Commits = batch, commits
	r.RawPerSecond = float64(rawN) / rawTime.Seconds()
	r.QueuePerSecond = float64(queueN) / queueTime.Seconds()
	r.Ratio = r.QueuePerSecond / r.RawPerSecond
	r.RawBytes /= float64(rawN)
	r.StoredBytes = float64(s.SegmentBytes) / float64(max(s.Committed, 1))
	r.RawWritten = float64(rawIO) / float64(rawN)
	r.QueueWritten = float64(queueIO) / float64(queueN)
	r.WrittenPerCommit = float64(queueIO) / float64(commits)
	r.P99 = float64(times[len(times)*99/100]) / 1e6
	r.DrainPerSecond, err = benchDrain(c, queueN)
	return r, err
}

// benchDrain reads all back as a bridge does after an outage.
func benchDrain(c *Cursor, want int) (float64, error) {
	c.Mark()
	start := time.Now()
	n := 0
	ids := make([]uint64, 0, 256)
	for {
		got, err := c.Next(Backlog, 0, 256, 1<<20)
		if err != nil {
			return 0, err
		}
		if len(got) == 0 {
			break
		}
		ids = ids[:0]
		for i := range got {
			ids = append(ids, got[i].ID)
		}
		c.Ack(ids...)
		n += len(got)
	}
	if n != want {
		return 0, fmt.Errorf("%d of %d messages came back", n, want)
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

// benchMessage is a value as a tag gives it: 200 bytes of JSON on a topic of 28.
func benchMessage(n int) mqtt.Message {
	return mqtt.Message{
		Topic: fmt.Sprintf("plant7/hall2/meter%02d/value%03d", n%40, n%100),
		Payload: fmt.Appendf(nil, `{"value":%d.%02d,"ts":%d,"quality":"good","unit":"kWh","device":"meter%02d","tag":"value%03d","seq":%d,"note":"a value of about two hundred bytes as JSON, as many tools send them"}`,
			n%1000, n%97, 1767225600000+int64(n)*10, n%40, n%100, n),
		QoS: 1,
	}
}

// benchPool are the messages of a bench, made before the clock runs.
var benchPool = sync.OnceValue(func() []mqtt.Message {
	pool := make([]mqtt.Message, 20000)
	for i := range pool {
		pool[i] = benchMessage(i)
	}
	return pool
})

func benchItems(from, n int, bit uint64) []Item {
	pool := benchPool()
	items := make([]Item, n)
	for i := range items {
		items[i] = Item{Message: pool[(from+i)%len(pool)], Targets: bit, Durable: true}
	}
	return items
}

// rawAppend writes a batch with a length before each record and one fdatasync
// after it: the least that any durable log does.
func rawAppend(f *os.File, from, n int, bytes *float64) error {
	pool := benchPool()
	var buf []byte
	for i := range n {
		m := &pool[(from+i)%len(pool)]
		buf = appendString(buf, m.Topic)
		buf = appendBytes(buf, m.Payload)
	}
	*bytes += float64(len(buf))
	if _, err := f.Write(buf); err != nil {
		return err
	}
	return unix.Fdatasync(int(f.Fd()))
}

// writtenBytes is what this process caused to be written to disks so far.
func writtenBytes() uint64 {
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	var n uint64
	for line := range splitLines(b) {
		if _, err := fmt.Sscanf(line, "write_bytes: %d", &n); err == nil {
			return n
		}
	}
	return 0
}

func splitLines(b []byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		start := 0
		for i, c := range b {
			if c == '\n' {
				if !yield(string(b[start:i])) {
					return
				}
				start = i + 1
			}
		}
	}
}

// String is the result as JSON.
func (r BenchResult) String() string {
	b, err := json.Marshal(r)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
