package session

import (
	"fmt"
	"iter"

	"fieldgate/mqtt"
)

// Window holds the messages of QoS 1 and 2 that are on their way to the peer,
// in the order they were first sent, each with a value of the owner's.
//
//	             Puback, failed Pubrec
//	Add ──► sent ─────────────────────► ended, id free
//	         │ Pubrec                       ▲
//	         └────► released ───────────────┘ Pubcomp
//
// It keeps no more of them open than the peer's Receive Maximum (MQTT 5.0
// §4.9). After Begin everything is due again: Resend returns it in order.
type Window[T any] struct {
	ids         *IDs
	byID        map[uint16]*Exchange[T]
	first, last *Exchange[T]
	quota       int
	open        int          // sent on this connection and not ended
	due         *Exchange[T] // the first one that must be sent again; nil: none
	spare       *Exchange[T] // given back by Reuse, linked by next
	spares      int
}

// maxSpares bounds what is kept for further exchanges.
const maxSpares = 256

// Exchange is a message on its way to the peer.
type Exchange[T any] struct {
	ID       uint16
	QoS      mqtt.QoS
	Value    T
	released bool // QoS 2: PUBREC has come
	due      bool // not sent on this connection
	ended    bool

	prev, next *Exchange[T]
}

// Released reports that the peer has the message of QoS 2: what it must get
// (again) is the PUBREL.
func (x *Exchange[T]) Released() bool { return x.released }

// Ended reports that the peer is done with the message.
func (x *Exchange[T]) Ended() bool { return x.ended }

// NewWindow returns an empty window that takes its packet ids from ids. It has
// no room until Begin.
func NewWindow[T any](ids *IDs) *Window[T] {
	return &Window[T]{ids: ids, byID: map[uint16]*Exchange[T]{}}
}

// Begin starts a new connection whose peer allows quota open messages.
func (w *Window[T]) Begin(quota int) {
	w.quota, w.open, w.due = quota, 0, w.first
	for x := w.first; x != nil; x = x.next {
		x.due = true
	}
}

// Resend returns the next exchange that must be sent again on this connection,
// its PUBLISH with DUP or, if it is released, its PUBREL. It returns nil when
// all are sent, or while the window is full: ask again after each end.
func (w *Window[T]) Resend() *Exchange[T] {
	x := w.due
	for x != nil && !x.due {
		x = x.next
	}
	w.due = x
	if x == nil || w.open >= w.quota && !x.released {
		return nil
	}
	x.due = false
	w.open++
	w.due = x.next
	return x
}

// Room reports whether Add may send a new message: the window is not full, and
// what must be sent again is sent.
func (w *Window[T]) Room() bool {
	for w.due != nil && !w.due.due {
		w.due = w.due.next
	}
	return w.due == nil && w.open < w.quota
}

// Add opens an exchange for a message that is about to be sent. It returns nil
// where there is no Room or no packet id.
func (w *Window[T]) Add(qos mqtt.QoS, value T) *Exchange[T] {
	if !w.Room() {
		return nil
	}
	id, ok := w.ids.Take()
	if !ok {
		return nil
	}
	x := w.spare
	if x == nil {
		x = &Exchange[T]{}
	} else {
		w.spare, w.spares = x.next, w.spares-1
	}
	*x = Exchange[T]{ID: id, QoS: qos, Value: value, prev: w.last}
	if w.last == nil {
		w.first = x
	} else {
		w.last.next = x
	}
	w.last = x
	w.byID[id] = x
	w.open++
	return x
}

// Puback ends an exchange of QoS 1. An id that is not open gives nil: the
// answer came twice, and is ignored.
func (w *Window[T]) Puback(id uint16) (*Exchange[T], error) {
	x := w.byID[id]
	if x == nil {
		return nil, nil
	}
	if x.QoS != 1 {
		return nil, fmt.Errorf("PUBACK for message %d, which has QoS 2: %w", id, mqtt.ProtocolError)
	}
	w.end(x)
	return x, nil
}

// Pubrec goes on with an exchange of QoS 2: its PUBREL must be sent now, unless
// the reason is a failure, which ends it. An id that is not open gives nil; a
// PUBREL with PacketIDNotFound answers it.
func (w *Window[T]) Pubrec(id uint16, reason mqtt.ReasonCode) (*Exchange[T], error) {
	x := w.byID[id]
	if x == nil {
		return nil, nil
	}
	if x.QoS != 2 {
		return nil, fmt.Errorf("PUBREC for message %d, which has QoS 1: %w", id, mqtt.ProtocolError)
	}
	if reason.Failed() && !x.released {
		w.end(x)
		return x, nil
	}
	if x.due { // the peer answers what was sent on an earlier connection
		x.due = false
		w.open++
	}
	x.released = true
	return x, nil
}

// Pubcomp ends an exchange of QoS 2. An id that is not open gives nil.
func (w *Window[T]) Pubcomp(id uint16) (*Exchange[T], error) {
	x := w.byID[id]
	if x == nil {
		return nil, nil
	}
	if !x.released {
		return nil, fmt.Errorf("PUBCOMP for message %d before its PUBREC: %w", id, mqtt.ProtocolError)
	}
	w.end(x)
	return x, nil
}

func (w *Window[T]) end(x *Exchange[T]) {
	if !x.due {
		w.open--
	}
	x.due, x.ended = false, true
	if w.due == x {
		w.due = x.next
	}
	if x.prev == nil {
		w.first = x.next
	} else {
		x.prev.next = x.next
	}
	if x.next == nil {
		w.last = x.prev
	} else {
		x.next.prev = x.prev
	}
	delete(w.byID, x.ID)
	w.ids.Free(x.ID)
}

// Drop ends an exchange that cannot be sent again.
func (w *Window[T]) Drop(x *Exchange[T]) {
	if !x.ended {
		w.end(x)
	}
}

// Reuse takes an exchange that has ended back, to be another one. Its owner has
// no further use for it.
func (w *Window[T]) Reuse(x *Exchange[T]) {
	if !x.ended || w.spares >= maxSpares {
		return
	}
	*x = Exchange[T]{next: w.spare}
	w.spare = x
	w.spares++
}

// Len is the number of unfinished exchanges.
func (w *Window[T]) Len() int { return len(w.byID) }

// All ranges over the unfinished exchanges in order.
func (w *Window[T]) All() iter.Seq[*Exchange[T]] {
	return func(yield func(*Exchange[T]) bool) {
		for x := w.first; x != nil; x = x.next {
			if !yield(x) {
				return
			}
		}
	}
}

// Clear ends everything, as when the peer has lost the session, and returns
// what was unfinished, in order.
func (w *Window[T]) Clear() []*Exchange[T] {
	var lost []*Exchange[T]
	for w.first != nil {
		lost = append(lost, w.first)
		w.end(w.first)
	}
	return lost
}
