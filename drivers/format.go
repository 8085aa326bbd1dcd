package drivers

import (
	"maps"
	"slices"
	"strconv"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// format is one payload format: either one message per sample, or (group) one
// per device and report.
type format struct {
	one    func(*Mapping, *Reading) ([]byte, error)
	group  func(*Mapping, []*Reading) []byte
	static *mqtt.Properties                          // shared by all messages, never changed
	props  func(*Mapping, *Reading) *mqtt.Properties // instead of static
}

// The formats of [publish]. The bridge has more for its batches.
var formats = map[string]format{
	"json":       {one: jsonPayload, static: textProps("application/json")},
	"value":      {one: valuePayload, props: valueProps},
	"group":      {group: groupPayload, static: textProps("application/json")},
	"influx":     {one: influxPayload, static: textProps("text/plain")},
	"senml":      {one: senmlJSON, static: textProps("application/senml+json")},
	"senml-cbor": {one: senmlCBOR, static: &mqtt.Properties{ContentType: "application/senml+cbor"}},
	"template":   {one: templatePayload, static: textProps("text/plain")},
}

func formatNames() []string { return slices.Sorted(maps.Keys(formats)) }

func textProps(contentType string) *mqtt.Properties {
	return &mqtt.Properties{PayloadFormat: 1, ContentType: contentType}
}

// jsonPayload is {"value":71.4,"ts":1767225600123,"quality":"good"}.
func jsonPayload(m *Mapping, r *Reading) ([]byte, error) {
	b := make([]byte, 0, 96)
	b = r.Value.AppendJSON(append(b, `{"value":`...))
	b = m.appendTime(append(b, `,"ts":`...), r.Time)
	b = append(append(append(b, `,"quality":"`...), r.Quality.String()...), '"')
	if r.Reason != "" {
		b = appendJSONString(append(b, `,"reason":`...), r.Reason)
	}
	if r.Quality == Bad && !r.Last.IsNull() {
		b = r.Last.AppendJSON(append(b, `,"last":`...))
		b = m.appendTime(append(b, `,"last_ts":`...), r.LastTime)
	}
	if !m.synced() {
		b = append(b, `,"clock":"unsynced"`...)
	}
	return append(b, '}'), nil
}

// valuePayload is the bare value; quality and time travel as user properties.
func valuePayload(_ *Mapping, r *Reading) ([]byte, error) {
	if text, ok := r.Value.Text(); ok && text != "" {
		return []byte(text), nil
	}
	return r.Value.AppendJSON(nil), nil // an empty payload would delete the retained value
}

func valueProps(m *Mapping, r *Reading) *mqtt.Properties {
	p := textProps("text/plain")
	ts := m.appendTime(nil, r.Time)
	if ts[0] == '"' {
		ts = ts[1 : len(ts)-1]
	}
	p.User = []mqtt.UserProperty{{Name: "quality", Value: r.Quality.String()}, {Name: "ts", Value: string(ts)}}
	if r.Unit != "" {
		p.User = append(p.User, mqtt.UserProperty{Name: "unit", Value: r.Unit})
	}
	if r.Reason != "" {
		p.User = append(p.User, mqtt.UserProperty{Name: "reason", Value: r.Reason})
	}
	if !m.synced() {
		p.User = append(p.User, mqtt.UserProperty{Name: "clock", Value: "unsynced"})
	}
	return p
}

// groups makes one message per device, in the order of their first readings.
func (m *Mapping) groups(readings []Reading) []mqtt.Message {
	var order []string
	byDevice := map[string][]*Reading{}
	for i := range readings {
		r := &readings[i]
		if byDevice[r.Sample.Device] == nil {
			order = append(order, r.Sample.Device)
		}
		byDevice[r.Sample.Device] = append(byDevice[r.Sample.Device], r)
	}
	out := make([]mqtt.Message, 0, len(order))
	for _, device := range order {
		topic, err := m.Topic(device, "") // the level of {tag} drops out
		if err != nil {
			continue // NewMapping has tried the template
		}
		out = append(out, m.message(topic, device, m.format.group(m, byDevice[device])))
	}
	return out
}

// groupPayload is {"ts":…,"device":"boiler2","values":{…},"errors":{…}}: ts is
// the newest reading's, errors holds the reason of what is not good.
func groupPayload(m *Mapping, readings []*Reading) []byte {
	var newest clock.Stamp
	for _, r := range readings {
		if newest.IsZero() || newest.Before(r.Time) {
			newest = r.Time
		}
	}
	b := m.appendTime([]byte(`{"ts":`), newest)
	b = appendJSONString(append(b, `,"device":`...), readings[0].Sample.Device)
	b = append(b, `,"values":{`...)
	n := 0
	for _, r := range readings {
		if r.Quality == Bad {
			continue
		}
		if n > 0 {
			b = append(b, ',')
		}
		b = r.Value.AppendJSON(append(appendJSONString(b, r.Sample.Tag), ':'))
		n++
	}
	b = append(b, `},"errors":{`...)
	n = 0
	for _, r := range readings {
		if r.Quality == Good {
			continue
		}
		if n > 0 {
			b = append(b, ',')
		}
		b = appendJSONString(append(appendJSONString(b, r.Sample.Tag), ':'), r.Reason)
		n++
	}
	b = append(b, '}')
	if !m.synced() {
		b = append(b, `,"clock":"unsynced"`...)
	}
	return append(b, '}')
}

// influxPayload is InfluxDB line protocol: the device is the measurement, the
// tag and the unit are its tags. A bad sample has no value field.
func influxPayload(_ *Mapping, r *Reading) ([]byte, error) {
	b := influxEscape(nil, r.Sample.Device, ", ")
	b = influxEscape(append(b, ",tag="...), r.Sample.Tag, ",= ")
	if r.Unit != "" {
		b = influxEscape(append(b, ",unit="...), r.Unit, ",= ")
	}
	b = append(b, ' ')
	if r.Quality != Bad {
		b = append(influxValue(append(b, "value="...), r.Value), ',')
	}
	b = append(append(append(b, `quality="`...), r.Quality.String()...), '"')
	if r.Reason != "" {
		b = append(append(append(b, `,reason="`...), r.Reason...), '"')
	}
	return strconv.AppendInt(append(b, ' '), clock.Wall(r.Time).UnixNano(), 10), nil
}

func influxValue(dst []byte, v Value) []byte {
	switch v.Kind() {
	case Int:
		return append(v.AppendJSON(dst), 'i')
	case Uint:
		if _, fits := v.Int(); fits {
			return append(v.AppendJSON(dst), 'i')
		}
		return append(v.AppendJSON(dst), 'u')
	case String:
		text, _ := v.Text()
		dst = append(dst, '"')
		for _, c := range []byte(text) {
			if c == '"' || c == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
		}
		return append(dst, '"')
	}
	return v.AppendJSON(dst)
}

// influxEscape puts a backslash before the characters that separate.
func influxEscape(dst []byte, s, special string) []byte {
	for i := range len(s) {
		if slices.Contains([]byte(special), s[i]) {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return dst
}
