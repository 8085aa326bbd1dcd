package broker

import (
	"encoding/binary"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// publish is a message on its way to the subscribers. Its payload may be a
// view of the publisher's read buffer: who keeps it takes message(), which
// copies it once for all. A publish is reused; it belongs to one goroutine.
type publish struct {
	topic   string
	payload []byte
	view    bool // payload is a view
	qos     mqtt.QoS
	retain  bool
	props   *mqtt.Properties // without subscription identifiers
	kind    mqtt.Kind
	origin  string
	stamp   clock.Stamp
	sample  *mqtt.Sample
	from    *mqtt.Publisher // nil: one of our own parts

	exchange *mqtt.Exchange

	now    clock.Stamp // when the batch came, once somebody has asked
	sole   bool        // one session gets it and nobody else
	kept   *mqtt.Message
	frames [12]frame // encoded once per version, QoS and retain
}

// frame is a PUBLISH in its wire form, to be copied to many subscribers.
type frame struct {
	b  []byte
	id int // where the packet id stands, QoS 1 and 2
}

// smallPayload is the size up to which a kept message and its payload are one allocation.
const smallPayload = 128

type smallMessage struct {
	m    mqtt.Message
	data [smallPayload]byte
}

// reset makes p ready for the next message.
func (p *publish) reset() {
	frames := p.frames
	for i := range frames {
		frames[i].b = frames[i].b[:0]
		if cap(frames[i].b) > 64<<10 {
			frames[i].b = nil
		}
	}
	*p = publish{frames: frames, now: p.now}
}

// message is the message for keeping.
func (p *publish) message() *mqtt.Message {
	if p.kept != nil {
		return p.kept
	}
	m, payload := (*mqtt.Message)(nil), p.payload
	switch {
	case !p.view:
		m = &mqtt.Message{}
	case len(payload) <= smallPayload:
		s := &smallMessage{}
		m, payload = &s.m, append(s.data[:0:smallPayload], payload...)
	default:
		m, payload = &mqtt.Message{}, append([]byte(nil), payload...)
	}
	p.write(m, payload)
	p.kept = m
	return m
}

// write makes m the message, with a payload that it may keep.
func (p *publish) write(m *mqtt.Message, payload []byte) {
	if p.stamp.IsZero() {
		if p.now.IsZero() {
			p.now = clock.Now()
		}
		p.stamp = p.now
	}
	*m = mqtt.Message{
		Topic: p.topic, Payload: payload, QoS: p.qos, Retain: p.retain, Props: p.props,
		Kind: p.kind, Origin: p.origin, Stamp: p.stamp, Sample: p.sample, Exchange: p.exchange,
	}
	if p.retain {
		m.From = p.from
	}
}

// frame is the wire form for subscribers of a version that get it with this
// QoS and retain flag and nothing of their own in it.
func (p *publish) frame(v mqtt.Version, qos mqtt.QoS, retain bool) *frame {
	i := int(qos) * 2
	if retain {
		i++
	}
	if v == mqtt.V5 {
		i += 6
	}
	f := &p.frames[i]
	if len(f.b) > 0 {
		return f
	}
	out := packet.Publish{QoS: qos, Retain: retain, Topic: p.topic, Payload: p.payload, Props: p.props}
	if qos > 0 {
		out.PacketID = 1
	}
	b, err := out.Append(f.b[:0], v)
	if err != nil {
		return nil // what came in by our own decoder or a checked Publish can always be written
	}
	if f.b = b; qos > 0 {
		f.id = packet.PacketIDOffset(b)
	}
	return f
}

// put appends the frame with a packet id.
func (f *frame) put(dst []byte, id uint16) []byte {
	at := len(dst)
	dst = append(dst, f.b...)
	if id != 0 {
		binary.BigEndian.PutUint16(dst[at+f.id:], id)
	}
	return dst
}

// remaining is how many seconds of its life a message has left; expired where
// none are. Messages without an expiry never expire. Those of an earlier boot,
// whose age nobody knows, count from the start of this process.
func remaining(m *mqtt.Message, started, now clock.Stamp) (seconds uint32, expired bool) {
	if m.Props == nil || !m.Props.HasExpiry {
		return 0, false
	}
	from := m.Stamp
	if from.IsZero() || from.Boot != 0 {
		from = started
	}
	age := now.Sub(from)
	if age < 0 {
		age = 0
	}
	if s := uint64(age / 1e9); s < uint64(m.Props.MessageExpiry) {
		return m.Props.MessageExpiry - uint32(s), false
	}
	return 0, true
}
