package modbus

import (
	"slices"
	"time"
)

// delaysKept is how many polls the percentiles of their delay cover.
const delaysKept = 128

// delays are how late the last polls of a device began. Its owner locks.
type delays struct {
	ring [delaysKept]time.Duration
	n    int
}

func (d *delays) add(late time.Duration) {
	d.ring[d.n%delaysKept] = max(late, 0)
	d.n++
}

// percentiles are those of the last polls, 0 where there are none.
func (d *delays) percentiles() (p50, p99 time.Duration) {
	n := min(d.n, delaysKept)
	if n == 0 {
		return 0, 0
	}
	sorted := slices.Clone(d.ring[:n])
	slices.Sort(sorted)
	return sorted[n/2], sorted[n*99/100]
}
