package serial

import (
	"strings"

	"fieldgate/drivers"
)

// obisContent is the telegram of a meter (IEC 62056-21, DSMR P1): lines of
// code and values, "1-0:1.8.1(001581.123*kWh)". A line that begins with a
// bracket continues the one before it (DSMR 2.2 gas).
type obisContent struct{}

func (obisContent) open(frame []byte) (fields, bool) {
	out := make(obisFields)
	last := ""
	for line := range strings.Lines(string(frame)) {
		line = strings.Trim(line, "\r\n\x02\x03 ")
		code, rest, ok := strings.Cut(line, "(")
		if !ok {
			continue
		}
		if code == "" {
			code = last
		}
		if code = obisCode(code); code == "" {
			continue
		}
		out[code] = append(out[code], brackets("("+rest)...)
		last = code
	}
	return out, len(out) > 0
}

// obisCode drops the storage group 255, "the present value", which some meters
// write and others leave out.
func obisCode(code string) string { return strings.TrimSuffix(code, "*255") }

// brackets are the texts in a row of (…)(…).
func brackets(s string) (out []string) {
	for {
		_, rest, ok := strings.Cut(s, "(")
		if !ok {
			return out
		}
		text, tail, ok := strings.Cut(rest, ")")
		if !ok {
			return out
		}
		out, s = append(out, text), tail
	}
}

// obisFields are the bracketed texts by code.
type obisFields map[string][]string

func (f obisFields) text(p *pick) (string, bool) {
	groups := f[p.code]
	i := p.index
	if i < 0 {
		i = len(groups) - 1
	}
	if i < 0 || i >= len(groups) {
		return "", false
	}
	if p.typ.name == "string" {
		return groups[i], true
	}
	number, _, _ := strings.Cut(groups[i], "*") // 001581.123*kWh
	return number, true
}

// value: a meter that was never connected reports a time of 1970 and a
// number that means nothing.
func (f obisFields) value(p *pick) (drivers.Value, string) {
	if groups := f[p.code]; len(groups) > 1 && strings.HasPrefix(groups[0], "700101") && strings.Trim(groups[0], "0123456789") != groups[0] {
		return drivers.Value{}, drivers.ReasonInvalid
	}
	return textValue(f, p, absent)
}
