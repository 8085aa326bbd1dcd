package session

import (
	"fmt"

	"fieldgate/mqtt"
)

// Receiver holds the messages of QoS 1 and 2 that have come from the peer and
// are not finished: those that the application has not acknowledged yet, in
// order, and those of QoS 2 whose PUBREL is due.
//
// It counts what the peer has open against the Receive Maximum that we have
// announced, and it counts down before the answer is written: a peer that
// sends as soon as it reads our PUBACK is always within its window.
type Receiver struct {
	max     int // 0: no Begin yet
	open    int
	waiting []*Incoming // not acknowledged, in the order they came on this connection
	qos2    map[uint16]*Incoming
}

// Incoming is a message of QoS 1 or 2 that has come from the peer.
type Incoming struct {
	ID    uint16
	QoS   mqtt.QoS
	acked bool // by the application
	here  bool // came, or came again, on this connection, and counts as open
	wait  bool // is in waiting
}

// NewReceiver returns an empty receiver.
func NewReceiver() *Receiver { return &Receiver{qos2: map[uint16]*Incoming{}} }

// Begin starts a new connection, on which we have announced that the peer may
// have max messages open. Messages of QoS 1 will come again, so those of the
// old connection are forgotten; exchanges of QoS 2 go on.
func (r *Receiver) Begin(max int) {
	r.max, r.open = max, 0
	for _, in := range r.waiting {
		in.wait = false
	}
	r.waiting = nil
	for _, in := range r.qos2 {
		in.here = false
	}
}

// Clear forgets everything, as when the peer has lost the session.
func (r *Receiver) Clear() {
	clear(r.qos2)
	r.Begin(r.max)
}

// Publish takes in a PUBLISH of QoS 1 or 2. The message is for the application
// if fresh; else it came twice, and no more than its answer is due. Either way
// Ready tells what to answer. Every Incoming that is fresh wants an Ack.
func (r *Receiver) Publish(id uint16, qos mqtt.QoS) (in *Incoming, fresh bool, err error) {
	if qos == 2 {
		in = r.qos2[id]
	}
	if in == nil {
		in, fresh = &Incoming{ID: id, QoS: qos}, true
	}
	if !in.here {
		if r.open >= r.max {
			return nil, false, fmt.Errorf("more than %d messages at once: %w", r.max, mqtt.ReceiveMaximumExceeded)
		}
		in.here = true
		r.open++
	}
	if fresh && qos == 2 {
		r.qos2[id] = in
	}
	if !in.wait {
		in.wait = true
		r.waiting = append(r.waiting, in)
	}
	return in, fresh, nil
}

// Ack notes that the application is done with a message. It may come in any
// order, twice, and after the connection or the session has ended.
func (r *Receiver) Ack(in *Incoming) { in.acked = true }

// Ready returns the next message whose PUBACK (QoS 1) or PUBREC (QoS 2) is to
// be written now, or nil. Answers leave in the order that the messages came
// [MQTT-4.6.0-2, -3], so an Ack that came early waits for those before it.
func (r *Receiver) Ready() *Incoming {
	if len(r.waiting) == 0 || !r.waiting[0].acked {
		return nil
	}
	in := r.waiting[0]
	r.waiting[0] = nil
	r.waiting = r.waiting[1:]
	in.wait = false
	if in.QoS == 1 {
		r.done(in)
	}
	return in
}

// Pubrel ends an exchange of QoS 2, before its PUBCOMP is written. known is
// false where there is none whose PUBREC is written: PacketIDNotFound is the
// reason of the PUBCOMP.
func (r *Receiver) Pubrel(id uint16) (known bool) {
	in := r.qos2[id]
	if in == nil || in.wait {
		return false
	}
	delete(r.qos2, id)
	r.done(in)
	return true
}

func (r *Receiver) done(in *Incoming) {
	if in.here {
		r.open--
	}
}

// Open is the number of messages that the peer has open on this connection.
func (r *Receiver) Open() int { return r.open }

// Waiting is the number of messages of this connection that wait for Ack, or
// for that of one before them.
func (r *Receiver) Waiting() int { return len(r.waiting) }

// Unfinished is the number of exchanges of QoS 2 whose PUBREL is due, which a
// resumed session goes on with.
func (r *Receiver) Unfinished() int { return len(r.qos2) }
