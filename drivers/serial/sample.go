package serial

import (
	"bytes"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/drivers"
)

// frame turns a checked frame into samples.
func (s *session) frame(frame []byte) {
	var f fields
	data, ok := s.d.p.transform.apply(frame)
	if ok {
		f, ok = s.d.p.content.open(data)
	}
	var samples []drivers.Sample
	if ok {
		samples = s.samples(data, f)
	}
	if len(samples) == 0 {
		s.misses++
		s.d.stats.miss(frame)
		return
	}
	s.hits += len(samples)
	s.d.stats.hit()
	s.tell(samples)
}

// tell reports samples and keeps them for reads out of turn.
func (s *session) tell(samples []drivers.Sample) {
	if len(samples) == 0 {
		return
	}
	if s.asking {
		s.told = append(s.told, samples...)
	}
	s.report(samples)
}

func (s *session) samples(data []byte, f fields) (out []drivers.Sample) {
	now := time.Now()
	for _, t := range s.d.tags {
		if !t.asked(s.current) || !t.match.in(data) {
			continue
		}
		sample, ok := t.sample(f, s.at)
		if !ok {
			continue
		}
		t.last, t.stale = now, false
		out = append(out, sample)
	}
	return out
}

// asked reports whether the tag reads the answers to a request.
func (t *tag) asked(r *request) bool {
	return t.request == "" || r != nil && t.request == r.name
}

func (m *match) in(frame []byte) bool {
	if m == nil {
		return true
	}
	at := m.at
	if at < 0 {
		at += len(frame)
	}
	return at >= 0 && at <= len(frame) && bytes.HasPrefix(frame[at:], m.equals)
}

// sample is the tag's value in a frame; ok is false where the frame has none
// to report.
func (t *liveTag) sample(f fields, at clock.Stamp) (s drivers.Sample, ok bool) {
	raw, reason := f.value(&t.pick)
	switch {
	case reason == absent:
		return s, false
	case reason == "" && t.validIf != nil && !t.validIf.holds(f), t.saysNothing(raw):
		raw, reason = drivers.Value{}, drivers.ReasonInvalid
	}
	if reason == drivers.ReasonParse {
		s = drivers.Sample{Quality: drivers.Bad, Reason: reason, Time: at}
	} else if s, ok = t.pipeline.Apply(raw, at); !ok { // Null is bad(invalid)
		return s, false
	}
	s.Device, s.Tag = t.Device, t.Name
	return s, true
}

// saysNothing reports a word of an instrument, empty or one such as "OL" that
// is not a state the file names, that stands for no value.
func (t *tag) saysNothing(raw drivers.Value) bool {
	text, ok := raw.Text()
	if !ok || text == "" {
		return ok
	}
	_, named := t.rules.Enum[text]
	return len(t.rules.Enum) > 0 && !named && saysNothing(text)
}

func (c *cond) holds(f fields) bool {
	text, found := f.text(&c.pick)
	return found && (text == c.text) != c.not
}

// bad is the sample of a tag that has no value now.
func (t *tag) bad(reason string) drivers.Sample {
	return drivers.Sample{Device: t.Device, Tag: t.Name, Quality: drivers.Bad, Reason: reason, Time: clock.Now()}
}
