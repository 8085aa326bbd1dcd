package broker

import (
	"bytes"
	"context"
	"reflect"
	"sync"

	"fieldgate/mqtt"
)

// retain keeps the batch's publish as the topic's retained message and notes
// what must be stored of that: with the commit for QoS 1 and 2, with the next
// one for QoS 0, and once a minute for samples, which come again by themselves.
func (bt *batch) retain(p *publish) {
	b := bt.b
	m := p.message()
	old := b.retained.get(p.topic)
	if !b.retained.fits(m) {
		b.stats.refused.Add(1)
		return
	}
	if !b.retained.put(m) || system(p.topic) || sameMessage(old, m) {
		return
	}
	change := mqtt.StoreChange{Retain: m}
	switch {
	case p.qos > 0:
		bt.durable = append(bt.durable, change)
	case p.kind == mqtt.KindSample:
		b.unsaved.add(m)
	default:
		bt.lazy = append(bt.lazy, change)
	}
}

// sameMessage reports that storing m would change nothing.
func sameMessage(old, m *mqtt.Message) bool {
	if m.Props != nil && m.Props.HasExpiry {
		return false // its life begins anew
	}
	return old != nil && old.QoS == m.QoS && bytes.Equal(old.Payload, m.Payload) && reflect.DeepEqual(old.Props, m.Props) &&
		reflect.DeepEqual(old.From, m.From) && (m.From == nil || old.Origin == m.Origin)
}

// unsaved are retained samples that the store does not have yet.
type unsaved struct {
	mu   sync.Mutex
	last map[string]*mqtt.Message
}

func (u *unsaved) add(m *mqtt.Message) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil {
		u.last = map[string]*mqtt.Message{}
	}
	u.last[m.Topic] = m
}

// saveSamples stores the retained samples that have changed.
func (b *Broker) saveSamples() {
	b.unsaved.mu.Lock()
	last := b.unsaved.last
	b.unsaved.last = nil
	b.unsaved.mu.Unlock()
	changes := make([]mqtt.StoreChange, 0, len(last))
	for topic, m := range last {
		if now := b.retained.get(topic); now == m || now == nil && len(m.Payload) == 0 {
			changes = append(changes, mqtt.StoreChange{Retain: m})
		}
	}
	if len(changes) == 0 {
		return
	}
	if err := b.store.Apply(context.Background(), false, changes); err != nil {
		b.storeFailed(err)
	}
}

// load takes sessions and retained messages from the store.
func (b *Broker) load(ctx context.Context) error {
	states, kept, err := b.store.Load(ctx)
	if err != nil {
		return err
	}
	for i := range kept {
		b.retained.put(&kept[i])
	}
	for i := range states {
		if err := b.restore(ctx, &states[i]); err != nil {
			return err
		}
	}
	return nil
}

// restore makes a session from its stored state. Whether its client came over
// loopback or with a certificate is not stored; it counts as both until it is
// back, and then what waits for it is checked anew.
func (b *Broker) restore(ctx context.Context, st *mqtt.SessionState) error {
	s := &session{
		id: st.ClientID, b: b, version: st.Version, expiry: st.Expiry, persistent: true,
		left: st.Disconnected, will: st.Will, exchanges: st.Exchanges, taken: st.Taken, who: identity{user: st.User, client: st.ClientID, local: true, cert: true},
	}
	count, bytes := b.store.PendingCount(s.id)
	s.disk, s.charged = count, bytes
	b.queuedBytes.Add(bytes)
	last, err := lastSeq(ctx, b.store, s.id)
	if err != nil {
		return err
	}
	if s.seq = last; last > 0 {
		s.disk = max(1, s.disk) // look, whatever the count says
	}
	for _, id := range st.Received {
		if s.received == nil {
			s.received = map[uint16]struct{}{}
		}
		s.received[id] = struct{}{}
	}
	b.mu.Lock()
	b.sessions[s.id] = s
	b.mu.Unlock()
	for _, want := range st.Subscriptions {
		share, filter, err := mqtt.SplitShare(want.Filter)
		if err != nil || mqtt.CheckFilter(filter) != nil {
			continue // a damaged store must not keep the broker from starting
		}
		sub := &subscription{Subscription: want, session: s, share: share, filter: filter}
		if s.subs == nil {
			s.subs = map[string]*subscription{}
		}
		s.subs[want.Filter] = sub
		s.order = append(s.order, want.Filter)
		b.tree.add(sub)
	}
	return nil
}

// armRestored sets the timers of the sessions that were loaded, now that those
// who must see a will are there.
func (b *Broker) armRestored() {
	for _, s := range b.allSessions() {
		s.mu.Lock()
		if s.conn == nil && s.timer == nil && !s.gone {
			s.armLocked()
		}
		s.mu.Unlock()
	}
}
