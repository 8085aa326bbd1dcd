package packet

import "fieldgate/mqtt"

// Unsubscribe ends subscriptions (MQTT 5.0 §3.10).
type Unsubscribe struct {
	PacketID uint16
	Filters  []string
	User     []mqtt.UserProperty
}

// Type implements Packet.
func (*Unsubscribe) Type() Type { return TypeUnsubscribe }

func (d *decoder) unsubscribe(v mqtt.Version) *Unsubscribe {
	p := &Unsubscribe{PacketID: d.packetID()}
	if v == mqtt.V5 {
		_, p.User = d.reasonProps(1 << TypeUnsubscribe)
	}
	if d.err == nil && len(d.b) == 0 {
		d.fail(mqtt.ProtocolError, "no topic filter") // [MQTT-3.10.3-2]
	}
	for d.err == nil && len(d.b) > 0 {
		p.Filters = append(p.Filters, string(d.filter()))
	}
	return p
}

// Append implements Packet.
func (p *Unsubscribe) Append(dst []byte, v mqtt.Version) ([]byte, error) {
	e := begin(dst, TypeUnsubscribe, 0x02)
	e.packetID(p.PacketID)
	if v == mqtt.V5 {
		e.reasonProps("", p.User)
	}
	if len(p.Filters) == 0 {
		e.fail(mqtt.ProtocolError, "no topic filter")
	}
	for _, f := range p.Filters {
		e.filter(f)
	}
	return e.finish()
}
