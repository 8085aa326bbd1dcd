package broker

import (
	"context"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// kept reports whether a delivery that was sent must be kept in RAM until it is
// acknowledged, because another member of its share may have to get it.
func (e *entry) kept(s *session) bool { return e.share != nil && e.qos == 1 && !s.persistent }

// sharedLocked is what the session, which ends, has got by a share and not
// finished: another member is to have it (MQTT 5.0 §4.8.2). A QoS 2 message
// that was sent is not among it [MQTT-4.8.2-5]. What the store holds is left
// to handOverStored.
func (s *session) sharedLocked() []entry {
	var left []entry
	take := func(e *entry, sent bool) {
		stored := s.persistent && (e.pend == nil || e.pend.settled)
		if e.share != nil && e.msg != nil && !e.released && !stored && (e.qos == 1 || !sent) {
			left = append(left, *e)
		}
	}
	for i := range s.window.len() {
		take(s.window.at(i), true)
	}
	for i := range s.queue.len() {
		take(s.queue.at(i), false)
	}
	return left
}

// handOver gives messages to another member of their share each.
func (b *Broker) handOver(left []entry) {
	for len(left) > 0 {
		page := left[:min(len(left), queuePage)]
		left = left[len(page):]
		b.pass(page)
	}
}

// handOverStored gives the QoS 1 messages that the store still holds for a
// session, which has ended, to another member of the share they came by. The
// store does not say which that was: where the topic falls under one share of
// the session and under no subscription of its own, it is certain; otherwise
// they go with the session.
func (b *Broker) handOverStored(ctx context.Context, id string, subs map[string]*subscription) {
	shared := false
	for _, sub := range subs {
		shared = shared || sub.share != ""
	}
	for after := uint64(0); shared; {
		page, err := b.store.Pending(ctx, id, after, queuePage)
		if err != nil {
			b.storeFailed(err)
			return
		}
		var left []entry
		for i := range page {
			q := &page[i]
			after = q.Seq
			if share := onlyShare(subs, q.Message.Topic); share != nil && q.Message.QoS == 1 {
				left = append(left, entry{msg: &q.Message, share: share, qos: 1, retain: q.Message.Retain})
			}
		}
		b.pass(left)
		shared = len(page) == queuePage
	}
}

// onlyShare is the one subscription that a topic falls under, if that is a share.
func onlyShare(subs map[string]*subscription, topic string) *subscription {
	var found *subscription
	for _, sub := range subs {
		if !mqtt.Match(sub.filter, topic) {
			continue
		}
		if found != nil || sub.share == "" {
			return nil
		}
		found = sub
	}
	return found
}

// pass delivers entries to another member of their share and commits that.
func (b *Broker) pass(left []entry) {
	if len(left) == 0 {
		return
	}
	bt := b.getBatch()
	defer b.putBatch(bt)
	now := clock.Now()
	for i := range left {
		e := &left[i]
		group, members := b.tree.members(e.share.share, e.share.filter)
		sh := share{group: group}
		for _, sub := range members {
			t := targetOf(sub)
			t.share = sub
			sh.members = append(sh.members, t)
		}
		sh.members = readable(sh.members, b.acl.Load(), e.msg.Topic)
		seconds, expired := remaining(e.msg, b.started, now)
		if len(sh.members) == 0 || expired {
			b.stats.dropped.Add(1)
			continue
		}
		p := &bt.pub
		p.reset()
		p.topic, p.payload, p.qos, p.retain, p.props = e.msg.Topic, e.msg.Payload, e.qos, e.retain, e.msg.Props
		p.kind, p.origin, p.stamp = e.msg.Kind, e.msg.Origin, e.msg.Stamp
		if p.props != nil && (p.props.HasExpiry || len(p.props.SubscriptionIDs) > 0) {
			own := *p.props
			own.SubscriptionIDs, own.MessageExpiry = nil, seconds
			p.props = &own
			if own.HasExpiry {
				p.stamp = now
			}
		}
		bt.deliver(p, sh.pick())
	}
	bt.finish(b.life)
}
