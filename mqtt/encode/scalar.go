package encode

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// scalarKind is the sort of a JSON scalar.
type scalarKind uint8

const (
	isNull scalarKind = iota
	isBool
	isNumber
	isString
)

// scalar is a value's JSON text, known to be one JSON scalar.
type scalar struct {
	kind scalarKind
	text string // JSON text
}

// parseScalar checks that a text is one JSON scalar. What is not becomes a
// string of that text: a value can never carry structure into a payload.
func parseScalar(text string) scalar {
	switch {
	case text == "" || text == "null":
		return scalar{isNull, "null"}
	case text == "true" || text == "false":
		return scalar{isBool, text}
	case isJSONNumber(text):
		return scalar{isNumber, text}
	case text[0] == '"' && json.Valid([]byte(text)) && utf8.ValidString(text):
		return scalar{isString, text}
	}
	return scalar{isString, string(AppendString(nil, text))}
}

// plain is a string's content, and any other scalar's JSON text.
func (s scalar) plain() string {
	if s.kind != isString {
		return s.text
	}
	var out string
	if err := json.Unmarshal([]byte(s.text), &out); err != nil {
		return s.text // parseScalar has checked it
	}
	return out
}

// isJSONNumber is the grammar of RFC 8259 §6.
func isJSONNumber(s string) bool {
	digits := func() bool {
		n := 0
		for n < len(s) && '0' <= s[n] && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	if s != "" && s[0] == '-' {
		s = s[1:]
	}
	switch {
	case s != "" && s[0] == '0':
		s = s[1:]
	case !digits():
		return false
	}
	if s != "" && s[0] == '.' {
		if s = s[1:]; !digits() {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if !digits() {
			return false
		}
	}
	return s == ""
}

// AppendString appends a text as a JSON string. Plain ASCII, which nearly all
// names are, is copied; the rest is left to encoding/json, without its escapes
// for HTML: a unit as "<" must reach the reader as it was typed.
func AppendString(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			return appendEscaped(dst, s)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

func appendEscaped(dst []byte, s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return append(dst, `""`...) // a string always encodes
	}
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

// appendKey appends `"key":`, with a comma before it unless it opens an object.
func appendKey(dst []byte, key string) []byte {
	if n := len(dst); n > 0 && dst[n-1] != '{' && dst[n-1] != '[' {
		dst = append(dst, ',')
	}
	return append(AppendString(dst, key), ':')
}
