package bridge

import (
	"hash/maphash"
	"sync"
	"time"

	"fieldgate/mqtt"
)

// Limits of the loop guards.
const (
	echoKeep    = 5 * time.Second
	echoEntries = 4096
	echoBreak   = 50          // echoes in a second that open the breaker
	breakerOpen = time.Minute // how long nothing comes down then
)

// echoes remembers what was sent up in the last seconds, so that the same
// message coming down is known as an echo whatever the upstream supports. It
// is used only where a command may bring back what a route sends.
type echoes struct {
	seed maphash.Seed

	mu      sync.Mutex
	at      map[uint64]time.Time
	ring    [echoEntries]uint64
	next    int
	second  time.Time // start of the second that count counts
	count   int
	opened  time.Time // when the breaker opened; zero: closed
	dropped uint64
}

func newEchoes() *echoes {
	return &echoes{seed: maphash.MakeSeed(), at: make(map[uint64]time.Time)}
}

func (e *echoes) hash(topic string, payload []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(e.seed)
	h.WriteString(topic)
	h.WriteByte(0)
	h.Write(payload)
	return h.Sum64()
}

// sent notes a message that goes up.
func (e *echoes) sent(m *mqtt.Message, now time.Time) {
	h := e.hash(m.Topic, m.Payload)
	e.mu.Lock()
	defer e.mu.Unlock()
	if old := e.ring[e.next]; old != 0 {
		delete(e.at, old)
	}
	e.ring[e.next] = h
	e.next = (e.next + 1) % echoEntries
	e.at[h] = now
}

// received reports whether a message that came down must be dropped: it is an
// echo, or the breaker is open. tripped is true for the echo that opens it.
func (e *echoes) received(m *mqtt.Message, now time.Time) (drop, tripped bool) {
	h := e.hash(m.Topic, m.Payload)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.opened.IsZero() {
		if now.Sub(e.opened) < breakerOpen {
			e.dropped++
			return true, false
		}
		e.opened, e.count = time.Time{}, 0
	}
	at, ok := e.at[h]
	if !ok || now.Sub(at) > echoKeep {
		return false, false
	}
	e.dropped++
	if now.Sub(e.second) >= time.Second {
		e.second, e.count = now, 0
	}
	if e.count++; e.count > echoBreak {
		e.opened = now
		return true, true
	}
	return true, false
}

// cameRound reports that a message carries our own mark, or has passed too
// many gateways.
func cameRound(m *mqtt.Message, gateway string) bool {
	if m.Props == nil {
		return false
	}
	return originOf(m.Props.User) == gateway || hopsOf(m.Props.User) >= maxHops
}

// total is how many echoes were dropped.
func (e *echoes) total() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dropped
}
