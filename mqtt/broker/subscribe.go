package broker

import (
	"context"
	"slices"
	"strings"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// onSubscribe handles SUBSCRIBE. SUBACK goes out when the subscriptions of a
// persistent session are durable, and the retained messages behind it.
func (c *conn) onSubscribe(p *packet.Subscribe) error {
	set := c.b.set.Load()
	if p.ID != 0 && !set.subscriptionIDs {
		return &packet.Error{Reason: mqtt.SubscriptionIDsNotSupported, Packet: packet.TypeSubscribe, Text: "subscription identifiers are not available"}
	}
	if !c.answerFits(len(p.Subscriptions)) {
		return errAnswerTooLarge(packet.TypeSubscribe)
	}
	answer := packet.Suback{PacketID: p.PacketID}
	changed := false
	for i := range p.Subscriptions {
		reason := c.subscribe(set, p.Subscriptions[i])
		answer.Reasons = append(answer.Reasons, reason)
		changed = changed || !reason.Failed()
	}
	if changed {
		c.saveSession()
	}
	c.explainSuback(&answer, p.Subscriptions)
	return c.batch.reply(&answer)
}

// subscribe makes one subscription and returns the granted QoS or why not.
func (c *conn) subscribe(set *settings, want mqtt.Subscription) mqtt.ReasonCode {
	s := c.s
	shareName, filter, reason := c.checkFilter(set, want.Filter)
	if reason != mqtt.Success {
		return reason
	}
	s.mu.Lock()
	who := s.who
	old := s.subs[want.Filter]
	full := old == nil && len(s.subs) >= set.maxSubscriptions
	s.mu.Unlock()
	switch {
	case full:
		return mqtt.QuotaExceeded
	case !c.b.acl.Load().subscribable(who, filter):
		c.logDenied("subscribe", want.Filter)
		return mqtt.NotAuthorized
	}
	want.QoS = min(want.QoS, set.maxQoS)
	sub := &subscription{Subscription: want, session: s, share: shareName, filter: filter}
	s.mu.Lock()
	if s.subs == nil {
		s.subs = map[string]*subscription{}
	}
	if old == nil {
		s.order = append(s.order, want.Filter)
	}
	s.subs[want.Filter] = sub
	s.mu.Unlock()
	c.b.tree.add(sub)
	if shareName == "" && (want.RetainHandling == 0 || want.RetainHandling == 1 && old == nil) {
		c.subscribed = append(c.subscribed, sub)
	}
	return mqtt.ReasonCode(want.QoS)
}

func (c *conn) checkFilter(set *settings, text string) (shareName, filter string, _ mqtt.ReasonCode) {
	shareName, filter, err := "", text, error(nil)
	if c.version == mqtt.V5 || strings.HasPrefix(text, "$share/") {
		shareName, filter, err = mqtt.SplitShare(text)
	}
	switch {
	case err != nil, mqtt.CheckFilter(filter) != nil, strings.Count(filter, "/") >= set.maxLevels:
		return "", "", mqtt.TopicFilterInvalid
	case shareName != "" && !set.shared:
		return "", "", mqtt.SharedSubsNotSupported
	case !set.wildcards && strings.ContainsAny(filter, "+#"):
		return "", "", mqtt.WildcardSubsNotSupported
	}
	return shareName, filter, mqtt.Success
}

// answerFits reports whether the client takes a SUBACK or UNSUBACK with so many
// reason codes: a larger one must not be sent [MQTT-3.1.2-24], and to do
// without it would leave the client waiting.
func (c *conn) answerFits(reasons int) bool {
	size := 5 + reasons // type, length, packet id, no properties
	for rest := 3 + reasons; rest > 127; rest >>= 7 {
		size++
	}
	return c.version != mqtt.V5 || size <= c.maxPacket
}

func errAnswerTooLarge(t packet.Type) error {
	return &packet.Error{Reason: mqtt.PacketTooLarge, Packet: t, Text: "the answer is larger than the client's Maximum Packet Size"}
}

// onUnsubscribe handles UNSUBSCRIBE.
func (c *conn) onUnsubscribe(p *packet.Unsubscribe) error {
	if !c.answerFits(len(p.Filters)) {
		return errAnswerTooLarge(packet.TypeUnsubscribe)
	}
	answer := packet.Unsuback{PacketID: p.PacketID}
	for _, filter := range p.Filters {
		reason := mqtt.Success
		if !c.s.unsubscribe(filter) {
			reason = mqtt.NoSubscriptionExisted
		}
		answer.Reasons = append(answer.Reasons, reason)
	}
	c.saveSession()
	return c.batch.reply(&answer)
}

func (s *session) unsubscribe(filter string) bool {
	s.mu.Lock()
	sub := s.subs[filter]
	delete(s.subs, filter)
	if i := slices.Index(s.order, filter); i >= 0 {
		s.order = slices.Delete(s.order, i, i+1)
	}
	s.mu.Unlock()
	return sub != nil && s.b.tree.remove(sub)
}

// saveSession makes the state of a persistent session part of the commit.
func (c *conn) saveSession() {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.persistent {
		c.batch.durable = append(c.batch.durable, mqtt.StoreChange{PutSession: s.stateLocked()})
		c.batch.vital = true
	}
}

// sendRetained queues the retained messages of new subscriptions; they go out
// as the window and the buffer have room.
func (c *conn) sendRetained(bt *batch) {
	subs := c.subscribed
	c.subscribed = nil
	more := c.b.getBatch()
	defer c.b.putBatch(more)
	s := c.s
	for _, sub := range subs {
		for _, m := range c.b.retained.match(sub.filter) {
			s.offerRetained(more, sub, m)
		}
	}
	s.mu.Lock()
	if s.pumpLocked() {
		bt.touchLocked(c)
	}
	c.wantFill = c.wantFill || s.disk > 0
	s.mu.Unlock()
	more.commit(context.Background())
	more.flush()
}

// offerRetained queues one retained message for a new subscription. It keeps
// its retain flag [MQTT-3.3.1-8].
func (s *session) offerRetained(bt *batch, sub *subscription, m *mqtt.Message) {
	left, expired := remaining(m, s.b.started, clock.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	if expired || sub.NoLocal && m.Origin == s.id || !s.mayReadLocked(m.Topic) || !s.b.stands(m) {
		return
	}
	e := entry{msg: m, qos: min(sub.QoS, m.QoS), retain: true, current: true}
	if sub.ID != 0 {
		e.ids = []uint32{sub.ID}
	}
	if e.qos == 0 {
		s.enqueueLocked(e)
		return
	}
	s.seq++
	e.seq, e.size = s.seq, messageBytes(m)
	s.chargeLocked(e.size)
	if !s.persistent {
		s.enqueueLocked(e)
		return
	}
	p := publish{topic: m.Topic, payload: m.Payload, qos: e.qos, retain: true, props: m.Props, origin: m.Origin, kind: m.Kind, stamp: m.Stamp}
	if p.props != nil && p.props.HasExpiry {
		own := *p.props
		own.MessageExpiry = left
		p.props, p.stamp = &own, clock.Now()
	}
	bt.store(&p, s, &e)
	if s.disk > 0 || s.queue.len() >= queuePage {
		s.disk++
		e.pend.disk = true
		return
	}
	e.current = false // it is in the store as it is now
	s.cursor = e.seq
	s.enqueueLocked(e)
}
