package serial

import (
	"math"
	"strconv"
	"strings"

	"fieldgate/drivers"
)

// parse turns the text of a field into a value. Text that says "there is no
// value" in an instrument's own way is bad(invalid); text that makes no sense
// is bad(parse). Neither ever becomes 0.
func (t valueType) parse(text string) (drivers.Value, string) {
	text = strings.TrimSpace(text)
	switch t.name {
	case "string":
		return drivers.StringValue(strings.ToValidUTF8(text, "\uFFFD")), ""
	case "lat", "lon":
		return parseAngle(text, t.name == "lat")
	case "time":
		return parseTime(text)
	}
	if saysNothing(text) {
		return drivers.Value{}, drivers.ReasonInvalid
	}
	switch t.name {
	case "int64", "uint64", "hex":
		return parseInteger(text, t.name)
	case "bool":
		return parseBool(text)
	case "float32":
		f, reason := parseFloat(text, 32)
		if reason != "" {
			return drivers.Value{}, reason
		}
		return drivers.Float32Value(float32(f)), ""
	case "auto":
		if text == "true" || text == "false" {
			return drivers.BoolValue(text == "true"), ""
		}
	}
	f, reason := parseFloat(text, 64)
	if reason != "" {
		return drivers.Value{}, reason
	}
	return drivers.FloatValue(f), ""
}

// saysNothing knows the ways in which instruments say that they have no
// value: an empty field, dashes, stars, an overload, a NaN.
func saysNothing(text string) bool {
	if strings.Trim(text, "-_.*#? ") == "" {
		return true
	}
	switch strings.ToLower(strings.TrimLeft(text, "+- ")) {
	case "nan", "inf", "infinity", "null", "nil", "none", "n/a", "na",
		"ol", "ovl", "ovld", "over", "overload", "ul", "under", "o.l", "o.l.", ".ol", "0l", "0.l",
		"err", "error", "fail", "invalid", "1.#inf", "1.#ind", "1.#qnan":
		return true
	}
	return false
}

// parseFloat is strict: sign, digits, point, exponent. Scales write the sign
// apart from the digits ("+  9.525"). Go's own hexadecimal, underscored and
// named forms are not numbers here.
func parseFloat(text string, bits int) (float64, string) {
	text = joinSign(text)
	if !isDecimal(text) {
		return 0, drivers.ReasonParse
	}
	f, err := strconv.ParseFloat(text, bits)
	if err != nil || math.IsInf(f, 0) {
		return 0, drivers.ReasonInvalid // too large for a number: not a measurement
	}
	return f, ""
}

func joinSign(text string) string {
	if text != "" && (text[0] == '+' || text[0] == '-') {
		return text[:1] + strings.TrimLeft(text[1:], " ")
	}
	return text
}

func isDecimal(text string) bool {
	mantissa, exponent, hasExponent := strings.Cut(strings.ToLower(unsigned(text)), "e")
	if hasExponent && !isDigits(unsigned(exponent)) {
		return false
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	return (whole != "" || fraction != "") && (whole == "" || isDigits(whole)) && (fraction == "" || isDigits(fraction))
}

// unsigned is text without one leading sign.
func unsigned(text string) string {
	if text != "" && (text[0] == '+' || text[0] == '-') {
		return text[1:]
	}
	return text
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// parseInteger keeps all 64 bits.
func parseInteger(text, typ string) (drivers.Value, string) {
	if typ == "hex" {
		u, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(text), "0x"), 16, 64)
		if err != nil {
			return drivers.Value{}, drivers.ReasonParse
		}
		return drivers.UintValue(u), ""
	}
	text = joinSign(text)
	if !isDigits(unsigned(text)) {
		return drivers.Value{}, drivers.ReasonParse
	}
	if typ == "uint64" {
		u, err := strconv.ParseUint(strings.TrimPrefix(text, "+"), 10, 64)
		if err != nil {
			return drivers.Value{}, drivers.ReasonInvalid // negative, or beyond 64 bits
		}
		return drivers.UintValue(u), ""
	}
	i, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return drivers.Value{}, drivers.ReasonInvalid
	}
	return drivers.IntValue(i), ""
}

func parseBool(text string) (drivers.Value, string) {
	switch strings.ToLower(text) {
	case "1", "true", "on", "yes", "high", "open":
		return drivers.BoolValue(true), ""
	case "0", "false", "off", "no", "low", "closed":
		return drivers.BoolValue(false), ""
	}
	return drivers.Value{}, drivers.ReasonParse
}
