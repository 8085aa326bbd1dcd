package bridge

import (
	"context"
	"fmt"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
)

// publish sends a parcel within the upstream's limits. An error means that the
// connection is of no use any more.
func (s *sender) publish(ctx context.Context, p *parcel, now time.Time) error {
	msg, err := p.route.message(&s.letter, p.topic, p.entries, s.lim.v5)
	if err != nil {
		s.aside(p, "encode: "+err.Error())
		return nil
	}
	s.b.wearExpiry(&msg, p.entries[0].Message.Stamp)
	s.fit(&msg)
	if err := mqtt.CheckTopic(msg.Topic); err != nil {
		s.aside(p, fmt.Sprintf("topic %q: %v", msg.Topic, err))
		return nil
	}
	size := packetSize(&msg)
	if s.tooLarge(p, size) {
		if len(p.entries) > 1 {
			a, b := p.split()
			p.lane.putBack(a, b)
			return nil
		}
		s.aside(p, fmt.Sprintf("%d bytes are more than the %d the upstream takes", size, s.lim.maxPacket))
		return nil
	}
	if s.b.s.looks {
		s.b.echoes.sent(&msg, now)
	}
	p.sent, p.by = now, s
	s.flight.add(p)
	if p.lane == s.live {
		s.lastLive = now
	}
	s.b.budget.spend(size, now)
	s.b.count.sent.Add(1)
	s.b.count.bytes.Add(uint64(len(msg.Topic) + len(msg.Payload)))
	// Where the peer reads nothing any more, the connection ends by itself.
	s.put = true
	if err := s.conn.Put(ctx, &msg, p); err != nil {
		return s.publishFailed(p, err)
	}
	return nil
}

// publishFailed tells a message that this connection cannot carry from a
// connection that carries nothing any more.
func (s *sender) publishFailed(p *parcel, err error) error {
	if _, refused := client.Refusal(err); refused {
		s.flight.remove(p)
		s.aside(p, err.Error())
		return nil
	}
	return err
}

// tooLarge reports a packet beyond the upstream's limit, and a batch that
// came out larger than the route allows by half and more.
func (s *sender) tooLarge(p *parcel, size int) bool {
	if s.lim.maxPacket > 0 && size > s.lim.maxPacket {
		return true
	}
	return len(p.entries) > 1 && p.route.compress == "" && size > p.route.batch.bytes*3/2
}

// fit bends the message to what the upstream supports (MQTT 5.0 §3.2.2.3.4,
// §3.2.2.3.5).
func (s *sender) fit(m *mqtt.Message) {
	m.QoS = min(m.QoS, s.lim.maxQoS)
	m.Retain = m.Retain && s.lim.retain
	if !s.lim.v5 {
		m.Props = nil
	}
}

// packetSize is the length of the PUBLISH packet, or a little more.
func packetSize(m *mqtt.Message) int {
	n := 5 + 2 + len(m.Topic) + 2 + len(m.Payload)
	p := m.Props
	if p == nil {
		return n
	}
	n += 4 + 2 + 5 + 3 + len(p.ContentType) + 3 + len(p.ResponseTopic) + 3 + len(p.CorrelationData)
	for _, u := range p.User {
		n += 5 + len(u.Name) + len(u.Value)
	}
	return n
}
