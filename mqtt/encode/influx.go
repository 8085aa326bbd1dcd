package encode

import (
	"strconv"
	"strings"
)

// influx writes InfluxDB line protocol, one line a sample:
//
//	boiler2,gateway=gw1 water_temp=71.4 1767225600123000000
//
// The measurement is the device, the field the tag. Numbers are floats, also
// where they are whole: a field whose type changes is refused by the database.
// A value that is not good has its reason in the field TAG_error; a bad one
// has nothing else. A time by a clock that nobody set has the tag clock=unsynced.
func (e *Encoder) influx(items []Item) ([]byte, error) {
	dst := make([]byte, 0, 64*len(items))
	for i, it := range items {
		if i > 0 {
			dst = append(dst, '\n')
		}
		dst = e.appendLine(dst, it)
	}
	return dst, nil
}

func (e *Encoder) appendLine(dst []byte, it Item) []byte {
	s := it.Sample
	t, synced := e.o.Wall(s.Time)
	dst = append(dst, influxName(s.Device, ", ")...)
	if !synced {
		dst = append(dst, ",clock=unsynced"...)
	}
	if e.o.Gateway != "" {
		dst = append(dst, ",gateway="...)
		dst = append(dst, influxName(e.o.Gateway, ", =")...)
	}
	dst = append(dst, ' ')
	field, fault := influxName(s.Tag, ", ="), faultOf(s)
	if field == "time" {
		field = "time_" // the database keeps this name for itself
	}
	v := parseScalar(s.Value)
	if v.kind == isNull && fault == "" {
		fault = "null" // a line needs a field
	}
	if v.kind != isNull {
		dst = append(append(dst, field...), '=')
		if v.kind == isString {
			dst = appendInfluxString(dst, v.plain())
		} else {
			dst = append(dst, v.text...)
		}
	}
	if fault != "" {
		if v.kind != isNull {
			dst = append(dst, ',')
		}
		dst = append(append(dst, field...), "_error="...)
		dst = appendInfluxString(dst, fault)
	}
	if t.IsZero() {
		return dst // the database takes the time of arrival
	}
	return strconv.AppendInt(append(dst, ' '), t.UnixNano(), 10)
}

// influxName escapes a measurement, tag or field name. Backslashes and control
// characters have no escape in the protocol and become "_", as does a "#" that
// would make the line a comment.
func influxName(name, special string) string {
	if name == "" {
		return "_"
	}
	var b strings.Builder
	for i, r := range strings.ToValidUTF8(name, "_") {
		switch {
		case r < ' ' || r == 0x7f || r == '\\' || r == '#' && i == 0:
			b.WriteByte('_')
		case strings.ContainsRune(special, r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// appendInfluxString appends a quoted field value on one line: line breaks
// become the two characters \n, for many readers split at line breaks first.
func appendInfluxString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\\n`...)
		case r < ' ' || r == 0x7f:
			dst = append(dst, ' ')
		default:
			dst = append(dst, string(r)...)
		}
	}
	return append(dst, '"')
}
