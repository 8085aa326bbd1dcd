package broker

import "time"

// bucket limits a rate. The zero bucket is full. It is for one goroutine or lock.
type bucket struct {
	level float64 // taken beyond what has flowed back
	last  time.Time
}

// take takes n and returns how long to wait until that is within rate per
// second; a second's worth may be taken at once.
func (k *bucket) take(rate, n int, now time.Time) time.Duration {
	k.level = max(0, k.level-now.Sub(k.last).Seconds()*float64(rate)) + float64(n)
	k.last = now
	if over := k.level - float64(rate); over > 0 {
		return time.Duration(over / float64(rate) * float64(time.Second))
	}
	return 0
}

// peek is the level now.
func (k *bucket) peek(rate int, now time.Time) float64 {
	return max(0, k.level-now.Sub(k.last).Seconds()*float64(rate))
}
