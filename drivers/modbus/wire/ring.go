package wire

import (
	"encoding/hex"
	"sync"
	"time"

	"fieldgate/buffer/clock"
)

// ringSize is how many exchanges a line remembers.
const ringSize = 200

// Exchange is one request and what came back, for people.
type Exchange struct {
	At       clock.Stamp // end of the exchange
	Unit     byte
	Sent     string // hex, bytes separated by spaces
	Received string // everything, noise and echo included
	Error    string
	Took     time.Duration
}

// ring keeps the last exchanges. Its slots are reused, so that a running line
// allocates nothing for it.
type ring struct {
	mu    sync.Mutex
	slots []slot
	next  int
}

type slot struct {
	at     clock.Stamp
	unit   byte
	tx, rx []byte
	err    string
	took   time.Duration
}

func (r *ring) add(at clock.Stamp, unit byte, tx, rx []byte, took time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.slots) < ringSize {
		r.slots = append(r.slots, slot{})
	}
	s := &r.slots[r.next%len(r.slots)]
	if r.next < ringSize {
		s = &r.slots[len(r.slots)-1]
	}
	r.next++
	s.at, s.unit, s.took, s.err = at, unit, took, ""
	s.tx = append(s.tx[:0], tx...)
	s.rx = append(s.rx[:0], rx...)
	if err != nil {
		s.err = err.Error()
	}
}

// Exchanges lists the last 200 exchanges, oldest first. unit < 0 means all units.
func (l *Line) Exchanges(unit int) []Exchange {
	r := &l.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Exchange
	for i := range r.slots {
		s := &r.slots[i]
		if len(r.slots) == ringSize {
			s = &r.slots[(r.next+i)%ringSize]
		}
		if unit >= 0 && s.unit != byte(unit) {
			continue
		}
		out = append(out, Exchange{At: s.at, Unit: s.unit, Sent: spaced(s.tx), Received: spaced(s.rx), Error: s.err, Took: s.took})
	}
	return out
}

func spaced(b []byte) string {
	out := make([]byte, 0, 3*len(b))
	for i := range b {
		if i > 0 {
			out = append(out, ' ')
		}
		out = hex.AppendEncode(out, b[i:i+1])
	}
	return string(out)
}
