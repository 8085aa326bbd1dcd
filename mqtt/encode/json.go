package encode

import (
	"strconv"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// json writes {"value":71.4,"ts":1767225600123,"quality":"good"}, and a batch
// as {"gateway":…,"epoch":…,"seq":…,"samples":[{"device":…,"tag":…,"value":…}]}.
func (e *Encoder) json(items []Item) ([]byte, error) {
	if !e.many(items) {
		dst := make([]byte, 1, 80) // most fit
		dst[0] = '{'
		return append(e.appendSample(dst, items[0].Sample), '}'), nil
	}
	dst := make([]byte, 0, 128+96*len(items))
	dst = e.appendNumbers(append(dst, '{'), items)
	dst = append(appendKey(dst, "samples"), '[')
	for i, it := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		dst = AppendString(appendKey(dst, "device"), it.Sample.Device)
		dst = AppendString(appendKey(dst, "tag"), it.Sample.Tag)
		dst = append(e.appendSample(dst, it.Sample), '}')
	}
	return append(dst, "]}"...), nil
}

// appendSample appends the members of one sample to an open object.
func (e *Encoder) appendSample(dst []byte, s *mqtt.Sample) []byte {
	dst = append(appendKey(dst, "value"), parseScalar(s.Value).text...)
	dst, synced := e.appendTime(appendKey(dst, "ts"), s.Time)
	dst = AppendString(appendKey(dst, "quality"), qualityOf(s))
	if s.Reason != "" {
		dst = AppendString(appendKey(dst, "reason"), s.Reason)
	}
	if s.Last != "" {
		dst = append(appendKey(dst, "last"), parseScalar(s.Last).text...)
		if !s.LastTime.IsZero() {
			dst, _ = e.appendTime(appendKey(dst, "last_ts"), s.LastTime)
		}
	}
	return appendClock(dst, synced)
}

// appendClock marks what was timed by a clock that nobody has set.
func appendClock(dst []byte, synced bool) []byte {
	if synced {
		return dst
	}
	return AppendString(appendKey(dst, "clock"), "unsynced")
}

// appendTime appends the wall-clock time of a stamp in the form of the option
// Timestamp. RFC 3339 is UTC with milliseconds;
// a time that nobody can tell any more is null.
func (e *Encoder) appendTime(dst []byte, s clock.Stamp) (_ []byte, synced bool) {
	t, synced := e.o.Wall(s)
	if t.IsZero() {
		return append(dst, "null"...), false
	}
	switch e.o.Timestamp {
	case "unix_s":
		return strconv.AppendInt(dst, t.Unix(), 10), synced
	case "rfc3339":
		return AppendString(dst, rfc3339(t)), synced
	}
	return strconv.AppendInt(dst, t.UnixMilli(), 10), synced
}

func rfc3339(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// qualityOf is the sample's quality; an empty one means good.
func qualityOf(s *mqtt.Sample) string {
	if s.Quality == "" {
		return "good"
	}
	return s.Quality
}

// faultOf is why a sample is not good, or empty: its reason, else its quality.
func faultOf(s *mqtt.Sample) string {
	switch {
	case qualityOf(s) == "good":
		return ""
	case s.Reason != "":
		return s.Reason
	}
	return s.Quality
}
