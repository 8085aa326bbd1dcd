package packet

import "fieldgate/mqtt"

// Pingresp is the answer to a PINGREQ (MQTT 5.0 §3.13).
type Pingresp struct{}

// Type implements Packet.
func (*Pingresp) Type() Type { return TypePingresp }

// Append implements Packet.
func (*Pingresp) Append(dst []byte, _ mqtt.Version) ([]byte, error) {
	return append(dst, byte(TypePingresp)<<4, 0), nil
}
