package packet

import "fieldgate/mqtt"

// Pubcomp answers a PUBREL and ends an exchange of QoS 2 (MQTT 5.0 §3.7).
type Pubcomp Ack

// Type implements Packet.
func (*Pubcomp) Type() Type { return TypePubcomp }

// Append implements Packet. It does not allocate where dst has room.
func (p *Pubcomp) Append(dst []byte, v mqtt.Version) ([]byte, error) {
	return (*Ack)(p).append(dst, v, TypePubcomp)
}
