package broker

import (
	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// deliver hands a publish to one session: into the buffer of its connection
// where it can be sent at once, else into its queue. The batch learns which
// connection must be flushed, what must be stored and who is overfull.
func (bt *batch) deliver(p *publish, t *target) {
	s := t.session
	qos := min(p.qos, t.qos)
	retain := p.retain && t.asPublished
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return
	}
	if qos == 0 {
		if c := s.conn; c != nil && !c.closing {
			if c.sendNowLocked(p, t.ids, 0, 0, retain) {
				bt.touchLocked(c)
			} else {
				s.dropLocked()
			}
		}
		return
	}
	bt.deliverAcked(p, t, qos, retain)
}

// deliverAcked is deliver for QoS 1 and 2, with the session's lock held.
func (bt *batch) deliverAcked(p *publish, t *target, qos mqtt.QoS, retain bool) {
	s, c := t.session, t.session.conn
	size := int64(len(p.topic) + len(p.payload) + 64)
	if c == nil && !s.admitOfflineLocked(size) {
		s.dropLocked()
		return
	}
	if p.props != nil && p.props.HasExpiry && p.props.MessageExpiry == 0 {
		s.dropLocked()
		return
	}
	s.seq++
	e := entry{seq: s.seq, ids: t.ids, share: t.share, qos: qos, retain: retain}
	if s.persistent {
		e.size = size
		s.chargeLocked(size)
		bt.store(p, s, &e)
	}
	switch {
	case c != nil && s.queue.len() == 0 && s.disk == 0 && c.openLocked(e.seq) && !e.earlyLocked():
		s.cursor = e.seq
		bt.sendFirst(p, s, c, e)
		bt.touchLocked(c)
	case s.persistent && (c == nil || s.disk > 0 || s.queue.len() >= queuePage):
		s.disk++
		e.pend.disk = true
	default:
		if s.cursor = e.seq; !s.persistent {
			e.size = size
			s.chargeLocked(size)
			e.msg, e.lent = p.lend()
		}
		s.enqueueLocked(e)
	}
	if c != nil && s.overfullLocked() {
		bt.blockLocked(s)
	}
}

// sendFirst sends a delivery that found the window open.
func (bt *batch) sendFirst(p *publish, s *session, c *conn, e entry) {
	if !c.sendNowLocked(p, e.ids, e.qos, packetID(e.seq), e.retain) {
		s.dropLocked() // larger than the client takes [MQTT-3.1.2-24]
		s.doneLocked(&e)
		return
	}
	s.sent = e.seq
	if e.kept(s) {
		e.msg = p.message()
	}
	s.window.push(e)
}

// admitOfflineLocked reports whether an offline session may get one more.
func (s *session) admitOfflineLocked(size int64) bool {
	set := s.b.set.Load()
	return s.persistent && s.disk < set.maxQueued && s.b.queuedBytes.Load()+size <= set.maxQueuedBytes
}

// openLocked reports whether the connection can take a delivery with this seq
// now: the window has room, the packet id is free and the buffer is not full.
func (c *conn) openLocked(seq uint64) bool {
	w := &c.s.window
	if c.closing || w.len() >= c.window || c.outLen() >= c.maxOut {
		return false
	}
	return w.len() == 0 || seq-w.at(0).seq < 65535
}

// sendNowLocked appends a PUBLISH to the connection's buffer. It returns false
// where the client cannot take it: the packet is too large for it or, at
// QoS 0, the buffer is full.
func (c *conn) sendNowLocked(p *publish, ids []uint32, qos mqtt.QoS, id uint16, retain bool) bool {
	if len(ids) > 0 || c.aliasMax > 0 {
		out := packet.Publish{QoS: qos, Retain: retain, PacketID: id, Topic: p.topic, Payload: p.payload, Props: withIDs(p.props, ids)}
		return c.appendLocked(&out)
	}
	f := p.frame(c.version, qos, retain)
	if f == nil || len(f.b) > c.maxPacket || qos == 0 && !c.fitsLocked(len(f.b)) {
		return false
	}
	c.outLocked().b = f.put(c.out.b, id)
	c.countOutLocked(len(p.payload))
	return true
}

// fitsLocked reports whether the buffer takes so much more. What is larger
// than all of it fits into the empty one.
func (c *conn) fitsLocked(size int) bool { return c.outLen() == 0 || c.outLen()+size <= c.maxOut }

// appendLocked appends a PUBLISH of the connection's own, with a topic alias
// where the client allows them.
func (c *conn) appendLocked(out *packet.Publish) bool {
	topic, fresh := out.Topic, false
	if c.aliasMax > 0 && c.version == mqtt.V5 {
		alias := c.aliasOut[topic]
		switch {
		case alias != 0:
			out.Topic, out.TopicAlias = "", alias
		case len(c.aliasOut) < c.aliasMax:
			out.TopicAlias, fresh = uint16(len(c.aliasOut)+1), true
		}
	}
	size := out.Size(c.version)
	if size > c.maxPacket || out.QoS == 0 && !c.fitsLocked(size) {
		return false
	}
	b, err := out.Append(c.outLocked().b, c.version)
	if err != nil {
		return false
	}
	c.out.b = b
	if fresh {
		if c.aliasOut == nil {
			c.aliasOut = map[string]uint16{}
		}
		c.aliasOut[topic] = out.TopicAlias
	}
	c.countOutLocked(len(out.Payload))
	return true
}

// withIDs is the properties with subscription identifiers.
func withIDs(props *mqtt.Properties, ids []uint32) *mqtt.Properties {
	if len(ids) == 0 {
		return props
	}
	var with mqtt.Properties
	if props != nil {
		with = *props
	}
	with.SubscriptionIDs = ids
	return &with
}

// sendEntryLocked sends a delivery from the queue: its PUBLISH, or PUBREL where
// PUBREC has come on an earlier connection. It returns false where the message
// is not worth sending any more.
func (c *conn) sendEntryLocked(e *entry) bool {
	if e.released {
		c.outLocked().b, _ = (&packet.Pubrel{PacketID: packetID(e.seq)}).Append(c.out.b, c.version)
		c.b.stats.messagesSent.Add(1)
		return true
	}
	m := e.msg
	left, props := uint32(0), m.Props
	if props != nil && props.HasExpiry {
		var expired bool
		if left, expired = remaining(m, c.b.started, clock.Now()); expired && !e.dup {
			return false
		}
	}
	if props != nil && (props.HasExpiry || len(props.SubscriptionIDs) > 0) {
		own := *props
		own.MessageExpiry = left
		own.SubscriptionIDs = nil
		props = &own
	}
	out := packet.Publish{Dup: e.dup, QoS: e.qos, Retain: e.retain, Topic: m.Topic, Payload: m.Payload, Props: withIDs(props, e.ids)}
	if e.qos > 0 {
		out.PacketID = packetID(e.seq)
	}
	return c.appendLocked(&out)
}

// pumpLocked sends from the queue what the window and the buffer have room
// for, and wakes publishers that wait for that. It reports whether anything
// was appended.
func (s *session) pumpLocked() bool {
	c := s.conn
	if c == nil || c.closing {
		return false
	}
	sent := false
	for s.queue.len() > 0 {
		e := s.queue.at(0)
		if e.qos == 0 {
			if !c.fitsLocked(int(messageBytes(e.msg))) {
				break // until the buffer has been written
			}
			e := s.unqueueLocked(0)
			// A newer message has gone to this subscriber already if this one is no longer the retained one.
			if s.b.retained.get(e.msg.Topic) == e.msg && s.b.stands(e.msg) && s.mayReadLocked(e.msg.Topic) && c.sendEntryLocked(&e) {
				sent = true
			}
			continue
		}
		if !c.openLocked(e.seq) || e.earlyLocked() {
			break
		}
		if s.nextLocked(c) {
			sent = true
		}
	}
	if len(s.waiters) > 0 && s.roomyLocked() {
		s.releaseWaitersLocked()
	}
	return sent
}

// nextLocked moves the front of the queue into the window.
func (s *session) nextLocked(c *conn) bool {
	e := s.unqueueLocked(0)
	if !s.persistent {
		s.chargeLocked(-e.size)
		e.size = 0
	}
	stale := e.current && (s.b.retained.get(e.msg.Topic) != e.msg || !s.b.stands(e.msg))
	if stale || !e.released && !s.mayReadLocked(e.msg.Topic) || !c.sendEntryLocked(&e) {
		if !stale {
			s.dropLocked()
		}
		s.doneLocked(&e)
		e.giveBack()
		return false
	}
	e.giveBack()
	s.sent = max(s.sent, e.seq)
	if !e.kept(s) {
		e.msg = nil // the store has it, or nobody will ask again
	}
	s.window.push(e)
	return true
}

// mayReadLocked checks the right to read once more, at delivery: it may have
// been taken away while the message waited.
func (s *session) mayReadLocked(topic string) bool {
	return s.b.acl.Load().allowed(s.who, accessRead, topic)
}
