package packet

import (
	"encoding/binary"

	"fieldgate/mqtt"
)

// Ack is what PUBACK, PUBREC, PUBREL and PUBCOMP hold (MQTT 5.0 §3.4 to §3.7).
// Before 5.0 it is the packet id alone.
type Ack struct {
	PacketID     uint16
	Reason       mqtt.ReasonCode
	ReasonString string
	User         []mqtt.UserProperty
}

func (d *decoder) ack(v mqtt.Version) *Ack {
	p := &Ack{PacketID: d.packetID()}
	if v != mqtt.V5 || len(d.b) == 0 { // §3.4.2.1: no reason code means success
		return p
	}
	p.Reason = d.reason(d.u8("reason code"))
	if len(d.b) == 0 { // §3.4.2.2.1: no length means no properties
		return p
	}
	p.ReasonString, p.User = d.reasonProps(place(1 << d.what))
	return p
}

// PlainAck is the packet id of a PUBACK, PUBREC, PUBREL or PUBCOMP that holds
// nothing else, which means success in every version. It allocates nothing.
// Where ok is false, Decode says what the packet is or what is wrong with it.
func PlainAck(header byte, body []byte, v mqtt.Version) (id uint16, ok bool) {
	switch TypeOf(header) {
	case TypePuback, TypePubrec, TypePubrel, TypePubcomp:
	default:
		return 0, false
	}
	if len(body) != 2 || checkFlags(header, v) != nil {
		return 0, false
	}
	id = binary.BigEndian.Uint16(body)
	return id, id != 0
}

// reasonProps reads properties that can only be a reason string and user
// properties.
func (d *decoder) reasonProps(in place) (text string, user []mqtt.UserProperty) {
	props := d.properties(in)
	for p, ok := props.next(d); ok; p, ok = props.next(d) {
		switch p.id {
		case propReasonString:
			text = string(p.data)
		case propUser:
			user = append(user, p.user())
		}
	}
	return text, user
}

func (e *encoder) reasonProps(text string, user []mqtt.UserProperty) {
	at := len(e.b)
	e.propString(propReasonString, text)
	e.propUsers(user)
	e.insertLength(at)
}

func (p *Ack) append(dst []byte, v mqtt.Version, t Type) ([]byte, error) {
	flags := byte(0)
	if t == TypePubrel {
		flags = 0x02 // [MQTT-3.6.1-1]
	}
	e := begin(dst, t, flags)
	e.packetID(p.PacketID)
	switch {
	case v != mqtt.V5:
	case p.ReasonString != "" || len(p.User) > 0:
		e.reason(p.Reason)
		e.reasonProps(p.ReasonString, p.User)
	case p.Reason != mqtt.Success:
		e.reason(p.Reason)
	}
	return e.finish()
}
