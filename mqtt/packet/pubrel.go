package packet

import "fieldgate/mqtt"

// Pubrel answers a PUBREC (MQTT 5.0 §3.6).
type Pubrel Ack

// Type implements Packet.
func (*Pubrel) Type() Type { return TypePubrel }

// Append implements Packet. It does not allocate where dst has room.
func (p *Pubrel) Append(dst []byte, v mqtt.Version) ([]byte, error) {
	return (*Ack)(p).append(dst, v, TypePubrel)
}
