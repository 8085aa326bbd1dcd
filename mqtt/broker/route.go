package broker

import (
	"fieldgate/mqtt"
)

// route is the way of a topic from one publisher: who gets it, and whether the
// publisher may write to it at all. It is valid for one generation of the
// subscription tree; rights are worked into it, so a change of rights raises
// the generation too.
type route struct {
	gen      uint64
	topic    string
	from     *session        // nil: our own parts
	refusal  mqtt.ReasonCode // Success: may be published
	targets  []target
	shares   []share
	handlers []*handler
}

// target is a session that gets the messages of a route, once however many of
// its filters match: with the highest QoS among them and all their
// identifiers [MQTT-3.3.4-2, -3.3.4-4].
type target struct {
	session     *session
	qos         mqtt.QoS
	asPublished bool
	ids         []uint32
	share       *subscription // nil: not by a share
}

// share is one group of a shared subscription; each message goes to one member.
type share struct {
	group   *shareGroup
	members []target
}

// routeOf finds the way of a topic for what this connection publishes.
func (c *conn) routeOf(topic []byte) *route {
	r := c.routes[string(topic)] // does not allocate
	if r != nil && r.gen == c.b.tree.gen.Load() {
		return r
	}
	if len(c.routes) >= maxRoutes {
		clear(c.routes)
	}
	if c.routes == nil {
		c.routes = map[string]*route{}
	}
	name := string(topic)
	if r != nil {
		name = r.topic
	}
	r = c.b.newRoute(name, c.s)
	c.routes[name] = r
	return r
}

// newRoute works out a route. from is the publishing session, nil for our own
// parts, which may write everywhere.
func (b *Broker) newRoute(topic string, from *session) *route {
	r := &route{gen: b.tree.gen.Load(), topic: topic, from: from}
	rights := b.acl.Load()
	if from != nil {
		from.mu.Lock()
		who := from.who
		from.mu.Unlock()
		switch {
		case !b.levelsFit(topic):
			r.refusal = mqtt.TopicNameInvalid
		case system(topic) || !rights.allowed(who, accessWrite, topic):
			r.refusal = mqtt.NotAuthorized
		}
		if r.refusal != mqtt.Success {
			return r
		}
	}
	index := map[*session]int{}
	var groups []*shareGroup
	var members [][]*subscription
	b.tree.match(topic, func(sub *subscription) {
		if sub.NoLocal && sub.session == from {
			return
		}
		r.addTarget(index, sub)
	}, func(g *shareGroup) {
		groups = append(groups, g)
		members = append(members, append([]*subscription(nil), g.members...))
	})
	r.targets = readable(r.targets, rights, topic)
	for i, g := range groups {
		sh := share{group: g}
		for _, sub := range members[i] {
			member := targetOf(sub)
			member.share = sub
			sh.members = append(sh.members, member)
		}
		if sh.members = readable(sh.members, rights, topic); len(sh.members) > 0 {
			r.shares = append(r.shares, sh)
		}
	}
	for _, h := range *b.handlers.Load() {
		if mqtt.Match(h.filter, topic) {
			r.handlers = append(r.handlers, h)
		}
	}
	return r
}

func targetOf(sub *subscription) target {
	t := target{session: sub.session, qos: sub.QoS, asPublished: sub.RetainAsPublished}
	if sub.ID != 0 {
		t.ids = []uint32{sub.ID}
	}
	return t
}

func (r *route) addTarget(index map[*session]int, sub *subscription) {
	i, known := index[sub.session]
	if !known {
		index[sub.session] = len(r.targets)
		r.targets = append(r.targets, targetOf(sub))
		return
	}
	t := &r.targets[i]
	t.qos = max(t.qos, sub.QoS)
	t.asPublished = t.asPublished || sub.RetainAsPublished
	if sub.ID != 0 {
		t.ids = append(t.ids, sub.ID)
	}
}

// readable keeps the targets that may read the topic.
func readable(list []target, rights *acl, topic string) []target {
	kept := list[:0]
	for _, t := range list {
		t.session.mu.Lock()
		who := t.session.who
		t.session.mu.Unlock()
		if rights.allowed(who, accessRead, topic) {
			kept = append(kept, t)
		}
	}
	return kept
}

// empty reports that nobody gets the messages.
func (r *route) empty() bool {
	return len(r.targets) == 0 && len(r.shares) == 0 && len(r.handlers) == 0
}

// pick chooses the member of a share that gets the next message: in turn among
// those that are connected and not overfull, else among the connected, else
// among all.
func (sh *share) pick() *target {
	n := len(sh.members)
	turn := int(sh.group.next.Add(1) % uint32(n))
	connected := -1
	for i := range n {
		at := (turn + i) % n
		s := sh.members[at].session
		s.mu.Lock()
		online := s.conn != nil && !s.conn.closing
		full := online && s.overfullLocked()
		s.mu.Unlock()
		if online && !full {
			return &sh.members[at]
		}
		if online && connected < 0 {
			connected = at
		}
	}
	if connected >= 0 {
		return &sh.members[connected]
	}
	return &sh.members[turn]
}

// send hands the batch's publish to everybody on the route. ack is the place
// of its acknowledgement in the batch, -1 where there is none.
func (bt *batch) send(r *route, ack int) {
	p := &bt.pub
	if p.retain {
		bt.retain(p)
		r = bt.b.renewed(r)
	}
	p.sole = len(r.targets) == 1 && len(r.shares) == 0 && len(r.handlers) == 0 && !p.retain
	for i := range r.targets {
		bt.deliver(p, &r.targets[i])
	}
	for i := range r.shares {
		bt.deliver(p, r.shares[i].pick())
	}
	if len(r.handlers) > 0 {
		m := bt.forHandlers(p)
		m.From = nil // rights are the broker's
		for _, h := range r.handlers {
			bt.hand(h, &m, ack)
		}
	}
}

// renewed is the route as it is now that its message is retained. Who has
// subscribed since the route was worked out may have looked for retained
// messages before this one was there, and would get it neither way.
func (b *Broker) renewed(r *route) *route {
	if r.gen == b.tree.gen.Load() {
		return r
	}
	if now := b.newRoute(r.topic, r.from); now.refusal == mqtt.Success {
		return now
	}
	return r // the right was there when the message came
}

// overfull reports whether somebody on the route cannot take more for now.
func (r *route) overfull() bool {
	for i := range r.targets {
		s := r.targets[i].session
		s.mu.Lock()
		full := s.conn != nil && s.overfullLocked()
		s.mu.Unlock()
		if full {
			return true
		}
	}
	return false
}
