package drivers

import (
	"math"
	"strconv"

	"fieldgate/mqtt/encode"
)

// ValueKind is the sort of a Value.
type ValueKind uint8

// The kinds of values.
const (
	Null ValueKind = iota
	Bool
	Int     // int64, exact
	Uint    // uint64, exact
	Float   // float64
	Float32 // a float64 that came from 32 bits: printed with the digits 32 bits have
	String
)

// Value is a tag's value. Integers stay integers of 64 bits all the way to
// the JSON text. The zero Value is Null. Values are comparable with ==.
type Value struct {
	kind ValueKind
	bits uint64 // Bool, Int, Uint, Float
	text string
}

// BoolValue is true or false.
func BoolValue(b bool) Value {
	if b {
		return Value{kind: Bool, bits: 1}
	}
	return Value{kind: Bool}
}

// IntValue is a signed integer.
func IntValue(i int64) Value { return Value{kind: Int, bits: uint64(i)} }

// UintValue is an unsigned integer.
func UintValue(u uint64) Value { return Value{kind: Uint, bits: u} }

// FloatValue is a number; NaN and infinities become Null, for no payload can carry them.
func FloatValue(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Value{}
	}
	return Value{kind: Float, bits: math.Float64bits(f)}
}

// Float32Value is a number that was read as 32 bits.
func Float32Value(f float32) Value {
	v := FloatValue(float64(f))
	if v.kind == Float {
		v.kind = Float32
	}
	return v
}

// StringValue is a text.
func StringValue(s string) Value { return Value{kind: String, text: s} }

// Kind returns the kind.
func (v Value) Kind() ValueKind { return v.kind }

// IsNull reports the absence of a value.
func (v Value) IsNull() bool { return v.kind == Null }

// Float returns a number as float64; booleans are 0 and 1; ok is false for
// texts and Null.
func (v Value) Float() (f float64, ok bool) {
	switch v.kind {
	case Bool, Uint:
		return float64(v.bits), true
	case Int:
		return float64(int64(v.bits)), true
	case Float, Float32:
		return math.Float64frombits(v.bits), true
	}
	return 0, false
}

// Int returns the value of an Int, or of a Uint that fits.
func (v Value) Int() (i int64, ok bool) {
	return int64(v.bits), v.kind == Int || v.kind == Uint && v.bits <= math.MaxInt64
}

// Uint returns the value of a Uint, or of an Int that is not negative.
func (v Value) Uint() (u uint64, ok bool) {
	return v.bits, v.kind == Uint || v.kind == Int && int64(v.bits) >= 0
}

// Bool returns the value of a Bool.
func (v Value) Bool() (b, ok bool) { return v.bits != 0, v.kind == Bool }

// Text returns the value of a String.
func (v Value) Text() (s string, ok bool) { return v.text, v.kind == String }

// String is the value for people: texts without quotes, Null as "-".
func (v Value) String() string {
	switch v.kind {
	case Null:
		return "-"
	case String:
		return v.text
	}
	return string(v.AppendJSON(nil))
}

// AppendJSON appends the value as a JSON text. Integers are exact; floats are
// the shortest decimal that reads back to the same number.
func (v Value) AppendJSON(dst []byte) []byte {
	switch v.kind {
	case Bool:
		return strconv.AppendBool(dst, v.bits != 0)
	case Int:
		return strconv.AppendInt(dst, int64(v.bits), 10)
	case Uint:
		return strconv.AppendUint(dst, v.bits, 10)
	case Float:
		return appendFloat(dst, math.Float64frombits(v.bits), 64)
	case Float32:
		return appendFloat(dst, math.Float64frombits(v.bits), 32)
	case String:
		return encode.AppendString(dst, v.text)
	}
	return append(dst, "null"...)
}

// appendFloat writes plain decimals where they are short and an exponent only
// for the very large and the very small, as encoding/json does.
func appendFloat(dst []byte, f float64, bits int) []byte {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, bits)
}
