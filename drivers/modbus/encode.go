package modbus

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"net/netip"
	"strings"
	"time"

	"fieldgate/drivers"
)

// encode is the inverse of decode: the bytes of a raw value as they go on the
// wire. Half a register (u8h) comes in its place with the other half 0. The
// error is a *drivers.CommandError.
func encode(t Type, o Order, v drivers.Value) ([]byte, error) {
	b := make([]byte, 2*t.Registers())
	var err error
	switch t.form {
	case formBit:
		on, _ := drivers.AsBool(v)
		if on {
			b[1] = 1
		}
		return b, nil
	case formString, formBytes:
		err = encodeText(t, b, v)
	case formFloat:
		err = encodeFloat(t, b, v)
	case formEpoch, formIPv4:
		err = encodeName(t, b, v)
	default:
		err = encodeInteger(t, b, v)
	}
	return o.arrange(b), err
}

func doesNotFit(v drivers.Value, t Type) error {
	return drivers.Refuse(drivers.CodeType, "%s does not fit into %s", v, t)
}

// putNumber writes the low bytes of n, big endian.
func putNumber(b []byte, n uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte(n)
		n >>= 8
	}
}

func encodeInteger(t Type, b []byte, v drivers.Value) error {
	i, isInt := v.Int()
	u, isUint := v.Uint()
	mask := uint64(1)<<t.bits - 1
	switch t.form {
	case formSigned, formHighInt, formLowInt:
		limit := int64(1) << (t.bits - 1) // for 64 bits this wraps to the least, and limit-1 to the greatest
		if !isInt || i > limit-1 || i < -limit && t.bits < 64 {
			return doesNotFit(v, t)
		}
		u = uint64(i) & mask
		if t.bits == 24 {
			u = uint64(i) & 0xFFFFFFFF // the sign goes on into the padding
		}
	case formSignMag:
		limit := int64(1)<<(t.bits-1) - 1
		if !isInt || i > limit || i < -limit {
			return doesNotFit(v, t)
		}
		u = uint64(i)
		if i < 0 {
			u = 1<<(t.bits-1) | uint64(-i)
		}
	case formBCD, form10k:
		if !isUint || !packDecimal(t, &u) {
			return doesNotFit(v, t)
		}
	default:
		if !isUint || u&^mask != 0 {
			return doesNotFit(v, t)
		}
	}
	if t.form == formHigh || t.form == formHighInt {
		u <<= 8
	}
	putNumber(b, u)
	return nil
}

// packDecimal turns a number into its BCD or base-10000 form, if it fits.
func packDecimal(t Type, u *uint64) bool {
	base, step := uint64(10), 4
	if t.form == form10k {
		base, step = 10000, 16
	}
	n, out := *u, uint64(0)
	for shift := 0; shift < t.bits; shift += step {
		out |= n % base << shift
		n /= base
	}
	*u = out
	return n == 0
}

func encodeFloat(t Type, b []byte, v drivers.Value) error {
	f, ok := v.Float()
	if !ok {
		return doesNotFit(v, t)
	}
	switch t.bits {
	case 16:
		h := toHalf(f)
		if h&0x7C00 == 0x7C00 {
			return doesNotFit(v, t)
		}
		binary.BigEndian.PutUint16(b, h)
	case 32:
		if math.IsInf(float64(float32(f)), 0) {
			return doesNotFit(v, t)
		}
		binary.BigEndian.PutUint32(b, math.Float32bits(float32(f)))
	default:
		binary.BigEndian.PutUint64(b, math.Float64bits(f))
	}
	return nil
}

// toHalf rounds to the nearest binary16, halves to even; what is too large
// becomes an infinity.
func toHalf(f float64) uint16 {
	sign := uint16(math.Float64bits(f)>>48) & 0x8000
	f = math.Abs(f)
	if f >= 65520 { // half way between the largest half and what would be next
		return sign | 0x7C00
	}
	exp := -14
	if f >= 0x1p-14 {
		_, e := math.Frexp(f)
		exp = e - 1
	}
	frac := uint16(math.RoundToEven(math.Ldexp(f, 10-exp))) // 11 bits; a carry runs into the exponent, rightly
	if f < 0x1p-14 {
		return sign | frac
	}
	return sign | (uint16(exp+15)<<10 + frac - 0x400)
}

func encodeText(t Type, b []byte, v drivers.Value) error {
	text := v.String()
	data, n := []byte(text), t.bits/8
	if t.form == formBytes {
		var err error
		if data, err = hex.DecodeString(strings.ReplaceAll(text, " ", "")); err != nil || len(data) != n {
			return drivers.Refuse(drivers.CodeType, "%q is not %d bytes in hex", text, n)
		}
	}
	if len(data) > n {
		return drivers.Refuse(drivers.CodeType, "%q has %d bytes, there is room for %d", text, len(data), n)
	}
	copy(b, data)
	return nil
}

// encodeName covers the numbers that are shown as texts.
func encodeName(t Type, b []byte, v drivers.Value) error {
	text := v.String()
	if t.form == formIPv4 {
		a, err := netip.ParseAddr(text)
		if err != nil || !a.Is4() {
			return drivers.Refuse(drivers.CodeType, "%q is not an IPv4 address", text)
		}
		four := a.As4()
		copy(b, four[:])
		return nil
	}
	seconds, ok := v.Int()
	if !ok {
		seconds, ok = drivers.ParseValue(text).Int()
	}
	if !ok {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return drivers.Refuse(drivers.CodeType, `%q is not a time; write "2026-01-31T12:00:00Z" or Unix seconds`, text)
		}
		seconds = at.Unix()
	}
	if seconds < 0 || seconds > math.MaxUint32 {
		return doesNotFit(v, t)
	}
	putNumber(b, uint64(seconds))
	return nil
}
