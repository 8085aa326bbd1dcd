package drivers

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// ParseValue reads what a person typed or a client published: a JSON number,
// true, false, null, a quoted text; anything else is a text as it stands.
func ParseValue(text string) Value {
	text = strings.TrimSpace(text)
	if v, ok := parseNumber(text); ok {
		return v
	}
	switch text {
	case "null":
		return Value{}
	case "true":
		return BoolValue(true)
	case "false":
		return BoolValue(false)
	}
	if strings.HasPrefix(text, `"`) {
		var s string
		if json.Unmarshal([]byte(text), &s) == nil {
			return StringValue(s)
		}
	}
	return StringValue(text)
}

// parseNumber keeps integers exact; what is not a decimal number is refused,
// so that "inf", "nan" and "0x10" stay texts.
func parseNumber(text string) (Value, bool) {
	if text == "" || strings.Trim(text, "+-.0123456789eE") != "" {
		return Value{}, false
	}
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return IntValue(i), true
	}
	if u, err := strconv.ParseUint(strings.TrimPrefix(text, "+"), 10, 64); err == nil {
		return UintValue(u), true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return Value{}, false
	}
	return FloatValue(f), true
}

// FromJSON reads one JSON scalar; ok is false for objects, arrays and texts
// that are not JSON.
func FromJSON(raw []byte) (v Value, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var x any
	if dec.Decode(&x) != nil || dec.More() {
		return Value{}, false
	}
	return FromAny(x)
}

// FromAny turns what a decoder of TOML or JSON yields into a Value.
func FromAny(x any) (v Value, ok bool) {
	switch x := x.(type) {
	case nil:
		return Value{}, true
	case bool:
		return BoolValue(x), true
	case string:
		return StringValue(x), true
	case int64:
		return IntValue(x), true
	case int:
		return IntValue(int64(x)), true
	case uint64:
		return UintValue(x), true
	case float64:
		return FloatValue(x), !math.IsNaN(x) && !math.IsInf(x, 0)
	case json.Number:
		return parseNumber(x.String())
	}
	return Value{}, false
}
