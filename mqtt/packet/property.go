package packet

import (
	"encoding/binary"

	"fieldgate/mqtt"
)

// MaxUserProperties bounds the user properties of one packet, and so the
// memory that a packet of many empty ones can ask for.
const MaxUserProperties = 1024

// propID is the identifier of a property (MQTT 5.0 table 2-4).
type propID byte

const (
	propPayloadFormat       propID = 0x01
	propMessageExpiry       propID = 0x02
	propContentType         propID = 0x03
	propResponseTopic       propID = 0x08
	propCorrelationData     propID = 0x09
	propSubscriptionID      propID = 0x0B
	propSessionExpiry       propID = 0x11
	propAssignedClientID    propID = 0x12
	propServerKeepAlive     propID = 0x13
	propAuthMethod          propID = 0x15
	propAuthData            propID = 0x16
	propRequestProblemInfo  propID = 0x17
	propWillDelay           propID = 0x18
	propRequestResponseInfo propID = 0x19
	propResponseInfo        propID = 0x1A
	propServerReference     propID = 0x1C
	propReasonString        propID = 0x1F
	propReceiveMaximum      propID = 0x21
	propTopicAliasMax       propID = 0x22
	propTopicAlias          propID = 0x23
	propMaximumQoS          propID = 0x24
	propRetainAvailable     propID = 0x25
	propUser                propID = 0x26
	propMaximumPacket       propID = 0x27
	propWildcardAvailable   propID = 0x28
	propSubIDsAvailable     propID = 0x29
	propSharedAvailable     propID = 0x2A
)

// form is how the value of a property is written.
type form byte

const (
	formNone form = iota
	formFlag      // a byte, 0 or 1
	formU16
	formU32
	formVarint
	formString
	formBinary
	formPair
)

// place is a set of packet types that a property may stand in, a bit each.
// Bit 0, no packet's, stands for the will.
type place uint16

const (
	inWill       place = 1
	inConnect    place = 1 << TypeConnect
	inConnack    place = 1 << TypeConnack
	inPublish    place = 1 << TypePublish
	inSubscribe  place = 1 << TypeSubscribe
	inDisconnect place = 1 << TypeDisconnect
	inAuth       place = 1 << TypeAuth
	inAcks       place = 1<<TypePuback | 1<<TypePubrec | 1<<TypePubrel | 1<<TypePubcomp | 1<<TypeSuback | 1<<TypeUnsuback
	inAll        place = 0xFFFF &^ (1<<TypePingreq | 1<<TypePingresp)
)

// properties is MQTT 5.0 table 2-4, with what else is said of each value.
var properties = [0x2B]struct {
	name    string
	form    form
	in      place
	nonzero bool // 0 is a protocol error
}{
	propPayloadFormat:       {"payload format indicator", formFlag, inPublish | inWill, false},
	propMessageExpiry:       {"message expiry interval", formU32, inPublish | inWill, false},
	propContentType:         {"content type", formString, inPublish | inWill, false},
	propResponseTopic:       {"response topic", formString, inPublish | inWill, false},
	propCorrelationData:     {"correlation data", formBinary, inPublish | inWill, false},
	propSubscriptionID:      {"subscription identifier", formVarint, inPublish | inSubscribe, true},
	propSessionExpiry:       {"session expiry interval", formU32, inConnect | inConnack | inDisconnect, false},
	propAssignedClientID:    {"assigned client identifier", formString, inConnack, false},
	propServerKeepAlive:     {"server keep alive", formU16, inConnack, false},
	propAuthMethod:          {"authentication method", formString, inConnect | inConnack | inAuth, false},
	propAuthData:            {"authentication data", formBinary, inConnect | inConnack | inAuth, false},
	propRequestProblemInfo:  {"request problem information", formFlag, inConnect, false},
	propWillDelay:           {"will delay interval", formU32, inWill, false},
	propRequestResponseInfo: {"request response information", formFlag, inConnect, false},
	propResponseInfo:        {"response information", formString, inConnack, false},
	propServerReference:     {"server reference", formString, inConnack | inDisconnect, false},
	propReasonString:        {"reason string", formString, inConnack | inAcks | inDisconnect | inAuth, false},
	propReceiveMaximum:      {"receive maximum", formU16, inConnect | inConnack, true},
	propTopicAliasMax:       {"topic alias maximum", formU16, inConnect | inConnack, false},
	propTopicAlias:          {"topic alias", formU16, inPublish, true},
	propMaximumQoS:          {"maximum QoS", formFlag, inConnack, false},
	propRetainAvailable:     {"retain available", formFlag, inConnack, false},
	propUser:                {"user property", formPair, inAll, false},
	propMaximumPacket:       {"maximum packet size", formU32, inConnect | inConnack, true},
	propWildcardAvailable:   {"wildcard subscription available", formFlag, inConnack, false},
	propSubIDsAvailable:     {"subscription identifiers available", formFlag, inConnack, false},
	propSharedAvailable:     {"shared subscription available", formFlag, inConnack, false},
}

// property is one decoded property. Which field holds the value is a matter of
// its form: num for numbers, data for strings and binary, name and data for a
// pair. Both are views.
type property struct {
	id         propID
	num        uint32
	name, data []byte
}

// flag is the value of a formFlag.
func (p property) flag() bool { return p.num != 0 }

// user is the value of a formPair.
func (p property) user() mqtt.UserProperty {
	return mqtt.UserProperty{Name: string(p.name), Value: string(p.data)}
}

// propReader walks over the properties of a packet.
type propReader struct {
	decoder // what is left of the properties
	in      place
	seen    uint64 // a bit per property
	users   int
}

// properties begins with the length of the properties.
func (d *decoder) properties(in place) propReader {
	b := d.take(d.varint("length of the properties"), "properties")
	return propReader{decoder: decoder{b: b, what: d.what, err: d.err}, in: in}
}

// next returns the next property, or false at their end or after an error,
// which is outer's from then on: outer is the decoder that the reader came
// from. (A reader that held on to it would move it to the heap.)
func (r *propReader) next(outer *decoder) (p property, ok bool) {
	ok = r.err == nil && outer.err == nil && len(r.b) > 0
	if ok {
		p = r.one()
	}
	if r.err != nil {
		if outer.err == nil {
			outer.err, outer.b = r.err, nil
		}
		return property{}, false
	}
	return p, ok
}

func (r *propReader) one() (p property) {
	n := r.varint("property identifier")
	if r.err != nil {
		return p
	}
	if n >= len(properties) || properties[n].form == formNone {
		r.fail(mqtt.MalformedPacket, "unknown property %#02x", n)
		return p
	}
	p.id = propID(n)
	about := &properties[n]
	if about.in&r.in == 0 {
		r.fail(mqtt.MalformedPacket, "the property %s does not belong here", about.name)
		return p
	}
	r.once(p.id)
	switch about.form {
	case formFlag:
		p.num = uint32(r.u8(about.name))
		if p.num > 1 {
			r.fail(mqtt.ProtocolError, "%s is %d, must be 0 or 1", about.name, p.num)
		}
	case formU16:
		p.num = uint32(r.u16(about.name))
	case formU32:
		p.num = r.u32(about.name)
	case formVarint:
		p.num = uint32(r.varint(about.name))
	case formString:
		p.data = r.text(about.name)
	case formBinary:
		p.data = r.binary(about.name)
	case formPair:
		p.name, p.data = r.text(about.name), r.text(about.name)
	}
	if about.nonzero && p.num == 0 {
		r.fail(zeroReason(p.id), "%s is 0", about.name)
	}
	return p
}

// once refuses a second appearance of a property, except of those that may
// repeat (MQTT 5.0 §2.2.2.2): user properties, up to our limit, and the
// subscription identifiers of a PUBLISH.
func (r *propReader) once(id propID) {
	switch {
	case id == propUser:
		if r.users++; r.users > MaxUserProperties {
			r.fail(mqtt.QuotaExceeded, "more than %d user properties", MaxUserProperties)
		}
	case id == propSubscriptionID && r.in == inPublish:
	case r.seen&(1<<id) != 0:
		r.fail(mqtt.ProtocolError, "%s stands twice", properties[id].name)
	}
	r.seen |= 1 << id
}

func zeroReason(id propID) mqtt.ReasonCode {
	if id == propTopicAlias {
		return mqtt.TopicAliasInvalid // MQTT 5.0 §3.3.2.3.4
	}
	return mqtt.ProtocolError
}

// The encoder's side. Numbers and texts are written where they are not zero;
// those whose zero differs from absence have a caller that looks first.

func (e *encoder) propFlag(id propID, v bool) {
	b := byte(0)
	if v {
		b = 1
	}
	e.b = append(e.b, byte(id), b)
}

func (e *encoder) propU16(id propID, v uint16) {
	e.b = binary.BigEndian.AppendUint16(append(e.b, byte(id)), v)
}

func (e *encoder) propU32(id propID, v uint32) {
	e.b = binary.BigEndian.AppendUint32(append(e.b, byte(id)), v)
}

func (e *encoder) propString(id propID, s string) {
	if s != "" {
		e.u8(byte(id))
		e.string(s, properties[id].name)
	}
}

func (e *encoder) propBinary(id propID, v []byte) {
	if v != nil {
		e.u8(byte(id))
		e.binary(v, properties[id].name)
	}
}

func (e *encoder) propVarint(id propID, v uint32) {
	if v > MaxVarint {
		e.fail(mqtt.ProtocolError, "%s is %d, the most is %d", properties[id].name, v, MaxVarint)
		return
	}
	e.b = appendVarint(append(e.b, byte(id)), int(v))
}

func (e *encoder) propUsers(users []mqtt.UserProperty) {
	if len(users) > MaxUserProperties {
		e.fail(mqtt.QuotaExceeded, "more than %d user properties", MaxUserProperties)
		return
	}
	for _, u := range users {
		e.u8(byte(propUser))
		e.string(u.Name, "name of a user property")
		e.string(u.Value, "value of a user property")
	}
}
