package packet

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"

	"fieldgate/mqtt"
)

// The lower half of the first byte of a PUBLISH (MQTT 5.0 §3.3.1).
const (
	flagRetain = 0x01
	flagQoS    = 0x06
	flagDup    = 0x08
)

// Publish carries an application message (MQTT 5.0 §3.3).
type Publish struct {
	Dup        bool
	QoS        mqtt.QoS
	Retain     bool
	PacketID   uint16 // 0 with QoS 0, and only then
	Topic      string // may be empty where TopicAlias is set
	TopicAlias uint16 // 0: none
	Payload    []byte // a view of the body
	Props      *mqtt.Properties
}

// PublishView is a PUBLISH decoded in place: Topic and Payload are views of
// the body and end with it. Props hold copies and may
// be kept.
type PublishView struct {
	Dup        bool
	QoS        mqtt.QoS
	Retain     bool
	PacketID   uint16
	Topic      []byte
	TopicAlias uint16
	Payload    []byte
	Props      *mqtt.Properties // nil without properties of the message
}

// Type implements Packet.
func (*Publish) Type() Type { return TypePublish }

// Message is the application message, which shares Payload and Props.
func (p *Publish) Message() mqtt.Message {
	return mqtt.Message{Topic: p.Topic, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain, Props: p.Props}
}

func (d *decoder) publish(header byte, v mqtt.Version) *Publish {
	var view PublishView
	if d.err = DecodePublish(header, d.rest(), v, &view); d.err != nil {
		return nil
	}
	return &Publish{
		Dup: view.Dup, QoS: view.QoS, Retain: view.Retain, PacketID: view.PacketID,
		Topic: string(view.Topic), TopicAlias: view.TopicAlias, Payload: view.Payload, Props: view.Props,
	}
}

// DecodePublish decodes the body of a PUBLISH in place into p, whatever p held
// before. It allocates for properties of the message only. The topic is valid
// UTF-8 without NUL and wildcards; it is empty only where there is an alias.
func DecodePublish(header byte, body []byte, v mqtt.Version, p *PublishView) error {
	d := decoder{b: body, what: TypePublish}
	*p = PublishView{
		Dup:    header&flagDup != 0,
		QoS:    mqtt.QoS(header & flagQoS >> 1),
		Retain: header&flagRetain != 0,
	}
	switch {
	case p.QoS > 2:
		d.fail(mqtt.MalformedPacket, "QoS is 3") // [MQTT-3.3.1-4]
	case p.Dup && p.QoS == 0 && v != mqtt.V31:
		d.fail(mqtt.MalformedPacket, "DUP with QoS 0") // [MQTT-3.3.1-2]
	}
	p.Topic = d.publishTopic()
	if p.QoS == 0 {
		p.Dup = false // means nothing there, and MQTT 3.1 allows it
	} else {
		p.PacketID = d.packetID()
	}
	if v == mqtt.V5 {
		d.publishProps(p)
	}
	if d.err == nil && len(p.Topic) == 0 && p.TopicAlias == 0 {
		d.fail(mqtt.ProtocolError, "topic is empty")
	}
	p.Payload = d.rest()
	return d.err
}

// publishTopic reads and checks the topic with one look at each byte where it
// is plain ASCII.
func (d *decoder) publishTopic() []byte {
	topic := d.binary("topic")
	for _, c := range topic {
		if c >= utf8.RuneSelf {
			if !utf8.Valid(topic) {
				d.fail(mqtt.MalformedPacket, "topic is not valid UTF-8")
			}
			if bytes.IndexByte(topic, 0) >= 0 {
				d.fail(mqtt.MalformedPacket, "topic holds a NUL")
			}
			d.topicName(topic, "topic")
			return topic
		}
		switch c {
		case 0:
			d.fail(mqtt.MalformedPacket, "topic holds a NUL")
		case '+', '#':
			d.topicName(topic, "topic")
		}
	}
	return topic
}

func (d *decoder) publishProps(v *PublishView) {
	if len(d.b) > 0 && d.b[0] == 0 { // the usual case: none
		d.b = d.b[1:]
		return
	}
	props := d.properties(inPublish)
	for p, ok := props.next(d); ok; p, ok = props.next(d) {
		if p.id == propTopicAlias {
			v.TopicAlias = uint16(p.num)
			continue
		}
		v.Props = takeMessageProp(d, v.Props, p)
	}
}

// Append implements Packet. It does not allocate where dst has room.
func (p *Publish) Append(dst []byte, v mqtt.Version) ([]byte, error) {
	base := len(dst)
	rest, props := p.sizes(v)
	e := begin(dst, TypePublish, p.flags())
	p.check(&e, v, rest)
	if e.err != nil {
		return dst, e.err
	}
	e.b = appendVarint(e.b, rest)
	e.topicName(p.Topic, "topic")
	if p.QoS > 0 {
		e.u16(p.PacketID)
	}
	if v == mqtt.V5 {
		e.b = appendVarint(e.b, props)
		if p.TopicAlias != 0 {
			e.propU16(propTopicAlias, p.TopicAlias)
		}
		e.messageProps(p.Props)
	}
	if e.err != nil {
		return e.b[:base], e.err
	}
	return append(e.b, p.Payload...), nil
}

func (p *Publish) flags() (flags byte) {
	flags = byte(p.QoS) << 1 & flagQoS
	if p.Dup {
		flags |= flagDup
	}
	if p.Retain {
		flags |= flagRetain
	}
	return flags
}

func (p *Publish) check(e *encoder, v mqtt.Version, rest int) {
	switch {
	case p.QoS > 2:
		e.fail(mqtt.MalformedPacket, "QoS is %d", p.QoS)
	case p.QoS == 0 && (p.Dup || p.PacketID != 0):
		e.fail(mqtt.MalformedPacket, "DUP or a packet id with QoS 0")
	case p.QoS > 0 && p.PacketID == 0:
		e.fail(mqtt.ProtocolError, "packet id is 0")
	case p.Topic == "" && (p.TopicAlias == 0 || v != mqtt.V5):
		e.fail(mqtt.ProtocolError, "topic is empty")
	case rest > MaxVarint:
		e.fail(mqtt.PacketTooLarge, "%d bytes do not fit into a packet", rest)
	}
}

// Size is the number of bytes that Append appends, to be held against a
// peer's Maximum Packet Size.
func (p *Publish) Size(v mqtt.Version) int {
	n, _ := p.sizes(v)
	return 1 + varintSize(n) + n
}

// sizes are the number of bytes of the body, and of the properties in it.
func (p *Publish) sizes(v mqtt.Version) (body, props int) {
	body = 2 + len(p.Topic) + len(p.Payload)
	if p.QoS > 0 {
		body += 2
	}
	if v == mqtt.V5 {
		props = messagePropsSize(p.Props)
		if p.TopicAlias != 0 {
			props += 3
		}
		body += varintSize(props) + props
	}
	return body, props
}

// PacketIDOffset is where in an encoded PUBLISH of QoS 1 or 2 its two bytes of
// packet id stand, so that the bytes of one message can be sent to many
// receivers, each with an id of its own.
func PacketIDOffset(encoded []byte) int {
	_, size := readVarint(encoded[1:])
	return 1 + size + 2 + int(binary.BigEndian.Uint16(encoded[1+size:]))
}
