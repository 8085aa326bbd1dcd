package modbus

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fieldgate/configs/conf"
	"fieldgate/drivers"
)

// form is how a type's bytes are read.
type form uint8

const (
	formBit      form = iota // a coil, or a register that is not 0
	formUnsigned             //
	formSigned               // two's complement
	formHigh                 // the high byte of a register, unsigned
	formLow                  // the low byte
	formHighInt              // the high byte, signed
	formLowInt               //
	formFloat                // IEEE 754
	formBCD                  // one decimal digit per four bits
	formSignMag              // top bit is the sign
	form10k                  // each word is 0 to 9999
	formString               //
	formBytes                //
	formEpoch                // seconds since 1970, UTC
	formIPv4                 //
)

// Type is what a register's content means: "int16", "float32", "string8".
type Type struct {
	name string
	form form
	bits int // width of the value; 8 per byte for strings
}

// String is the name in the grammar.
func (t Type) String() string { return t.name }

// Registers is how many registers the type takes.
func (t Type) Registers() int { return max(1, (t.bits+15)/16) }

var (
	typeBool   = Type{"bool", formBit, 1}
	typeUint16 = Type{"uint16", formUnsigned, 16}
	typeInt16  = Type{"int16", formSigned, 16}
)

// numberTypes are the types of the grammar with a fixed width, in the order of
// product documents.
var numberTypes = []Type{
	typeBool,
	{"u8h", formHigh, 8}, {"u8l", formLow, 8}, {"i8h", formHighInt, 8}, {"i8l", formLowInt, 8},
	typeInt16, typeUint16,
	{"int24", formSigned, 24}, {"uint24", formUnsigned, 24},
	{"int32", formSigned, 32}, {"uint32", formUnsigned, 32},
	{"int48", formSigned, 48}, {"uint48", formUnsigned, 48},
	{"int64", formSigned, 64}, {"uint64", formUnsigned, 64},
	{"float16", formFloat, 16}, {"float32", formFloat, 32}, {"float64", formFloat, 64},
	{"bcd16", formBCD, 16}, {"bcd32", formBCD, 32}, {"bcd64", formBCD, 64},
	{"sm16", formSignMag, 16}, {"sm32", formSignMag, 32},
	{"m10k32", form10k, 32}, {"m10k48", form10k, 48}, {"m10k64", form10k, 64},
	{"epoch32", formEpoch, 32}, {"ipv4", formIPv4, 32},
}

// maxTextBytes is what one read can hold: 125 registers.
const maxTextBytes = 250

// ParseType finds a type by its name.
func ParseType(name string) (Type, error) {
	lower := strings.ToLower(name)
	for _, t := range numberTypes {
		if t.name == lower {
			return t, nil
		}
	}
	for _, text := range []struct {
		prefix string
		form   form
	}{{"string", formString}, {"bytes", formBytes}} {
		digits, ok := strings.CutPrefix(lower, text.prefix)
		if !ok || digits != "" && strings.Trim(digits, "0123456789") != "" {
			continue
		}
		n, err := strconv.Atoi(digits)
		if err != nil || n < 1 || n > maxTextBytes {
			return Type{}, &RegError{Code: "E0203", Part: name, Text: fmt.Sprintf("type %q needs a length of 1 to %d bytes", name, maxTextBytes), Help: fmt.Sprintf("for example %s8", text.prefix)}
		}
		return Type{lower, text.form, 8 * n}, nil
	}
	e := &RegError{Code: "E0203", Part: name, Text: fmt.Sprintf("unknown type %q", name)}
	if near := conf.Nearest(lower, typeNames()); near != "" {
		e.Help = fmt.Sprintf("did you mean %q?", near)
	} else {
		e.Help = "known types are " + strings.Join(typeNames(), " ")
	}
	return Type{}, e
}

func typeNames() []string {
	var names []string
	for _, t := range numberTypes {
		names = append(names, t.name)
	}
	return append(names, "string8", "bytes8")
}

// rawType is what the value pipeline must know.
func (t Type) rawType() drivers.RawType {
	switch t.form {
	case formBit:
		return drivers.RawType{Bits: 1}
	case formSigned, formHighInt, formLowInt:
		return drivers.RawType{Bits: t.bits, Signed: true}
	case formSignMag: // 0x8000 is -0, so the range is symmetric; the pipeline's is one wider
		return drivers.RawType{Bits: t.bits, Signed: true}
	case formFloat:
		return drivers.RawType{Bits: t.bits, Float: true}
	case formString, formBytes, formEpoch, formIPv4:
		return drivers.RawType{Text: true}
	}
	return drivers.RawType{Bits: t.bits}
}

// isInteger reports a type whose single bits mean something.
func (t Type) isInteger() bool {
	return slices.Contains([]form{formUnsigned, formSigned, formHigh, formLow, formHighInt, formLowInt}, t.form)
}

// isByte reports a type that is half a register.
func (t Type) isByte() bool {
	return slices.Contains([]form{formHigh, formLow, formHighInt, formLowInt}, t.form)
}

// isText reports a type whose order can only swap the bytes of a register.
func (t Type) isText() bool { return t.form == formString || t.form == formBytes }
