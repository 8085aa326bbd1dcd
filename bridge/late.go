package bridge

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// late reports a sample whose payload was made while the clock was not set, or
// wrong: its time can be put right now.
func late(m *mqtt.Message, wall func(clock.Stamp) (time.Time, bool)) bool {
	if m.Sample == nil {
		return false
	}
	t, synced := wall(m.Sample.Time)
	return synced && (marked(m) || tellsOther(m, t))
}

// tellsOther reports a payload, or a property beside it, that names a time and
// not this one, give or take half a second: as a number of seconds with or
// without a fraction, or as RFC 3339.
func tellsOther(m *mqtt.Message, t time.Time) bool {
	beside := ""
	if m.Props != nil {
		beside = userProperty(m.Props.User, "ts")
	}
	if beside == "" && !bytes.Contains(m.Payload, []byte(`"ts":`)) {
		return false
	}
	for _, at := range [...]time.Time{t.Add(-time.Second / 2), t.Add(time.Second / 2)} {
		number := strconv.FormatInt(at.Unix(), 10)
		text := at.UTC().Format("2006-01-02T15:04:05")
		for _, x := range [...]string{number, text} {
			if bytes.Contains(m.Payload, []byte(x)) || strings.Contains(beside, x) {
				return false
			}
		}
	}
	return true
}
