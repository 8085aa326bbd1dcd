package serial

import (
	"strings"

	"fieldgate/drivers"
)

// pairsContent is names with values: "T=23.4;H=56.1". Blanks around both do
// not count; a separator of one space stands for any run of blanks.
type pairsContent struct{ sep, assign string }

func (c pairsContent) open(frame []byte) (fields, bool) {
	line := string(frame)
	parts := strings.Split(line, c.sep)
	if c.sep == " " {
		parts = strings.Fields(line)
	}
	out := make(pairsFields, len(parts))
	for _, part := range parts {
		if key, value, ok := strings.Cut(part, c.assign); ok {
			out[strings.TrimSpace(key)] = value
		}
	}
	return out, len(out) > 0
}

type pairsFields map[string]string

func (f pairsFields) text(p *pick) (string, bool) {
	s, ok := f[p.key]
	return s, ok
}

// value: boards send some keys in one line and others in the next.
func (f pairsFields) value(p *pick) (drivers.Value, string) { return textValue(f, p, absent) }
