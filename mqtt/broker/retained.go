package broker

import (
	"strings"
	"sync"

	"fieldgate/mqtt"
)

// retained holds the last message of each topic that was published with
// Retain set, in a tree by the topic's levels.
type retained struct {
	mu       sync.RWMutex
	root     retainedNode
	count    int
	bytes    int64
	system   int // those under $SYS, which count against no limit
	maxCount int
	maxBytes int64
}

type retainedNode struct {
	children map[string]*retainedNode
	message  *mqtt.Message // never changed; a newer one takes its place
}

// limit sets how much may be held; what is there already stays.
func (r *retained) limit(count int, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.maxCount, r.maxBytes = count, bytes
}

// fits reports whether a message may be kept within the limits.
func (r *retained) fits(m *mqtt.Message) bool {
	if len(m.Payload) == 0 || system(m.Topic) {
		return true
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.count < r.maxCount && r.bytes+messageBytes(m) <= r.maxBytes {
		return true
	}
	old := r.find(m.Topic)
	if old == nil || old.message == nil {
		return false
	}
	return r.bytes+messageBytes(m)-messageBytes(old.message) <= r.maxBytes
}

// put keeps a message, or forgets the topic where the payload is empty
// [MQTT-3.3.1-6]. It reports whether anything changed.
func (r *retained) put(m *mqtt.Message) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(m.Payload) == 0 {
		return r.remove(m.Topic)
	}
	n := &r.root
	for level := range strings.SplitSeq(m.Topic, "/") {
		child := n.children[level]
		if child == nil {
			if n.children == nil {
				n.children = map[string]*retainedNode{}
			}
			child = &retainedNode{}
			n.children[strings.Clone(level)] = child
		}
		n = child
	}
	r.account(n.message, -1)
	n.message = m
	r.account(m, +1)
	return true
}

// account adds a message to the sums, or takes it off.
func (r *retained) account(m *mqtt.Message, sign int) {
	switch {
	case m == nil:
	case system(m.Topic):
		r.system += sign
	default:
		r.count += sign
		r.bytes += int64(sign) * messageBytes(m)
	}
}

func (r *retained) find(topic string) *retainedNode {
	n := &r.root
	for level := range strings.SplitSeq(topic, "/") {
		if n = n.children[level]; n == nil {
			return nil
		}
	}
	return n
}

func (r *retained) remove(topic string) bool {
	levels := strings.Split(topic, "/")
	path := []*retainedNode{&r.root}
	for _, level := range levels {
		child := path[len(path)-1].children[level]
		if child == nil {
			return false
		}
		path = append(path, child)
	}
	last := path[len(levels)]
	if last.message == nil {
		return false
	}
	r.account(last.message, -1)
	last.message = nil
	for i := len(levels); i > 0 && path[i].message == nil && len(path[i].children) == 0; i-- {
		delete(path[i-1].children, levels[i-1])
	}
	return true
}

// get is the message of a topic, nil where there is none.
func (r *retained) get(topic string) *mqtt.Message {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if n := r.find(topic); n != nil {
		return n.message
	}
	return nil
}

// match returns the messages whose topics fall under the filter.
func (r *retained) match(filter string) []*mqtt.Message {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var found []*mqtt.Message
	type place struct {
		node   *retainedNode
		levels []string // of the filter, still to be matched
	}
	stack := []place{{&r.root, strings.Split(filter, "/")}}
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if len(at.levels) == 0 {
			if at.node.message != nil {
				found = append(found, at.node.message)
			}
			continue
		}
		level, rest, root := at.levels[0], at.levels[1:], at.node == &r.root
		switch level {
		case "#":
			if at.node.message != nil {
				found = append(found, at.node.message)
			}
			for name, child := range at.node.children {
				if !(root && strings.HasPrefix(name, "$")) { // [MQTT-4.7.2-1]
					stack = append(stack, place{child, at.levels})
				}
			}
		case "+":
			for name, child := range at.node.children {
				if !(root && strings.HasPrefix(name, "$")) {
					stack = append(stack, place{child, rest})
				}
			}
		default:
			if child := at.node.children[level]; child != nil {
				stack = append(stack, place{child, rest})
			}
		}
	}
	return found
}

// counts returns how many messages are kept, $SYS not counted, and their bytes.
func (r *retained) counts() (n int, bytes int64) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.count, r.bytes
}

// system reports a topic of the broker's own: it is neither stored nor
// counted, and clients may not write to it. The state of a bridge is not among
// them: a mosquitto that bridges to us publishes it, with a will.
func system(topic string) bool {
	return strings.HasPrefix(topic, "$SYS") && (len(topic) == 4 || topic[4] == '/') &&
		!mqtt.Match("$SYS/broker/connection/+/state", topic)
}
