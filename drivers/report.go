package drivers

import (
	"context"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// report takes the samples of one poll: it updates the states and sends what is
// worth a message. Samples of tags that the driver never listed are dropped.
func (s *Supervisor) report(samples []Sample) {
	s.order.Lock()
	defer s.order.Unlock()
	readings := s.readings[:0]
	var changed []tagKey
	s.mu.Lock()
	for _, sample := range samples {
		t := s.tags[tagKey{sample.Device, sample.Tag}]
		if t == nil {
			continue
		}
		t.samples++
		if t.stale && sample.Quality != Bad && !t.good.Time.Before(sample.Time) {
			continue // a held value is as stale as it was
		}
		t.stale = false
		if r, ok := s.takeLocked(t, sample); ok {
			readings = append(readings, r)
		}
		if len(s.dependents) > 0 {
			changed = append(changed, tagKey{sample.Device, sample.Tag})
		}
		if t.device != nil {
			t.device.saw(sample)
			s.touchLocked(t.device)
		}
	}
	readings = s.recomputeLocked(changed, readings)
	s.mu.Unlock()
	s.sendReadings(readings)
	clear(readings)
	s.readings = readings
	s.publishChangedDevices()
}

// takeLocked stores a sample and says whether it is worth a message.
func (s *Supervisor) takeLocked(t *tagState, sample Sample) (Reading, bool) {
	if sample.Quality == Bad {
		sample.Value = Value{} // a bad sample has no value, whatever the driver says
	}
	t.sample = sample
	worth := t.change.wants(sample)
	r := Reading{Tag: t.tag, Sample: sample, Topic: t.topic, Origin: t.origin}
	if sample.Quality != Bad {
		t.good = sample
	} else {
		r.Last, r.LastTime = t.good.Value, t.good.Time
		switch s.opt.Publish.OnBad {
		case "silent":
			return r, false
		case "hold": // the old value with its own old time, and quality bad
			if !t.good.Value.IsNull() {
				r.Value, r.Time = t.good.Value, t.good.Time
			}
		}
	}
	if worth {
		t.sent++
	}
	return r, worth
}

func (s *Supervisor) sendReadings(readings []Reading) {
	if len(readings) > 0 {
		s.outbox.send(s.mapping.Messages(readings))
	}
}

// send hands over single messages.
func (s *Supervisor) send(msgs ...mqtt.Message) {
	for i := range msgs {
		if msgs[i].Stamp.IsZero() {
			msgs[i].Stamp = clock.Now()
		}
	}
	s.outbox.send(msgs)
}

// watch looks for tags without a fresh read and keeps device/info fresh.
func (s *Supervisor) watch(ctx context.Context) {
	tick := time.NewTicker(s.opt.StaleTick)
	defer tick.Stop()
	lastInfo := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.findStale()
		if time.Since(lastInfo) >= infoEvery {
			lastInfo = time.Now()
			s.publishStates()
		}
	}
}

// findStale turns values bad that nobody has read for StaleAfter. A tag that
// was never read keeps its reason, not_read.
func (s *Supervisor) findStale() {
	s.order.Lock()
	defer s.order.Unlock()
	now := s.now()
	var readings []Reading
	var changed []tagKey
	s.mu.Lock()
	for _, e := range s.entries {
		if e.cancel == nil {
			continue
		}
		for _, t := range e.tags {
			was := t.stale
			if r, ok := s.staleLocked(t, now); ok {
				readings = append(readings, r)
			}
			if t.stale && !was {
				changed = append(changed, tagKey{t.tag.Device, t.tag.Name})
			}
		}
	}
	readings = s.recomputeLocked(changed, readings)
	s.mu.Unlock()
	s.sendReadings(readings)
	s.publishChangedDevices()
}

func (s *Supervisor) staleLocked(t *tagState, now clock.Stamp) (Reading, bool) {
	limit := t.change.rule.StaleAfter
	if limit <= 0 || t.stale || t.device != nil && t.device.info.Disabled {
		return Reading{}, false
	}
	fresh, reason := t.sample.Time, ReasonStale
	if fresh.IsZero() {
		fresh, reason = t.since, ReasonNotRead
	} else if t.sample.Quality == Bad {
		return Reading{}, false
	}
	if now.Sub(fresh) <= limit {
		return Reading{}, false
	}
	t.stale = true
	sample := Sample{Device: t.tag.Device, Tag: t.tag.Name, Quality: Bad, Reason: reason, Time: now}
	r, worth := s.takeLocked(t, sample)
	if t.device != nil {
		t.device.saw(sample)
		s.touchLocked(t.device)
	}
	return r, worth
}
