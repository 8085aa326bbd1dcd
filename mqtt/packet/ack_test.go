package packet

import (
	"testing"

	"fieldgate/mqtt"
)

// PlainAck takes exactly what Decode takes as an acknowledgement without
// reason and properties.
func TestPlainAck(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		for header := range 256 {
			for _, body := range [][]byte{nil, {1}, {0, 0}, {0, 1}, {0x12, 0x34}, {0xFF, 0xFF}, {0, 1, 0}, {0, 1, 0, 0}} {
				id, ok := PlainAck(byte(header), body, v)
				p, err := Decode(byte(header), body, v)
				var want Ack
				plain := err == nil && len(body) == 2
				switch p := p.(type) {
				case *Puback:
					want = Ack(*p)
				case *Pubrec:
					want = Ack(*p)
				case *Pubrel:
					want = Ack(*p)
				case *Pubcomp:
					want = Ack(*p)
				default:
					plain = false
				}
				if ok != plain || ok && (id != want.PacketID || want.Reason != mqtt.Success) {
					t.Errorf("version %d header %#x body % x: %d, %v; Decode says %+v, %v", v, header, body, id, ok, p, err)
				}
			}
		}
	}
}
