package packet

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"fieldgate/mqtt"
)

// encoder appends the fields of a packet. The first failure sticks.
type encoder struct {
	b    []byte
	base int // length of what was there before the packet
	what Type
	err  error // nil or an *Error
}

// begin appends the first byte; finish puts the length behind it.
func begin(dst []byte, t Type, flags byte) encoder {
	return encoder{b: append(dst, byte(t)<<4|flags), base: len(dst), what: t}
}

func (e *encoder) finish() ([]byte, error) {
	e.insertLength(e.base + 1)
	if e.err != nil {
		return e.b[:e.base], e.err
	}
	return e.b, nil
}

func (e *encoder) fail(reason mqtt.ReasonCode, format string, args ...any) {
	if e.err == nil {
		e.err = &Error{reason, e.what, fmt.Sprintf(format, args...)}
	}
}

// insertLength inserts the length of all that follows at as a variable byte
// integer. Packets that are moved by it are short; PUBLISH reckons beforehand.
func (e *encoder) insertLength(at int) {
	n := len(e.b) - at
	if n > MaxVarint {
		e.fail(mqtt.PacketTooLarge, "%d bytes do not fit into a packet", n)
		return
	}
	var length [4]byte
	e.b = slices.Insert(e.b, at, appendVarint(length[:0], n)...)
}

func (e *encoder) u8(v byte)    { e.b = append(e.b, v) }
func (e *encoder) u16(v uint16) { e.b = binary.BigEndian.AppendUint16(e.b, v) }

func (e *encoder) binary(v []byte, field string) {
	if len(v) > 0xFFFF {
		e.fail(mqtt.PacketTooLarge, "%s has %d bytes, the most is 65535", field, len(v))
		return
	}
	e.u16(uint16(len(v)))
	e.b = append(e.b, v...)
}

func (e *encoder) string(s, field string) {
	switch {
	case len(s) > 0xFFFF:
		e.fail(mqtt.PacketTooLarge, "%s has %d bytes, the most is 65535", field, len(s))
		return
	case !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0:
		e.fail(mqtt.MalformedPacket, "%s is not valid UTF-8 or holds a NUL", field)
		return
	}
	e.u16(uint16(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) packetID(id uint16) {
	if id == 0 {
		e.fail(mqtt.ProtocolError, "packet id is 0")
	}
	e.u16(id)
}

// topicName writes the name that a message is published to.
func (e *encoder) topicName(s, field string) {
	if strings.IndexByte(s, '+') >= 0 || strings.IndexByte(s, '#') >= 0 {
		e.fail(mqtt.TopicNameInvalid, "%s %q holds a wildcard + or #", field, s)
	}
	e.string(s, field)
}
