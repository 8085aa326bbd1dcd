package encode

import (
	"bytes"

	"fieldgate/mqtt"
)

// value writes the bare value: 71.4, true, running. An unknown value is the
// word null, for an empty payload would delete a retained message.
func (e *Encoder) value(items []Item) ([]byte, error) {
	text := parseScalar(items[0].Sample.Value).plain()
	if text == "" {
		text = `""`
	}
	return []byte(text), nil
}

// valueProperties say what a bare value cannot: quality, ts, unit and, where
// they matter, reason and clock.
func (e *Encoder) valueProperties(s *mqtt.Sample) []mqtt.UserProperty {
	ts, synced := e.appendTime(nil, s.Time)
	ts = bytes.Trim(ts, `"`) // RFC 3339 without the quotes of JSON
	out := []mqtt.UserProperty{{Name: "quality", Value: qualityOf(s)}, {Name: "ts", Value: string(ts)}}
	if s.Unit != "" {
		out = append(out, mqtt.UserProperty{Name: "unit", Value: s.Unit})
	}
	if s.Reason != "" {
		out = append(out, mqtt.UserProperty{Name: "reason", Value: s.Reason})
	}
	if !synced {
		out = append(out, mqtt.UserProperty{Name: "clock", Value: "unsynced"})
	}
	return out
}
