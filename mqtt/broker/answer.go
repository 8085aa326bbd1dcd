package broker

import (
	"context"
	"errors"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// errUnacked ends a connection whose publishes could not be taken in and
// whose version of MQTT has no other way to say so.
var errUnacked = errors.New("a message could not be stored")

// maxHeld is how many withheld acknowledgements stop the reading of a client.
const maxHeld = maxReceive

// heldAcks are encoded acknowledgements that wait for slow subscribers.
type heldAcks struct {
	bytes []byte
	count int
	free  bool
}

// answer appends the batch's answers to the connection's own buffer, or holds
// those to publishes back while a subscriber is overfull.
func (c *conn) answer(bt *batch) {
	if len(bt.acks)+len(bt.raw)+len(bt.blocked) == 0 && len(c.subscribed) == 0 {
		return
	}
	if c.storeBroken && (c.version != mqtt.V5 || bt.vital) {
		return // the connection is about to be closed: nothing is acknowledged
	}
	s := c.s
	s.mu.Lock()
	hold := len(bt.blocked) > 0 || len(c.held) > 0
	var h *heldAcks
	if hold {
		h = &heldAcks{}
		c.held = append(c.held, h)
		c.holding = true
	}
	if len(bt.raw) > 0 {
		c.outLocked().b = append(c.outLocked().b, bt.raw...)
		c.b.stats.messagesSent.Add(bt.rawCount)
	}
	for i := range bt.acks {
		a := &bt.acks[i]
		if !c.settleAckLocked(a) {
			continue
		}
		if h != nil && (a.typ == packet.TypePuback || a.typ == packet.TypePubrec) {
			h.bytes = c.appendAck(h.bytes, a)
			h.count++
		} else {
			c.outLocked().b = c.appendAck(c.outLocked().b, a)
		}
	}
	c.b.stats.messagesSent.Add(uint64(len(bt.acks)))
	if c.outLen() > 0 {
		bt.touchLocked(c)
		c.holding = c.holding || c.outLen() > c.maxOut
	}
	s.mu.Unlock()
	if h != nil {
		c.b.holdFor(bt.blocked, func() { c.free(h) })
	}
	if len(c.subscribed) > 0 {
		c.sendRetained(bt)
	}
}

// settleAckLocked prepares an acknowledgement; false: none may be sent.
func (c *conn) settleAckLocked(a *ack) bool {
	if !a.reason.Failed() {
		return true
	}
	if a.typ == packet.TypePubrec { // a refused exchange is over
		delete(c.s.received, a.id)
		if c.s.persistent {
			c.s.owed = append(c.s.owed, mqtt.StoreChange{ReceivedDel: &mqtt.SessionPacketID{ClientID: c.s.id, PacketID: a.id}})
		}
	}
	if c.version != mqtt.V5 && (a.typ == packet.TypePuback || a.typ == packet.TypePubrec) {
		c.refused = true
		return false
	}
	return true
}

// appendAck appends PUBACK, PUBREC, PUBREL or PUBCOMP.
func (c *conn) appendAck(dst []byte, a *ack) []byte {
	if a.reason.Failed() && c.explains() {
		if b := c.appendExplained(dst, a); b != nil {
			return b
		}
	}
	first := byte(a.typ) << 4
	if a.typ == packet.TypePubrel {
		first |= 0x02
	}
	if c.version == mqtt.V5 && a.reason != mqtt.Success {
		return append(dst, first, 3, byte(a.id>>8), byte(a.id), byte(a.reason))
	}
	return append(dst, first, 2, byte(a.id>>8), byte(a.id))
}

// free lets a group of acknowledgements go, and those behind it that wait for
// nothing but their turn [MQTT-4.6.0-2].
func (c *conn) free(h *heldAcks) {
	s := c.s
	s.mu.Lock()
	h.free = true
	for len(c.held) > 0 && c.held[0].free {
		if !c.closing && len(c.held[0].bytes) > 0 {
			c.outLocked().b = append(c.outLocked().b, c.held[0].bytes...)
		}
		c.held = c.held[1:]
	}
	if c.heldRoom != nil && c.heldCountLocked() < maxHeld {
		close(c.heldRoom)
		c.heldRoom = nil
	}
	s.mu.Unlock()
	c.flush()
}

func (c *conn) heldCountLocked() int {
	n := 0
	for _, h := range c.held {
		n += max(1, h.count)
	}
	return n
}

// waitHeld stops the reading of a client that goes on publishing although it
// gets no acknowledgements, or does not take its answers.
func (c *conn) waitHeld(ctx context.Context) error {
	if !c.holding {
		return nil
	}
	s := c.s
	s.mu.Lock()
	c.holding = len(c.held) > 0
	if c.outLen() > c.maxOut { // answers to a client that asks and does not read
		c.outRoom = make(chan struct{})
		room := c.outRoom
		s.mu.Unlock()
		select {
		case <-room:
			return nil
		case <-c.stopped:
			return errStopped
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if c.heldCountLocked() < maxHeld {
		s.mu.Unlock()
		return nil
	}
	room := make(chan struct{})
	c.heldRoom = room
	s.mu.Unlock()
	select {
	case <-room:
		return nil
	case <-c.stopped:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errStopped = errors.New("connection closed")
