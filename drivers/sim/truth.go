package sim

import (
	"sync"

	"fieldgate/buffer/clock"
	"fieldgate/drivers"
)

// keep is how many presented values a device remembers.
const keep = 8192

// Presented is a value that a device has told a reader.
type Presented struct {
	Device, Tag string
	Raw         drivers.Value // as in the register or the line
	Value       float64       // Raw × scale; 1 and 0 for true and false
	At          clock.Stamp   // when it was told, before any delay of the line
	Number      uint64        // 1 for the first value of this tag
}

// truth remembers what a device has presented.
type truth struct {
	mu     sync.Mutex
	ring   []Presented
	next   int
	counts map[string]uint64
	on     func([]Presented)
}

// add numbers values and keeps them.
func (t *truth) add(values []Presented) {
	if len(values) == 0 {
		return
	}
	t.mu.Lock()
	if t.counts == nil {
		t.counts = map[string]uint64{}
	}
	for i := range values {
		t.counts[values[i].Tag]++
		values[i].Number = t.counts[values[i].Tag]
		if len(t.ring) < keep {
			t.ring = append(t.ring, values[i])
		} else {
			t.ring[t.next] = values[i]
			t.next = (t.next + 1) % keep
		}
	}
	on := t.on
	t.mu.Unlock()
	if on != nil {
		on(values)
	}
}

// Presented returns the last values told, oldest first, at most 8192.
func (t *truth) Presented() []Presented {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append(append([]Presented(nil), t.ring[t.next:]...), t.ring[:t.next]...)
}

// OnPresent sets a function that is called with all values of each answer, in
// the goroutine that answers. Set it before Run.
func (t *truth) OnPresent(f func([]Presented)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.on = f
}
