package bridge

import (
	"strings"

	"fieldgate/buffer"
	"fieldgate/mqtt"
)

// wants decides whether a message of the local broker goes up. It is called
// from many goroutines at once, and quickly: the first route that takes the
// message decides.
func (b *Bridge) wants(m *mqtt.Message) wish {
	if b.ignores(m) {
		return wish{}
	}
	if isReply(m.Topic, b.opts.Base) {
		return b.wantsReply(m)
	}
	if r := b.routeOf(m); r != nil {
		return wish{yes: true, priority: r.priority}
	}
	if m.Kind == mqtt.KindCommandResult {
		return b.wantsReply(m)
	}
	return wish{}
}

// ignores: nothing that came from the upstream goes up to it again.
func (b *Bridge) ignores(m *mqtt.Message) bool { return m.Origin == b.origin || b.cfg.Disabled }

// wantsReply takes the result of a command that came from this upstream.
func (b *Bridge) wantsReply(m *mqtt.Message) wish {
	to, ok := b.asked.take(m.Topic)
	if !ok {
		return wish{}
	}
	return wish{yes: true, priority: buffer.Alarm, own: b.reply(m, to)}
}

// routeOf is the route that sends a message, or nil.
func (b *Bridge) routeOf(m *mqtt.Message) *route {
	if m.Props != nil && hopsOf(m.Props.User) >= maxHops {
		b.count.loops.Add(1)
		return nil
	}
	if wholeGroup(m) { // in a form of its own it was taken apart before
		if r := b.firstRoute(m, func(r *route) bool { return r.enc == nil }); r != nil {
			return r
		}
	}
	return b.firstRoute(m, func(*route) bool { return true })
}

// firstRoute is the first route of some that takes the message.
func (b *Bridge) firstRoute(m *mqtt.Message, of func(*route) bool) *route {
	for _, r := range b.s.routes {
		if !of(r) || !b.takes(r, m) {
			continue
		}
		if r.nearState && r.topic(m) == b.s.stateTopic {
			return nil // this topic at the upstream is the bridge's own
		}
		return r
	}
	return nil
}

// takes asks the route; a condition that fails is a no, reported once.
func (b *Bridge) takes(r *route, m *mqtt.Message) bool {
	ok, err := r.takes(m)
	if err != nil {
		b.count.whereErrors.Add(1)
		b.whereOnce.Do(func() { b.log.Warn("the condition of a route fails on a message", "topic", m.Topic, "err", err) })
	}
	return ok && err == nil
}

// isReply reports a topic that carries a result to some upstream.
func isReply(topic, base string) bool {
	rest, ok := strings.CutPrefix(topic, base+"/upstream/")
	if !ok {
		return false
	}
	_, rest, ok = strings.Cut(rest, "/")
	return ok && strings.HasPrefix(rest, "reply/")
}

// reply is a result on its way to the upstream: the topic there travels in
// the Response Topic, through the queue and restarts.
func (b *Bridge) reply(m *mqtt.Message, to string) *mqtt.Message {
	out := *m
	p := mqtt.Properties{}
	if m.Props != nil {
		p = *m.Props
	}
	p.ResponseTopic = to
	out.Props, out.Topic, out.Retain = &p, b.replies+"result", false
	return &out
}

// destination is the route and the topic at the upstream of a queued message.
// Nil means that the configuration has no place for it any more.
func (b *Bridge) destination(m *mqtt.Message) (*route, string) {
	if strings.HasPrefix(m.Topic, b.replies) {
		if m.Props == nil || m.Props.ResponseTopic == "" {
			return nil, ""
		}
		return b.replyRoute, m.Props.ResponseTopic
	}
	if r := b.routeOf(m); r != nil {
		return r, r.topic(m)
	}
	if m.Kind == mqtt.KindEvent {
		return b.eventRoute, m.Topic // the queue's own record of what was given up
	}
	return nil, ""
}
