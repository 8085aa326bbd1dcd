package bridge

import (
	"testing"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// TestLate: a sample is encoded again where its payload names a time that is
// known better now, and only there.
func TestLate(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 999e6, time.UTC) // 1767225600.999
	for _, c := range []struct {
		payload, beside string
		synced, want    bool
	}{
		{`{"value":1,"ts":1767225600999,"quality":"good"}`, "", true, false},
		{`{"value":1,"ts":1767225601002,"quality":"good"}`, "", true, false}, // milliseconds off: the two clocks were not read at once
		{`{"value":1,"ts":1767225600,"quality":"good"}`, "", true, false},
		{`{"value":1,"ts":"2026-01-01T00:00:00.999Z"}`, "", true, false},
		{`{"value":1,"ts":1767222000999,"quality":"good"}`, "", true, true}, // an hour back
		{`{"value":1,"ts":1767222000999,"quality":"good"}`, "", false, false},
		{`{"value":1,"ts":"2025-12-31T23:00:00.999Z"}`, "", true, true},
		{`{"value":1,"ts":1000999,"quality":"good","clock":"unsynced"}`, "", true, true},
		{`{"value":1,"ts":1767225600999,"clock":"unsynced"}`, "", true, true}, // right by chance, and says it does not know
		{`{"value":1,"ts":1000999,"quality":"good","clock":"unsynced"}`, "", false, false},
		{`71.4`, "", true, false}, // names no time
		{`71.4`, "1767225600999", true, false},
		{`71.4`, "1767222000999", true, true},
	} {
		m := &mqtt.Message{Payload: []byte(c.payload), Sample: &mqtt.Sample{}}
		if c.beside != "" {
			m.Props = &mqtt.Properties{User: []mqtt.UserProperty{{Name: "ts", Value: c.beside}}}
		}
		if got := late(m, func(clock.Stamp) (time.Time, bool) { return at, c.synced }); got != c.want {
			t.Errorf("%s %s, synced %v: %v", c.payload, c.beside, c.synced, got)
		}
	}
	if late(&mqtt.Message{Payload: []byte(`{"ts":1}`)}, func(clock.Stamp) (time.Time, bool) { return at, true }) {
		t.Error("a client's own message is not ours to change")
	}
}
