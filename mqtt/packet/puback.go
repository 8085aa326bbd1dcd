package packet

import "fieldgate/mqtt"

// Puback answers a PUBLISH of QoS 1 (MQTT 5.0 §3.4).
type Puback Ack

// Type implements Packet.
func (*Puback) Type() Type { return TypePuback }

// Append implements Packet. It does not allocate where dst has room.
func (p *Puback) Append(dst []byte, v mqtt.Version) ([]byte, error) {
	return (*Ack)(p).append(dst, v, TypePuback)
}
