package packet

import "fieldgate/mqtt"

// Pubrec is the first answer to a PUBLISH of QoS 2 (MQTT 5.0 §3.5). A failure
// ends the exchange, and the packet id is free.
type Pubrec Ack

// Type implements Packet.
func (*Pubrec) Type() Type { return TypePubrec }

// Append implements Packet. It does not allocate where dst has room.
func (p *Pubrec) Append(dst []byte, v mqtt.Version) ([]byte, error) {
	return (*Ack)(p).append(dst, v, TypePubrec)
}
