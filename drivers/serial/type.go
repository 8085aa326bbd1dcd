package serial

import (
	"fmt"
	"strconv"
	"strings"
)

// valueType is how a value is written in a frame. The zero valueType is text
// that may be a number or a boolean.
type valueType struct {
	name  string // "auto", "float64", "u", "i", "f", "bcd", "dec", "ascii", …
	size  int    // bytes, for binary types
	order string // "le", "be", "cdab", "badc"
}

// textTypes are the types of contents made of text.
var textTypes = []string{"float64", "float32", "int64", "uint64", "bool", "string", "hex", "lat", "lon", "time"}

// binaryTypes are the fixed ones of contents made of bytes.
var binaryTypes = []string{
	"u8", "i8", "u16le", "u16be", "i16le", "i16be", "u24le", "u24be", "i24le", "i24be",
	"u32le", "u32be", "u32cdab", "u32badc", "i32le", "i32be", "i32cdab", "i32badc",
	"u64le", "u64be", "i64le", "i64be", "f32le", "f32be", "f32cdab", "f32badc", "f64le", "f64be",
}

// parseTextType reads the type of a field of text.
func parseTextType(name string, nmea bool) (valueType, error) {
	if name == "" {
		return valueType{name: "auto"}, nil
	}
	for _, t := range textTypes {
		if t != name {
			continue
		}
		if (t == "lat" || t == "lon" || t == "time") && !nmea {
			return valueType{}, fmt.Errorf(`type %q is for content = "nmea"`, name)
		}
		return valueType{name: t}, nil
	}
	return valueType{}, unknown("type", name, textTypes)
}

// parseBinaryType reads the type of a field of bytes: those above, and
// bcdN-le, bcdN-be (N bytes, two digits each), decN (N ASCII digits), asciiN.
func parseBinaryType(name string) (valueType, error) {
	for _, t := range binaryTypes {
		if t == name {
			return fixedType(t), nil
		}
	}
	for _, prefix := range []string{"bcd", "dec", "ascii"} {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		order := "be"
		if prefix == "bcd" {
			if digits, tail, found := strings.Cut(rest, "-"); found {
				rest, order = digits, tail
			}
		}
		limit := map[string]int{"bcd": 9, "dec": 32, "ascii": 256}[prefix]
		n, err := strconv.Atoi(rest)
		if err == nil && n >= 1 && n <= limit && (order == "le" || order == "be") {
			return valueType{name: prefix, size: n, order: order}, nil
		}
		return valueType{}, fmt.Errorf(`type %q: write bcdN-le or bcdN-be (N up to 9 bytes), decN (up to 32 digits) or asciiN (up to 256)`, name)
	}
	return valueType{}, unknown("type", canonicalType(name), append(binaryTypes, "bcd2-le", "bcd4-le", "dec6", "ascii8"))
}

// canonicalType brings the names of other programs near ours, so that the
// suggestion is the right one: uint16be is u16be.
func canonicalType(name string) string {
	for _, r := range []struct{ long, short string }{{"uint", "u"}, {"int", "i"}, {"float", "f"}} {
		if rest, ok := strings.CutPrefix(name, r.long); ok {
			return r.short + rest
		}
	}
	return name
}

// fixedType takes a name of binaryTypes apart: letter, bits, order.
func fixedType(name string) valueType {
	digits := strings.TrimRight(name[1:], "abcdel")
	bits, _ := strconv.Atoi(digits) // the table has only numbers there
	return valueType{name: name[:1], size: bits / 8, order: name[1+len(digits):]}
}
