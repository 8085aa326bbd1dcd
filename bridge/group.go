package bridge

import (
	"fieldgate/buffer"
	"fieldgate/mqtt"
)

// With [publish] format = "group" one message carries the values of a device
// that were read together. Routes that send payloads as they are get it whole;
// routes of another format get its values one by one, each on the way that a
// message of its own would go.
//
// A value of a group travels with its Sample and without a payload: a route
// that became "as-is" meanwhile makes a group of one of it.

// wholeGroup reports a group on its way as it is.
func wholeGroup(m *mqtt.Message) bool { return m.Kind == mqtt.KindSample && m.Sample == nil }

// groupPart reports a value that was taken out of a group.
func groupPart(m *mqtt.Message) bool { return m.Sample != nil && len(m.Payload) == 0 }

// appendGroup appends what the bridges want of a group: the whole, or values.
func appendGroup(items []buffer.Item, m *mqtt.Message, bridges []*Bridge) []buffer.Item {
	durable := m.QoS > 0
	whole := buffer.Item{Message: *m, Priority: buffer.Bulk, Durable: durable}
	whole.Message.Sample = nil
	parts := make([]buffer.Item, len(m.Sample.Group))
	for i, s := range m.Sample.Group {
		parts[i] = buffer.Item{Message: *m, Priority: buffer.Bulk, Durable: durable}
		parts[i].Message.Payload, parts[i].Message.Sample, parts[i].Message.Props = nil, s, withoutContent(m.Props)
	}
	for _, b := range bridges {
		if b.ignores(m) {
			continue
		}
		for i := range parts {
			target := &parts[i]
			r := b.partRoute(&whole.Message, &target.Message)
			if r == nil {
				continue
			}
			if r.enc == nil {
				target = &whole
			}
			target.Targets |= b.queue.Bit()
			target.Priority = higher(target.Priority, r.priority)
		}
	}
	if whole.Targets != 0 {
		items = append(items, whole)
	}
	for i := range parts {
		if parts[i].Targets != 0 {
			items = append(items, parts[i])
		}
	}
	return items
}

// partRoute is the first route for a value of a group: a route that leaves
// payloads alone is asked about the whole, with its payload, any other about the value.
func (b *Bridge) partRoute(whole, part *mqtt.Message) *route {
	for _, r := range b.s.routes {
		m := part
		if r.enc == nil {
			m = whole
		}
		if b.takes(r, m) {
			if r.nearState && r.topic(m) == b.s.stateTopic {
				return nil
			}
			return r
		}
	}
	return nil
}

// withoutContent are the properties without those that describe the payload.
func withoutContent(p *mqtt.Properties) *mqtt.Properties {
	if p == nil {
		return nil
	}
	out := *p
	out.ContentType, out.PayloadFormat, out.User = "", 0, nil
	return &out
}
