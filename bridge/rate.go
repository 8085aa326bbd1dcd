package bridge

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parseRate reads "200/s", "30/m" or "1000/h" as messages per second.
func parseRate(text string) (perSecond float64, err error) {
	bad := fmt.Errorf(`%q is not a rate; write for example "200/s", "30/m" or "1000/h"`, text)
	count, unit, ok := strings.Cut(text, "/")
	if !ok {
		return 0, bad
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(count), 64)
	if err != nil || !(n > 0) || n > 1e6 {
		return 0, bad
	}
	switch strings.TrimSpace(unit) {
	case "s":
		return n, nil
	case "m", "min":
		return n / 60, nil
	case "h":
		return n / 3600, nil
	}
	return 0, bad
}

// bucket is a token bucket that holds what a quarter of a second brings, at
// least one. The zero bucket lets everything through. Its owner locks.
type bucket struct {
	rate   float64 // per second; 0: no limit
	tokens float64
	last   time.Time
}

func newBucket(rate float64) bucket { return bucket{rate: rate, tokens: max(1, rate/4)} }

// owe takes a token that need not be there: what follows waits for it.
func (b *bucket) owe(now time.Time) {
	if _, ok := b.take(now); !ok {
		b.tokens--
	}
}

// take takes a token; where there is none it says how long to wait for one.
func (b *bucket) take(now time.Time) (wait time.Duration, ok bool) {
	if b.rate == 0 {
		return 0, true
	}
	if !b.last.IsZero() {
		b.tokens = min(max(1, b.rate/4), b.tokens+now.Sub(b.last).Seconds()*b.rate)
	}
	b.last = now
	if b.tokens < 1 {
		return time.Duration((1-b.tokens)/b.rate*float64(time.Second)).Round(time.Microsecond) + time.Microsecond, false
	}
	b.tokens--
	return 0, true
}
