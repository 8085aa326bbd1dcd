package main

import (
	"context"
	"encoding/json"
	"strings"
	"sync"

	"fieldgate/mqtt"
)

// account compares what the gateway produced with what arrived in the demo's
// cloud: every sample that left a device once, or it is lost; more often, and
// it is repeated.
type account struct {
	prefix string // of topics in the cloud

	mu          sync.Mutex
	outstanding map[string]int // samples under way, by topic, value and quality
	waiting     int            // their sum
	produced    int
	delivered   int
	repeated    int
	first       func(mqtt.Message) // called once, with the first sample
}

func newAccount(prefix string, first func(mqtt.Message)) *account {
	return &account{prefix: prefix, outstanding: map[string]int{}, first: first}
}

// key leaves the time out: a value that was read before the clock was set gets
// its right time on the way.
func key(topic string, payload []byte) string {
	var v struct {
		Value   json.RawMessage `json:"value"`
		Quality string          `json:"quality"`
	}
	if json.Unmarshal(payload, &v) != nil {
		return topic + "\x00" + string(payload)
	}
	return topic + "\x00" + string(v.Value) + "\x00" + v.Quality
}

// produce sees every message on the local broker.
func (x *account) produce(_ context.Context, msgs []mqtt.Message) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, m := range msgs {
		if m.Kind != mqtt.KindSample {
			continue
		}
		if x.produced++; x.produced == 1 && x.first != nil {
			x.first(m)
		}
		x.outstanding[key(m.Topic, m.Payload)]++
		x.waiting++
	}
	return nil
}

// deliver sees every message in the cloud.
func (x *account) deliver(_ context.Context, msgs []mqtt.Message) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, m := range msgs {
		topic, ours := strings.CutPrefix(m.Topic, x.prefix)
		if !ours {
			continue
		}
		k := key(topic, m.Payload)
		if x.outstanding[k] == 0 {
			x.repeated++
			continue
		}
		if x.outstanding[k]--; x.outstanding[k] == 0 {
			delete(x.outstanding, k)
		}
		x.waiting--
		x.delivered++
	}
	return nil
}

// totals are produced, delivered, under way, repeated.
func (x *account) totals() (produced, delivered, waiting, repeated int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.produced, x.delivered, x.waiting, x.repeated
}
