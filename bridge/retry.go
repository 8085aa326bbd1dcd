package bridge

import (
	"fieldgate/buffer"
	"fieldgate/mqtt"
)

// QuarantineSize bounds what is kept of refused messages; the oldest give way.
const QuarantineSize = 16 << 20

// User properties of a message in quarantine: who has refused it, and why.
const (
	propRefusedBy  = "gw-refused-by"
	propRefusedWhy = "gw-refused-why"
)

// maxWhy bounds the reason that is kept.
const maxWhy = 200

// keepAside is a message on its way into the quarantine.
func keepAside(e buffer.Entry, bit uint64, upstream, why string) buffer.Item {
	m := e.Message
	p := mqtt.Properties{}
	if m.Props != nil {
		p = *m.Props
	}
	p.User = append(append([]mqtt.UserProperty(nil), withoutRefusal(p.User)...),
		mqtt.UserProperty{Name: propRefusedBy, Value: upstream}, mqtt.UserProperty{Name: propRefusedWhy, Value: why[:min(len(why), maxWhy)]})
	m.Props = &p
	return buffer.Item{Message: m, Targets: bit, Priority: buffer.Bulk, Durable: true}
}

func withoutRefusal(user []mqtt.UserProperty) (out []mqtt.UserProperty) {
	for _, u := range user {
		if u.Name != propRefusedBy && u.Name != propRefusedWhy {
			out = append(out, u)
		}
	}
	return out
}

// Refusal says of a message in quarantine which upstream has refused it, and
// why. Both are empty for a message that is not from there.
func Refusal(m *mqtt.Message) (upstream, why string) {
	if m.Props == nil {
		return "", ""
	}
	return userProperty(m.Props.User, propRefusedBy), userProperty(m.Props.User, propRefusedWhy)
}

// Retry is what to append to the queue so that this upstream gets a message of
// the quarantine again, as it was when it came.
func (b *Bridge) Retry(m mqtt.Message) buffer.Item {
	p := *m.Props // Refusal has found its properties
	if p.User = withoutRefusal(p.User); len(p.User) == 0 {
		p.User = nil
	}
	m.Props = &p
	it := buffer.Item{Message: m, Targets: b.queue.Bit(), Priority: buffer.Normal, Durable: true}
	if r, _ := b.destination(&m); r != nil {
		it.Priority = r.priority
	}
	return it
}
