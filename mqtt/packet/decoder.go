package packet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"fieldgate/mqtt"
)

// decoder takes a body apart from its front. The first failure sticks; every
// read after it returns zero, so that a packet's decoder reads straight down.
type decoder struct {
	b    []byte
	what Type
	err  error // nil or an *Error
}

func (d *decoder) fail(reason mqtt.ReasonCode, format string, args ...any) {
	if d.err == nil {
		d.err = &Error{reason, d.what, fmt.Sprintf(format, args...)}
		d.b = nil
	}
}

// take returns the next n bytes as a view.
func (d *decoder) take(n int, field string) []byte {
	if d.err != nil {
		return nil
	}
	if n > len(d.b) {
		d.fail(mqtt.MalformedPacket, "ends within the %s", field)
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) u8(field string) byte {
	if v := d.take(1, field); v != nil {
		return v[0]
	}
	return 0
}

func (d *decoder) u16(field string) uint16 {
	if v := d.take(2, field); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (d *decoder) u32(field string) uint32 {
	if v := d.take(4, field); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (d *decoder) varint(field string) int {
	if d.err != nil {
		return 0
	}
	n, size := readVarint(d.b)
	switch size {
	case 0:
		d.fail(mqtt.MalformedPacket, "ends within the %s", field)
	case -1:
		d.fail(mqtt.MalformedPacket, "%s is not a minimal number of at most four bytes", field)
	default:
		d.b = d.b[size:]
	}
	return n
}

// binary reads two bytes of length and that much data, as a view that is not nil.
func (d *decoder) binary(field string) []byte { return d.take(int(d.u16(field)), field) }

// text reads a UTF-8 string as a view [MQTT-1.5.4-1, -1.5.4-2].
func (d *decoder) text(field string) []byte {
	v := d.binary(field)
	if d.err == nil && !validText(v) {
		d.fail(mqtt.MalformedPacket, "%s is not valid UTF-8 or holds a NUL", field)
		return nil
	}
	return v
}

func (d *decoder) string(field string) string { return string(d.text(field)) }

// packetID reads a packet id, which is never 0 [MQTT-2.2.1-3].
func (d *decoder) packetID() uint16 {
	id := d.u16("packet id")
	if id == 0 && d.err == nil {
		d.fail(mqtt.ProtocolError, "packet id is 0")
	}
	return id
}

// rest takes everything that is left, as a view.
func (d *decoder) rest() []byte {
	v := d.b
	d.b = nil
	return v
}

func validText(b []byte) bool { return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 }

// topicName checks a name that messages are published to: no wildcards
// [MQTT-3.3.2-2]. Whether it may be empty is the caller's business.
func (d *decoder) topicName(b []byte, field string) {
	if bytes.IndexByte(b, '+') >= 0 || bytes.IndexByte(b, '#') >= 0 {
		d.fail(mqtt.TopicNameInvalid, "%s holds a wildcard + or #", field)
	}
}
