package serial

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"

	"fieldgate/drivers"
)

// bytesContent is a binary frame: fields at fixed places.
type bytesContent struct{}

func (bytesContent) open(frame []byte) (fields, bool) { return bytesFields(frame), true }

type bytesFields []byte

// field is the bytes of a pick; a negative place counts from the end.
func (f bytesFields) field(p *pick) ([]byte, bool) {
	at := p.at
	if at < 0 {
		at += len(f)
	}
	if at < 0 || at+p.typ.size > len(f) {
		return nil, false
	}
	return f[at : at+p.typ.size], true
}

func (f bytesFields) text(p *pick) (string, bool) {
	b, ok := f.field(p)
	return fmt.Sprintf("%X", b), ok
}

func (f bytesFields) value(p *pick) (drivers.Value, string) {
	b, ok := f.field(p)
	if !ok {
		return drivers.Value{}, drivers.ReasonParse // the frame is too short
	}
	return p.typ.decode(b, p.bit)
}

// hexfloatContent is numbers written as hex digits, "!0001RRCED3D141": at
// counts characters, and the digits are decoded like bytes.
type hexfloatContent struct{}

func (hexfloatContent) open(frame []byte) (fields, bool) { return hexFields(frame), true }

type hexFields []byte

func (f hexFields) text(p *pick) (string, bool) {
	at := p.at
	if at < 0 {
		at += len(f)
	}
	if at < 0 || at+2*p.typ.size > len(f) {
		return "", false
	}
	return string(f[at : at+2*p.typ.size]), true
}

func (f hexFields) value(p *pick) (drivers.Value, string) {
	digits, ok := f.text(p)
	if !ok {
		return drivers.Value{}, drivers.ReasonParse
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return drivers.Value{}, drivers.ReasonParse
	}
	return p.typ.decode(b, p.bit)
}

// decode reads a binary number or text. b has the size of the type.
func (t valueType) decode(b []byte, bit int) (drivers.Value, string) {
	switch t.name {
	case "ascii":
		text := string(bytes.Trim(b, "\x00 "))
		return drivers.StringValue(strings.ToValidUTF8(text, "\uFFFD")), ""
	case "dec":
		return valueType{name: "float64"}.parse(string(b))
	case "bcd":
		return decodeBCD(b, t.order)
	}
	u := t.uint(b)
	switch {
	case bit >= 0:
		return drivers.BoolValue(u>>bit&1 == 1), ""
	case t.name == "u":
		return drivers.UintValue(u), ""
	case t.name == "i":
		unused := 64 - 8*t.size
		return drivers.IntValue(int64(u<<unused) >> unused), ""
	case t.size == 4:
		return finite(drivers.Float32Value(math.Float32frombits(uint32(u))))
	}
	return finite(drivers.FloatValue(math.Float64frombits(u)))
}

// finite: NaN and infinities have become Null on their way.
func finite(v drivers.Value) (drivers.Value, string) {
	if v.IsNull() {
		return v, drivers.ReasonInvalid
	}
	return v, ""
}

// uint is the number's bits in the order of the type.
func (t valueType) uint(b []byte) uint64 {
	var wide [8]byte
	out := wide[8-len(b):]
	copy(out, b)
	switch t.order {
	case "le":
		slices.Reverse(out)
	case "cdab": // low word first, words big-endian
		out[0], out[1], out[2], out[3] = b[2], b[3], b[0], b[1]
	case "badc": // high word first, words little-endian
		out[0], out[1], out[2], out[3] = b[1], b[0], b[3], b[2]
	}
	return binary.BigEndian.Uint64(wide[:])
}

// decodeBCD reads two decimal digits a byte. A digit above 9 is a meter's way
// to say that it has no value.
func decodeBCD(b []byte, order string) (drivers.Value, string) {
	var n uint64
	for i := range b {
		c := b[i]
		if order == "le" {
			c = b[len(b)-1-i]
		}
		if c>>4 > 9 || c&15 > 9 {
			return drivers.Value{}, drivers.ReasonInvalid
		}
		n = n*100 + uint64(c>>4)*10 + uint64(c&15)
	}
	return drivers.UintValue(n), ""
}
