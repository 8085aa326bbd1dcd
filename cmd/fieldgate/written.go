package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// writtenBytes is what this process had written to block devices, from
// /proc/self/io; 0 where that cannot be read.
func writtenBytes() uint64 {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if digits, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			n, _ := strconv.ParseUint(strings.TrimSpace(digits), 10, 64)
			return n
		}
	}
	return 0
}

// writtenKey is where an earlier run of this day left its figure.
const writtenKey = "written-today"

// writtenToday counts from local midnight, over restarts: what a run leaves
// every ten minutes and at its end, the next one adds.
type writtenToday struct {
	mu     sync.Mutex
	day    string
	start  uint64 // of this process at midnight
	before uint64 // by earlier runs of this day
	kept   time.Time
}

func (w *writtenToday) today(now time.Time, total uint64) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.todayLocked(now, total)
}

func (w *writtenToday) todayLocked(now time.Time, total uint64) uint64 {
	if day := now.Format(time.DateOnly); day != w.day {
		if w.day != "" {
			w.start, w.before = total, 0
		}
		w.day = day
	}
	w.start = min(w.start, total) // the kernel's figure could not be read
	return w.before + total - w.start
}

// load takes over what an earlier run has left, if that was today.
func (w *writtenToday) load(now time.Time, value []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	day, text, _ := strings.Cut(string(value), " ")
	n, err := strconv.ParseUint(text, 10, 64)
	if w.day = now.Format(time.DateOnly); err == nil && day == w.day {
		w.before = n
	}
	w.kept = now
}

// value is what load reads.
func (w *writtenToday) value(now time.Time, total uint64) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.todayLocked(now, total)
	w.kept = now
	return []byte(w.day + " " + strconv.FormatUint(n, 10))
}

// due reports that it is time to keep the figure.
func (w *writtenToday) due(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return now.Sub(w.kept).Abs() >= trustEvery
}

// loadWritten reads what an earlier run has written today. That it cannot is
// no reason not to start.
func (g *gateway) loadWritten() error {
	value, _, err := g.buffer.Get(writtenKey)
	if err != nil {
		g.log.Warn("cannot read how much was written today", "error", err)
	}
	g.written.load(time.Now(), value)
	return nil
}

// keepWritten keeps the figure for the next run; it rides in a commit that
// happens anyway.
func (g *gateway) keepWritten() {
	if err := g.buffer.Put(writtenKey, g.written.value(time.Now(), writtenBytes())); err != nil {
		g.log.Warn("cannot keep how much was written today", "error", err)
	}
}

// age is a length of time for people: "41 s", "37 min", "2 h 10 min", "12 d 4 h".
func age(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}

// bytesText is a size for people: "3.1 MiB".
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 || f >= 100 {
		return fmt.Sprintf("%.0f %s", f, units[i])
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}
