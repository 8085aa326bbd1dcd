package packet

import "fieldgate/mqtt"

// Unsuback answers an UNSUBSCRIBE (MQTT 5.0 §3.11).
type Unsuback struct {
	PacketID     uint16
	Reasons      []mqtt.ReasonCode // one per filter, in order; none before 5.0
	ReasonString string
	User         []mqtt.UserProperty
}

// Type implements Packet.
func (*Unsuback) Type() Type { return TypeUnsuback }

func (d *decoder) unsuback(v mqtt.Version) *Unsuback {
	p := &Unsuback{PacketID: d.packetID()}
	if v == mqtt.V5 {
		p.ReasonString, p.User = d.reasonProps(1 << TypeUnsuback)
		p.Reasons = d.reasonList()
	}
	return p
}

// Append implements Packet.
func (p *Unsuback) Append(dst []byte, v mqtt.Version) ([]byte, error) {
	e := begin(dst, TypeUnsuback, 0)
	e.packetID(p.PacketID)
	if v == mqtt.V5 {
		e.reasonProps(p.ReasonString, p.User)
		if len(p.Reasons) == 0 {
			e.fail(mqtt.ProtocolError, "no reason code")
		}
		for _, c := range p.Reasons {
			e.reason(c)
		}
	}
	return e.finish()
}
