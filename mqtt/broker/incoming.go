package broker

import (
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// onPublish handles a PUBLISH: it goes to its subscribers at once, and its
// acknowledgement with the end of the batch.
func (c *conn) onPublish(header byte, body []byte) error {
	var v packet.PublishView
	if err := packet.DecodePublish(header, body, c.version, &v); err != nil {
		return err
	}
	set := c.b.set.Load()
	switch {
	case v.QoS > set.maxQoS:
		return breach(mqtt.QoSNotSupported, "QoS is above what CONNACK announced") // [MQTT-3.2.2-11]
	case v.Retain && !set.retain:
		return breach(mqtt.RetainNotSupported, "retained messages are not available") // [MQTT-3.2.2-14]
	case v.Props != nil && len(v.Props.SubscriptionIDs) > 0:
		return breach(mqtt.ProtocolError, "a client sends no subscription identifiers") // [MQTT-3.3.4-6]
	}
	r, err := c.resolve(&v)
	if err != nil {
		return err
	}
	c.recvMsgs.Add(1)
	c.b.stats.publishReceived.Add(1)
	c.b.stats.publishBytesReceived.Add(uint64(len(v.Payload)))
	ack := -1
	if v.QoS > 0 {
		fresh, err := c.expect(&v)
		if err != nil || !fresh {
			return err
		}
		ack = len(c.batch.acks) - 1
	}
	if reason := c.mayPublish(r, &v); reason != mqtt.Success {
		return c.refusePublish(r, ack, reason)
	}
	p := &c.batch.pub
	p.reset()
	p.topic, p.payload, p.view, p.qos, p.retain, p.props = r.topic, v.Payload, true, v.QoS, v.Retain, v.Props
	p.origin, p.from = c.s.id, c.from
	if v.QoS == 2 {
		p.exchange = c.exchange(v.Dup)
	}
	if ack >= 0 && c.version == mqtt.V5 && r.empty() {
		c.batch.acks[ack].reason = mqtt.NoMatchingSubscribers
	}
	c.batch.send(r, ack)
	return nil
}

func breach(reason mqtt.ReasonCode, text string) error {
	return &packet.Error{Reason: reason, Packet: packet.TypePublish, Text: text}
}

// resolve finds the route by the topic or by its alias.
func (c *conn) resolve(v *packet.PublishView) (*route, error) {
	if v.TopicAlias == 0 {
		return c.routeOf(v.Topic), nil
	}
	if int(v.TopicAlias) > maxTopicAliasIn { // [MQTT-3.3.2-9]
		return nil, breach(mqtt.TopicAliasInvalid, "topic alias is above the maximum")
	}
	if c.aliasIn == nil {
		c.aliasIn = make([]string, maxTopicAliasIn)
	}
	known := &c.aliasIn[v.TopicAlias-1]
	if len(v.Topic) > 0 {
		r := c.routeOf(v.Topic)
		*known = r.topic
		return r, nil
	}
	if *known == "" {
		return nil, breach(mqtt.ProtocolError, "topic alias is not known") // MQTT 5.0 §3.3.4
	}
	return c.routeOf([]byte(*known)), nil
}

// expect notes the acknowledgement that a publish must get. fresh is false for
// a QoS 2 publish that has been taken in already [MQTT-4.3.3-10].
func (c *conn) expect(v *packet.PublishView) (fresh bool, err error) {
	bt, s := c.batch, c.s
	typ := packet.TypePuback
	if v.QoS == 2 {
		typ = packet.TypePubrec
	}
	s.mu.Lock()
	waiting := len(s.received)
	for _, h := range c.held {
		waiting += h.count
	}
	_, again := s.received[v.PacketID]
	again = again && v.QoS == 2
	tooMany := waiting >= maxReceive && !again
	if v.QoS == 2 && !again && !tooMany { // one that is refused is not taken in: it will come again
		if s.received == nil {
			s.received = map[uint16]struct{}{}
		}
		s.received[v.PacketID] = struct{}{}
		s.taken++
	}
	taken := s.taken
	s.mu.Unlock()
	if tooMany {
		return false, breach(mqtt.ReceiveMaximumExceeded, "too many publishes wait for their acknowledgement")
	}
	if v.QoS == 2 && !again && s.persistent {
		bt.durable = append(bt.durable, mqtt.StoreChange{ReceivedAdd: &mqtt.SessionPacketID{ClientID: s.id, PacketID: v.PacketID, Taken: taken}})
	}
	bt.acks = append(bt.acks, ack{typ: typ, id: v.PacketID})
	return !again, nil
}

// exchange names the QoS 2 publish that expect has just taken in, for those who
// store it before we store that we have it.
func (c *conn) exchange(again bool) *mqtt.Exchange {
	s := c.s
	if !s.persistent { // constant while the connection lasts
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return &mqtt.Exchange{Session: s.exchanges, Number: s.taken, Again: again}
}

// mayPublish reports why a publish is refused, or Success.
func (c *conn) mayPublish(r *route, v *packet.PublishView) mqtt.ReasonCode {
	if r.refusal != mqtt.Success {
		return r.refusal
	}
	if v.Retain && v.QoS > 0 && c.version == mqtt.V5 {
		m := mqtt.Message{Topic: r.topic, Payload: v.Payload, Props: v.Props}
		if !c.b.retained.fits(&m) {
			return mqtt.QuotaExceeded
		}
	}
	if v.QoS > 0 && c.version == mqtt.V5 && c.b.set.Load().refuseWhenFull && r.overfull() {
		return mqtt.QuotaExceeded
	}
	return mqtt.Success
}

// refusePublish answers a publish that is not passed on. Before MQTT 5 the
// answer cannot say so: a lack of rights is acknowledged like a success
// [MQTT-3.3.5-2 of 3.1.1], a wrong topic ends the connection.
func (c *conn) refusePublish(r *route, ack int, reason mqtt.ReasonCode) error {
	if reason == mqtt.NotAuthorized {
		c.logDenied("publish", r.topic)
	}
	c.b.stats.refused.Add(1)
	switch {
	case ack < 0 && reason == mqtt.TopicNameInvalid, c.version != mqtt.V5 && reason == mqtt.TopicNameInvalid:
		return breach(reason, "topic has too many levels")
	case ack < 0 || c.version != mqtt.V5:
		return nil
	}
	a := &c.batch.acks[ack]
	a.reason = reason
	return nil
}

// logDenied reports a lack of rights, not too often.
func (c *conn) logDenied(what, topic string) {
	c.s.mu.Lock()
	c.s.lastDenied = topic
	user := c.s.who.user
	c.s.mu.Unlock()
	if now := time.Now(); now.Sub(c.denied) >= reportEvery {
		c.denied = now
		c.b.log.Warn("client has no right to "+what, "client", c.s.id, "user", user, "topic", topic)
	}
}

// onPubrel ends a QoS 2 publish of the client.
func (c *conn) onPubrel(id uint16) {
	s, bt := c.s, c.batch
	s.mu.Lock()
	_, known := s.received[id]
	delete(s.received, id)
	s.mu.Unlock()
	a := ack{typ: packet.TypePubcomp, id: id}
	if !known {
		a.reason = mqtt.PacketIDNotFound
	} else if s.persistent {
		// Were this lost, the next publish with the id would pass for a repetition.
		bt.durable = append(bt.durable, mqtt.StoreChange{ReceivedDel: &mqtt.SessionPacketID{ClientID: s.id, PacketID: id}})
		bt.vital = true
	}
	bt.acks = append(bt.acks, a)
}

// onPlainAck handles one of the four packets that answer a publish, without
// reason and properties: the usual case.
func (c *conn) onPlainAck(typ packet.Type, id uint16) {
	if typ == packet.TypePubrel {
		c.onPubrel(id)
		return
	}
	c.onAck(typ, id, mqtt.Success)
}

// onAck handles PUBACK, PUBREC and PUBCOMP for one of our deliveries.
func (c *conn) onAck(typ packet.Type, id uint16, reason mqtt.ReasonCode) {
	s, bt := c.s, c.batch
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress++
	i := s.windowIndexLocked(id)
	var e *entry
	if i >= 0 {
		e = s.window.at(i)
	}
	switch {
	case typ == packet.TypePubrec && (e == nil || e.qos != 2):
		bt.acks = append(bt.acks, ack{packet.TypePubrel, id, mqtt.PacketIDNotFound}) // MQTT 5.0 §4.3.3
		return
	case e == nil || (e.qos == 2) == (typ == packet.TypePuback):
		return
	case typ == packet.TypePubrec && !reason.Failed():
		c.release(e, id)
		return
	}
	done := *e
	s.window.remove(i)
	s.doneLocked(&done)
	if s.pumpLocked() {
		bt.touchLocked(c)
	}
	c.wantFill = s.disk > 0
}

// release answers PUBREC with PUBREL. That PUBREC came must be durable first:
// after a restart the message itself would be a new one to the client.
func (c *conn) release(e *entry, id uint16) {
	s, bt := c.s, c.batch
	if !e.released {
		e.released, e.msg = true, nil
		if s.persistent {
			u := &mqtt.SessionEntry{ClientID: s.id}
			u.Seq, u.PacketID, u.Released = e.seq, id, true
			bt.vital = true
			bt.durable = append(bt.durable, mqtt.StoreChange{Update: u})
		}
	}
	bt.acks = append(bt.acks, ack{typ: packet.TypePubrel, id: id})
}

// windowIndexLocked finds a delivery by its packet id; it is the first one in
// nearly every case.
func (s *session) windowIndexLocked(id uint16) int {
	for i := range s.window.len() {
		if packetID(s.window.at(i).seq) == id {
			return i
		}
	}
	return -1
}
