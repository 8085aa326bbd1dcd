package serial

import (
	"strings"

	"fieldgate/drivers"
)

// splitContent is columns: "23.40,56.10,1013.25". A separator of one space
// stands for any run of blanks.
type splitContent struct{ sep string }

func (c splitContent) open(frame []byte) (fields, bool) {
	line := string(frame)
	if c.sep == " " {
		return splitFields(strings.Fields(line)), true
	}
	return splitFields(strings.Split(line, c.sep)), true
}

type splitFields []string

func (f splitFields) text(p *pick) (string, bool) {
	if p.index < 0 || p.index >= len(f) {
		return "", false
	}
	return f[p.index], true
}

// value: a line with too few columns was damaged.
func (f splitFields) value(p *pick) (drivers.Value, string) {
	return textValue(f, p, drivers.ReasonParse)
}
