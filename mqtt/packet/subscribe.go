package packet

import (
	"bytes"
	"strings"

	"fieldgate/mqtt"
)

// Subscribe asks for messages (MQTT 5.0 §3.8).
type Subscribe struct {
	PacketID      uint16
	Subscriptions []mqtt.Subscription // filters are valid UTF-8 and not empty; their form is for the server to answer
	ID            uint32              // subscription identifier, 0: none; Decode sets it in Subscriptions too, Append reads it here
	User          []mqtt.UserProperty
}

// The bits of the subscription options (MQTT 5.0 §3.8.3.1).
const (
	optionQoS               = 0x03
	optionNoLocal           = 0x04
	optionRetainAsPublished = 0x08
	optionRetainHandling    = 0x30
	optionReserved          = 0xC0
)

const sharePrefix = "$share/"

// Type implements Packet.
func (*Subscribe) Type() Type { return TypeSubscribe }

func (d *decoder) subscribe(v mqtt.Version) *Subscribe {
	p := &Subscribe{PacketID: d.packetID()}
	if v == mqtt.V5 {
		props := d.properties(inSubscribe)
		for q, ok := props.next(d); ok; q, ok = props.next(d) {
			switch q.id {
			case propSubscriptionID:
				p.ID = q.num
			case propUser:
				p.User = append(p.User, q.user())
			}
		}
	}
	if d.err == nil && len(d.b) == 0 {
		d.fail(mqtt.ProtocolError, "no topic filter") // [MQTT-3.8.3-2]
	}
	for d.err == nil && len(d.b) > 0 {
		s := d.subscription(v)
		s.ID = p.ID
		p.Subscriptions = append(p.Subscriptions, s)
	}
	return p
}

func (d *decoder) subscription(v mqtt.Version) mqtt.Subscription {
	filter := d.filter()
	options := d.u8("subscription options")
	switch v {
	case mqtt.V31: // the upper bits are not used
		options &= optionQoS
	case mqtt.V311:
		if options&^optionQoS != 0 {
			d.fail(mqtt.MalformedPacket, "reserved bits of the requested QoS are set") // 3.1.1 [MQTT-3-8.3-4]
		}
	default:
		d.options(options, filter)
	}
	if options&optionQoS == optionQoS {
		d.fail(mqtt.MalformedPacket, "requested QoS is 3")
	}
	return mqtt.Subscription{
		Filter:            string(filter),
		QoS:               mqtt.QoS(options & optionQoS),
		NoLocal:           options&optionNoLocal != 0,
		RetainAsPublished: options&optionRetainAsPublished != 0,
		RetainHandling:    options & optionRetainHandling >> 4,
	}
}

func (d *decoder) options(options byte, filter []byte) {
	switch {
	case options&optionReserved != 0:
		d.fail(mqtt.MalformedPacket, "reserved subscription options are set") // [MQTT-3.8.3-5]
	case options&optionRetainHandling == optionRetainHandling:
		d.fail(mqtt.ProtocolError, "retain handling is 3")
	case options&optionNoLocal != 0 && bytes.HasPrefix(filter, []byte(sharePrefix)):
		d.fail(mqtt.ProtocolError, "no local on a shared subscription") // [MQTT-3.8.3-4]
	}
}

// filter reads a topic filter of at least one character [MQTT-4.7.3-1].
func (d *decoder) filter() []byte {
	f := d.text("topic filter")
	if d.err == nil && len(f) == 0 {
		d.fail(mqtt.ProtocolError, "topic filter is empty")
	}
	return f
}

// Append implements Packet.
func (p *Subscribe) Append(dst []byte, v mqtt.Version) ([]byte, error) {
	e := begin(dst, TypeSubscribe, 0x02)
	e.packetID(p.PacketID)
	if v == mqtt.V5 {
		at := len(e.b)
		if p.ID != 0 {
			e.propVarint(propSubscriptionID, p.ID)
		}
		e.propUsers(p.User)
		e.insertLength(at)
	}
	if len(p.Subscriptions) == 0 {
		e.fail(mqtt.ProtocolError, "no topic filter")
	}
	for i := range p.Subscriptions {
		e.subscription(&p.Subscriptions[i], v)
	}
	return e.finish()
}

func (e *encoder) subscription(s *mqtt.Subscription, v mqtt.Version) {
	switch {
	case s.QoS > 2:
		e.fail(mqtt.MalformedPacket, "requested QoS is %d", s.QoS)
	case s.RetainHandling > 2:
		e.fail(mqtt.ProtocolError, "retain handling is %d", s.RetainHandling)
	case s.NoLocal && strings.HasPrefix(s.Filter, sharePrefix):
		e.fail(mqtt.ProtocolError, "no local on the shared subscription %q", s.Filter)
	}
	e.filter(s.Filter)
	options := byte(s.QoS)
	if v == mqtt.V5 {
		if s.NoLocal {
			options |= optionNoLocal
		}
		if s.RetainAsPublished {
			options |= optionRetainAsPublished
		}
		options |= s.RetainHandling << 4
	}
	e.u8(options)
}

func (e *encoder) filter(s string) {
	if s == "" {
		e.fail(mqtt.ProtocolError, "topic filter is empty")
	}
	e.string(s, "topic filter")
}
