package broker

import (
	"sync"

	"fieldgate/mqtt"
)

// A message that waits in the queue of one session and is nowhere else is lent:
// message and payload come from a pool and go back when it has been sent. A
// subscriber that is behind would otherwise leave one of each per message to
// the garbage collector. entry.lent marks it; what is lent has no other holder,
// so it is never retained, stored, handed to a handler or to another session.

// lentSizes are the capacities of pooled payloads, each four times the one
// before: a queue takes at most that much more than it counts. Larger payloads
// are not lent.
var lentSizes = [...]int{128, 512, 2 << 10, 8 << 10}

var lentPools [len(lentSizes)]sync.Pool

// lentClass is the pool for payloads of a size; -1: none.
func lentClass(size int) int {
	for i, most := range lentSizes {
		if size <= most {
			return i
		}
	}
	return -1
}

// lend is the message for the queue of the only session that gets it. lent is
// false where it is an ordinary one, as for large payloads.
func (p *publish) lend() (m *mqtt.Message, lent bool) {
	class := lentClass(len(p.payload))
	if !p.sole || p.kept != nil || class < 0 {
		return p.message(), false
	}
	m, _ = lentPools[class].Get().(*mqtt.Message)
	if m == nil {
		m = &mqtt.Message{Payload: make([]byte, 0, lentSizes[class])}
	}
	p.write(m, append(m.Payload[:0], p.payload...))
	return m, true
}

// giveBack ends the loan of an entry's message, if it is one.
func (e *entry) giveBack() {
	if !e.lent {
		return
	}
	payload := e.msg.Payload[:cap(e.msg.Payload)]
	if scribble { // who still looks at it is found by the tests
		for i := range payload {
			payload[i] = 0xDB
		}
	}
	*e.msg = mqtt.Message{Payload: payload[:0]}
	lentPools[lentClass(len(payload))].Put(e.msg)
	e.msg, e.lent = nil, false
}
