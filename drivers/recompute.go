package drivers

import "fieldgate/buffer/clock"

// maxChain is how many computed tags may follow from one another; `check`
// refuses those that go round in circles.
const maxChain = 32

// linkLocked notes which tags a computed one follows from.
func (s *Supervisor) linkLocked(t *tagState) {
	if t.tag.Computed == nil {
		return
	}
	for _, ref := range t.tag.Computed.inputs {
		key := tagKey{ref.Device, ref.Tag}
		s.dependents[key] = append(s.dependents[key], t)
	}
}

// unlinkLocked forgets a computed tag.
func (s *Supervisor) unlinkLocked(t *tagState) {
	if t.tag.Computed == nil {
		return
	}
	for _, ref := range t.tag.Computed.inputs {
		key := tagKey{ref.Device, ref.Tag}
		var rest []*tagState
		for _, other := range s.dependents[key] {
			if other != t {
				rest = append(rest, other)
			}
		}
		if s.dependents[key] = rest; len(rest) == 0 {
			delete(s.dependents, key)
		}
	}
}

// recomputeLocked computes what follows from tags that have just changed, and
// appends what is worth a message.
func (s *Supervisor) recomputeLocked(changed []tagKey, readings []Reading) []Reading {
	for depth := 0; len(changed) > 0 && depth < maxChain; depth++ {
		var next []tagKey
		done := map[*tagState]bool{}
		for _, key := range changed {
			for _, t := range s.dependents[key] {
				if done[t] {
					continue
				}
				done[t] = true
				sample, ok := s.computeLocked(t)
				if !ok {
					continue
				}
				t.samples++
				if r, worth := s.takeLocked(t, sample); worth {
					readings = append(readings, r)
				}
				next = append(next, tagKey{t.tag.Device, t.tag.Name})
			}
		}
		changed = next
	}
	return readings
}

// computeLocked is a computed tag's sample: as good as the worst of its inputs,
// as new as the newest. ok is false while one was never read.
func (s *Supervisor) computeLocked(t *tagState) (Sample, bool) {
	c := t.tag.Computed
	out := Sample{Device: t.tag.Device, Tag: t.tag.Name, Quality: Good}
	values := make([]Value, len(c.inputs))
	for i, ref := range c.inputs {
		in := s.tags[tagKey{ref.Device, ref.Tag}]
		if in == nil { // its driver is away for a new configuration
			return Sample{Device: out.Device, Tag: out.Tag, Quality: Bad, Reason: ReasonNotRead, Time: clock.Now()}, true
		}
		if in.sample.Time.IsZero() {
			return Sample{}, false
		}
		if out.Time.Before(in.sample.Time) || out.Time.IsZero() {
			out.Time = in.sample.Time
		}
		if in.sample.Quality > out.Quality {
			out.Quality, out.Reason = in.sample.Quality, in.sample.Reason
		}
		values[i] = in.sample.Value
	}
	if out.Quality == Bad {
		return out, true
	}
	if out.Value = c.eval(values); out.Value.IsNull() {
		out.Quality, out.Reason = Bad, ReasonInvalid
	}
	return out, true
}
