package packet

import (
	"fmt"

	"fieldgate/mqtt"
)

// Type is the kind of a control packet, the upper half of its first byte
// (MQTT 5.0 §2.1.2).
type Type byte

// The packet types.
const (
	TypeConnect     Type = 1
	TypeConnack     Type = 2
	TypePublish     Type = 3
	TypePuback      Type = 4
	TypePubrec      Type = 5
	TypePubrel      Type = 6
	TypePubcomp     Type = 7
	TypeSubscribe   Type = 8
	TypeSuback      Type = 9
	TypeUnsubscribe Type = 10
	TypeUnsuback    Type = 11
	TypePingreq     Type = 12
	TypePingresp    Type = 13
	TypeDisconnect  Type = 14
	TypeAuth        Type = 15 // MQTT 5.0 only
)

var typeNames = [16]string{
	"reserved packet type 0", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

// TypeOf is the type in the first byte of a packet.
func TypeOf(header byte) Type { return Type(header >> 4) }

// String is the name in the standard, as "PUBLISH".
func (t Type) String() string { return typeNames[t&0x0F] }

// Packet is a control packet.
type Packet interface {
	// Type is the packet's type.
	Type() Type
	// Append appends the whole packet, fixed header included, as version v
	// writes it. What v cannot express (properties before 5.0) is left out;
	// what the standard forbids is an *Error, and dst is returned as it came.
	Append(dst []byte, v mqtt.Version) ([]byte, error)
}

// Error is a packet that breaks the standard, or a limit. It ends the
// connection; Reason is what a CONNACK or DISCONNECT should say.
type Error struct {
	Reason mqtt.ReasonCode
	Packet Type // 0: before the type was known
	Text   string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Packet == 0 {
		return fmt.Sprintf("%s: %s", e.Text, e.Reason)
	}
	return fmt.Sprintf("%s: %s: %s", e.Packet, e.Text, e.Reason)
}

// Unwrap makes errors.Is(err, mqtt.MalformedPacket) work.
func (e *Error) Unwrap() error { return e.Reason }

// Decode decodes the body of the packet that began with header, as version v
// writes it; a CONNECT names its own version and ignores v. Strings are copied
// out of body; the payload of a PUBLISH and of a will, passwords and other
// binary data are views of body.
//
// The error is always an *Error.
func Decode(header byte, body []byte, v mqtt.Version) (Packet, error) {
	d := decoder{b: body, what: TypeOf(header)}
	if err := checkFlags(header, v); err != nil {
		return nil, err
	}
	p := d.packet(header, v)
	if d.err == nil && len(d.b) > 0 {
		d.fail(mqtt.MalformedPacket, "%d bytes too many", len(d.b))
	}
	if d.err != nil {
		return nil, d.err
	}
	return p, nil
}

func (d *decoder) packet(header byte, v mqtt.Version) Packet {
	switch d.what {
	case TypeConnect:
		return d.connect()
	case TypeConnack:
		return d.connack(v)
	case TypePublish:
		return d.publish(header, v)
	case TypePuback:
		return (*Puback)(d.ack(v))
	case TypePubrec:
		return (*Pubrec)(d.ack(v))
	case TypePubrel:
		return (*Pubrel)(d.ack(v))
	case TypePubcomp:
		return (*Pubcomp)(d.ack(v))
	case TypeSubscribe:
		return d.subscribe(v)
	case TypeSuback:
		return d.suback(v)
	case TypeUnsubscribe:
		return d.unsubscribe(v)
	case TypeUnsuback:
		return d.unsuback(v)
	case TypePingreq:
		return &Pingreq{}
	case TypePingresp:
		return &Pingresp{}
	case TypeDisconnect:
		return d.disconnect(v)
	case TypeAuth:
		return d.auth(v)
	}
	d.fail(mqtt.MalformedPacket, "no such packet")
	return nil
}

// checkFlags checks the lower half of the first byte [MQTT-2.1.3-1]. PUBLISH
// checks its own. MQTT 3.1 §2.1 lets a sender set DUP where it resends.
func checkFlags(header byte, v mqtt.Version) error {
	t, flags := TypeOf(header), header&0x0F
	want := byte(0)
	switch t {
	case TypePublish:
		return nil
	case TypePubrel, TypeSubscribe, TypeUnsubscribe:
		want = 0x02
		if v == mqtt.V31 {
			flags &^= flagDup
		}
	}
	if flags != want {
		return &Error{mqtt.MalformedPacket, t, fmt.Sprintf("flags of the first byte are %#x, must be %#x", flags, want)}
	}
	return nil
}
