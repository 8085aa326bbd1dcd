package modbus

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"fieldgate/drivers"
)

// decode is the value of a whole register type from its bytes as they came.
// Null where the bytes are no value of the type: NaN, a BCD digit above 9.
func decode(t Type, o Order, raw []byte) drivers.Value {
	if t.form == formBit {
		return drivers.BoolValue(slices.ContainsFunc(raw, func(b byte) bool { return b != 0 }))
	}
	b := o.arrange(slices.Clone(raw))
	switch t.form {
	case formString:
		return drivers.StringValue(cleanText(b[:t.bits/8]))
	case formBytes:
		return drivers.StringValue(hex.EncodeToString(b[:t.bits/8]))
	case formFloat:
		return decodeFloat(b)
	case formBCD:
		return decodeBCD(b)
	case form10k:
		return decode10k(b)
	}
	return decodeInteger(t, number(b))
}

// number is up to eight bytes, big endian.
func number(b []byte) uint64 {
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

// decodeInteger covers what is one binary number.
func decodeInteger(t Type, n uint64) drivers.Value {
	switch t.form {
	case formHigh:
		return drivers.UintValue(n >> 8 & 0xFF)
	case formLow:
		return drivers.UintValue(n & 0xFF)
	case formHighInt:
		return drivers.IntValue(int64(int8(n >> 8)))
	case formLowInt:
		return drivers.IntValue(int64(int8(n)))
	case formSigned: // the top of an int24 in two registers is padding
		shift := 64 - t.bits
		return drivers.IntValue(int64(n<<shift) >> shift)
	case formSignMag:
		sign := uint64(1) << (t.bits - 1)
		if n&sign != 0 {
			return drivers.IntValue(-int64(n &^ sign))
		}
		return drivers.IntValue(int64(n))
	case formEpoch:
		return drivers.StringValue(time.Unix(int64(n), 0).UTC().Format(time.RFC3339))
	case formIPv4:
		return drivers.StringValue(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}).String())
	}
	return drivers.UintValue(n & (1<<t.bits - 1)) // for 64 bits the shift gives 0, and all ones
}

func decodeFloat(b []byte) drivers.Value {
	switch len(b) {
	case 2:
		return drivers.Float32Value(fromHalf(binary.BigEndian.Uint16(b)))
	case 4:
		return drivers.Float32Value(math.Float32frombits(binary.BigEndian.Uint32(b)))
	}
	return drivers.FloatValue(math.Float64frombits(binary.BigEndian.Uint64(b)))
}

// fromHalf widens IEEE 754 binary16; every half has its own float32.
func fromHalf(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, int(h>>10&0x1F), uint32(h&0x3FF)
	switch {
	case exp == 0x1F:
		return math.Float32frombits(sign | 0xFF<<23 | frac<<13)
	case exp == 0:
		f := float32(math.Ldexp(float64(frac), -24))
		return math.Float32frombits(sign | math.Float32bits(f))
	}
	return math.Float32frombits(sign | uint32(exp+112)<<23 | frac<<13)
}

func decodeBCD(b []byte) drivers.Value {
	var n uint64
	for _, c := range b {
		if c>>4 > 9 || c&0xF > 9 {
			return drivers.Value{}
		}
		n = n*100 + uint64(c>>4)*10 + uint64(c&0xF)
	}
	return drivers.UintValue(n)
}

func decode10k(b []byte) drivers.Value {
	var n uint64
	for i := 0; i < len(b); i += 2 {
		word := uint64(binary.BigEndian.Uint16(b[i:]))
		if word > 9999 {
			return drivers.Value{}
		}
		n = n*10000 + word
	}
	return drivers.UintValue(n)
}

// cleanText ends a text at its first NUL and trims spaces. What is not UTF-8 is
// taken as Latin-1, which is what instruments send.
func cleanText(b []byte) string {
	if i := slices.Index(b, 0); i >= 0 {
		b = b[:i]
	}
	if utf8.Valid(b) {
		return strings.TrimSpace(string(b))
	}
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return strings.TrimSpace(string(runes))
}

// Decoding is one way to read the same registers.
type Decoding struct {
	Type      string
	Order     string // "" where there is only one
	Registers int
	Value     drivers.Value
}

// DecodeAll reads the first registers of data (big endian, as on the wire) as
// every type in every order that fits, for `read --decode all`.
func DecodeAll(data []byte) []Decoding {
	var out []Decoding
	for _, t := range numberTypes {
		n := t.Registers()
		if 2*n > len(data) {
			continue
		}
		for _, o := range ordersOf(t) {
			d := Decoding{Type: t.name, Registers: n, Value: decode(t, o, data[:2*n])}
			if t.form != formBit {
				d.Order = o.letters(16 * n)
			}
			out = append(out, d)
		}
	}
	if n := min(len(data)/2*2, maxTextBytes); n > 0 {
		for _, o := range []Order{{}, {Bytes: true}} {
			t := Type{"string", formString, 8 * n}
			out = append(out, Decoding{Type: "string", Order: o.letters(16), Registers: n / 2, Value: decode(t, o, data[:n])})
		}
	}
	return out
}

// ordersOf lists the orders that give a type different values.
func ordersOf(t Type) []Order {
	switch {
	case t.form == formBit:
		return []Order{{}}
	case t.Registers() == 1:
		return []Order{{}, {Bytes: true}}
	}
	list := []Order{{}, {Words: true}, {Bytes: true}, {Words: true, Bytes: true}}
	if t.bits == 64 {
		for _, o := range list[:4:4] {
			o.Halves = true
			list = append(list, o)
		}
	}
	return list
}
