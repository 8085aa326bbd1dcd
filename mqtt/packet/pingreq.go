package packet

import "fieldgate/mqtt"

// Pingreq asks the server for a sign of life (MQTT 5.0 §3.12).
type Pingreq struct{}

// Type implements Packet.
func (*Pingreq) Type() Type { return TypePingreq }

// Append implements Packet.
func (*Pingreq) Append(dst []byte, _ mqtt.Version) ([]byte, error) {
	return append(dst, byte(TypePingreq)<<4, 0), nil
}
