package siege

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"fieldgate/cmd/fieldgate/internal/proctest"
	"fieldgate/mqtt"
)

// TestSoak lets 1,000 messages a second through while the link is cut again and
// again; nothing the gateway holds grows: memory, descriptors, logs, the empty
// pages of the queue. FIELDGATE_SOAK says how long the long form takes.
func TestSoak(t *testing.T) {
	length, every, sample := 12*time.Second, 3*time.Second, 250*time.Millisecond
	if long() {
		length, every, sample = 10*time.Minute, time.Minute, time.Second
		if d, err := time.ParseDuration(os.Getenv("FIELDGATE_SOAK")); err == nil {
			length = d
		}
	}
	up := newUpstream(t)
	up.forget = true
	plc := newCounter(t)
	g := newGateway(t, "min_free = \"1MiB\"", fmt.Sprintf(`%s
[[upstream]]
name = "cloud"
url = %q
connect = { backoff_min = "100ms", backoff_max = "500ms" }
drain = { rate = "5000/s" }
[[upstream.route]]
from = "#"
`, plc.section("100ms"), up.url()))
	g.start()
	var running sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for i := range 4 {
		p := newPublisher(g.port, fmt.Sprintf("p%d", i), mqtt.V5, mqtt.QoS(1+i%2))
		p.every, p.forget = 4*time.Millisecond, true
		running.Go(func() { p.run(ctx, t) })
	}
	var seen []usage
	cut := time.Now()
	for end := time.Now().Add(length); time.Now().Before(end); time.Sleep(sample) {
		if time.Since(cut) > every {
			up.link.Cut()
			time.AfterFunc(every/6, up.link.Restore)
			cut = time.Now()
		}
		seen = append(seen, g.usage())
	}
	up.link.Restore()
	stop()
	running.Wait()
	proctest.Eventually(t, "the queue is empty", func() bool { return g.queues()["cloud"].Messages < 50 })
	checkSlopes(t, seen)
	if q := g.queues()["cloud"]; dropped(q) > 0 || q.Enqueued < uint64(length.Seconds())*100 {
		t.Errorf("%d were queued, dropped %v", q.Enqueued, q.Dropped)
	}
}

// checkSlopes compares the second quarter with the last one.
func checkSlopes(t *testing.T, seen []usage) {
	t.Helper()
	n := len(seen)
	for _, f := range []struct {
		name  string
		slack int64
		of    func(usage) int64
	}{
		{"RSS", 8 << 20, func(u usage) int64 { return u.rss }},
		{"descriptors", 4, func(u usage) int64 { return int64(u.files) }},
		{"bytes of the logs", 5 << 20, func(u usage) int64 { return u.wal }},
		{"empty pages", 1024, func(u usage) int64 { return u.freelist }},
	} {
		early, late := median(seen[n/4:n/2], f.of), median(seen[3*n/4:], f.of)
		t.Logf("%s: %d, later %d", f.name, early, late)
		if late > early+early/10+f.slack {
			t.Errorf("%s grow from %d to %d", f.name, early, late)
		}
	}
}

func median(list []usage, of func(usage) int64) int64 {
	var all []int64
	for _, u := range list {
		all = append(all, of(u))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
