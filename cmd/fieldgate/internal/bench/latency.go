package bench

import (
	"fmt"
	"slices"
	"time"
)

// Latency sums up many times.
type Latency struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
	Max   float64 `json:"max_ms"`
}

// summarise sorts times and picks from them.
func summarise(times []time.Duration) Latency {
	if len(times) == 0 {
		return Latency{}
	}
	slices.Sort(times)
	return Latency{len(times), ms(quantile(times, 0.5)), ms(quantile(times, 0.99)), ms(times[len(times)-1])}
}

// quantile is the value that the share q of the sorted times does not exceed
// (nearest rank).
func quantile(sorted []time.Duration, q float64) time.Duration {
	i := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (l Latency) String() string {
	return fmt.Sprintf("p50 %.2f ms, p99 %.2f ms, max %.2f ms (%d)", l.P50, l.P99, l.Max, l.Count)
}
