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

// writtenToday counts from local midnight, or from the start where that is later.
type writtenToday struct {
	mu    sync.Mutex
	day   string
	start uint64
}

func (w *writtenToday) today(now time.Time, total uint64) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if day := now.Format(time.DateOnly); day != w.day {
		if w.day != "" {
			w.start = total
		}
		w.day = day
	}
	w.start = min(w.start, total) // the kernel's figure could not be read
	return total - w.start
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
