package serial

import (
	"regexp"

	"fieldgate/drivers"
)

// regexContent is free text with named groups (RE2 syntax).
type regexContent struct{ pattern *regexp.Regexp }

func (c regexContent) open(frame []byte) (fields, bool) {
	at := c.pattern.FindSubmatchIndex(frame)
	if at == nil {
		return nil, false
	}
	return &regexFields{string(frame), at}, true
}

type regexFields struct {
	line string
	at   []int
}

func (f *regexFields) text(p *pick) (string, bool) {
	from, to := f.at[2*p.group], f.at[2*p.group+1]
	if from < 0 { // an optional group that did not take part
		return "", false
	}
	return f.line[from:to], true
}

// value: an optional group may belong to another kind of line.
func (f *regexFields) value(p *pick) (drivers.Value, string) { return textValue(f, p, absent) }
