package bridge

import (
	"sync"
	"time"
)

// Limits of the commands whose result is awaited.
const (
	askedMax  = 256
	askedKeep = 5 * time.Minute
)

// asked remembers where the result of a command goes that came from the
// upstream without a Response Topic: from the topic of its result here to the
// topic of its result there.
type asked struct {
	mu   sync.Mutex
	list []question // oldest first
}

type question struct {
	here, there string
	at          time.Time
}

// add notes a command; the oldest gives way where there are too many.
func (a *asked) add(here, there string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.list) > 0 && (len(a.list) >= askedMax || now.Sub(a.list[0].at) > askedKeep) {
		a.list = a.list[1:]
	}
	a.list = append(a.list, question{here, there, now})
}

// take finds and forgets the oldest command whose result is published on a
// topic here.
func (a *asked) take(here string) (there string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, q := range a.list {
		if q.here == here && time.Since(q.at) <= askedKeep {
			a.list = append(a.list[:i], a.list[i+1:]...)
			return q.there, true
		}
	}
	return "", false
}
