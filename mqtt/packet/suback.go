package packet

import "fieldgate/mqtt"

// Suback answers a SUBSCRIBE with a reason per filter, in order (MQTT 5.0 §3.9).
type Suback struct {
	PacketID     uint16
	Reasons      []mqtt.ReasonCode // granted QoS or failure; before 5.0 every failure is UnspecifiedError
	ReasonString string
	User         []mqtt.UserProperty
}

// Type implements Packet.
func (*Suback) Type() Type { return TypeSuback }

func (d *decoder) suback(v mqtt.Version) *Suback {
	p := &Suback{PacketID: d.packetID()}
	if v == mqtt.V5 {
		p.ReasonString, p.User = d.reasonProps(1 << TypeSuback)
	}
	p.Reasons = d.reasonList()
	for _, c := range p.Reasons {
		if v != mqtt.V5 && c > mqtt.GrantedQoS2 && c != mqtt.UnspecifiedError {
			d.fail(mqtt.ProtocolError, "return code %#x", byte(c)) // 3.1.1 [MQTT-3.9.3-2]
		}
	}
	return p
}

// reasonList reads the reasons that fill the rest of a packet.
func (d *decoder) reasonList() []mqtt.ReasonCode {
	b := d.rest()
	if d.err == nil && len(b) == 0 {
		d.fail(mqtt.ProtocolError, "no reason code")
	}
	if d.err != nil {
		return nil
	}
	list := make([]mqtt.ReasonCode, len(b))
	for i, c := range b {
		list[i] = d.reason(c)
	}
	return list
}

// Append implements Packet.
func (p *Suback) Append(dst []byte, v mqtt.Version) ([]byte, error) {
	e := begin(dst, TypeSuback, 0)
	e.packetID(p.PacketID)
	if v == mqtt.V5 {
		e.reasonProps(p.ReasonString, p.User)
	}
	if len(p.Reasons) == 0 {
		e.fail(mqtt.ProtocolError, "no reason code")
	}
	for _, c := range p.Reasons {
		if v != mqtt.V5 && c.Failed() {
			c = mqtt.UnspecifiedError
		}
		e.reason(c)
	}
	return e.finish()
}
