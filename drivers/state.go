package drivers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fieldgate/buffer/clock"
)

// TagState is a tag with what was last read, for `tags` and the page.
type TagState struct {
	Tag      Tag
	Topic    string
	Value    Value
	Quality  Quality
	Reason   string
	Time     clock.Stamp // of the last sample; zero: nothing was read yet
	Last     Value       // the last good value
	LastTime clock.Stamp
	Samples  uint64 // since the start
	Messages uint64 // of them published
}

// Age is the time since the last sample; ok is false where there is none.
func (t TagState) Age() (age time.Duration, ok bool) {
	if t.Time.IsZero() {
		return 0, false
	}
	return clock.Now().Sub(t.Time), true
}

// tagState is one tag's state; Supervisor.mu guards it.
type tagState struct {
	tag     Tag
	topic   string
	origin  string
	entry   *entry
	device  *deviceState
	since   clock.Stamp // when its driver was started
	sample  Sample      // the last one
	good    Sample      // the last good one
	stale   bool        // the supervisor has turned it bad
	change  change
	samples uint64
	sent    uint64
	written clock.Stamp // last write, for the rate
}

// newTagsLocked makes the states of a driver's tags and checks their names.
func (s *Supervisor) newTagsLocked(tags []Tag) ([]*tagState, error) {
	states := make([]*tagState, 0, len(tags))
	seen := map[string]bool{}
	for _, tag := range tags {
		topic, err := s.mapping.Topic(tag.Device, tag.Name)
		if err != nil {
			return nil, err
		}
		key := tagKey{tag.Device, tag.Name}
		if _, twice := s.tags[key]; twice {
			return nil, fmt.Errorf("tag %s/%s exists already", tag.Device, tag.Name)
		}
		if other := s.topics[topic]; other != nil || seen[topic] {
			return nil, fmt.Errorf("tag %s/%s: topic %s is taken by another tag", tag.Device, tag.Name, topic)
		}
		seen[topic] = true
		states = append(states, &tagState{
			tag: tag, topic: topic, origin: origin(tag.Device), change: change{rule: s.rule(tag.Publish)},
			sample: Sample{Device: tag.Device, Tag: tag.Name, Quality: Bad, Reason: ReasonNotRead},
		})
	}
	return states, nil
}

// rule fills in what [publish] says.
func (s *Supervisor) rule(r PublishRule) PublishRule {
	if !r.OnPoll && !r.OnChange {
		r.OnPoll = s.opt.Publish.On == "poll"
	}
	if r.MaxAge == 0 {
		r.MaxAge = s.opt.Publish.MaxAge.Std()
	}
	return r
}

// Tags lists all tags in the order of their devices and files.
func (s *Supervisor) Tags() []TagState {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]TagState, 0, len(s.tags))
	names := make([]string, 0, len(s.entries))
	for name := range s.entries {
		names = append(names, name)
	}
	slices.SortFunc(names, strings.Compare)
	for _, name := range names {
		for _, t := range s.entries[name].tags {
			out = append(out, t.state())
		}
	}
	return out
}

// Tag finds one tag.
func (s *Supervisor) Tag(device, tag string) (TagState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tags[tagKey{device, tag}]
	if t == nil {
		return TagState{}, false
	}
	return t.state(), true
}

func (t *tagState) state() TagState {
	return TagState{
		Tag: t.tag, Topic: t.topic, Value: t.sample.Value, Quality: t.sample.Quality, Reason: t.sample.Reason,
		Time: t.sample.Time, Last: t.good.Value, LastTime: t.good.Time, Samples: t.samples, Messages: t.sent,
	}
}

// now is the present moment; a method, so that its use reads well.
func (s *Supervisor) now() clock.Stamp { return clock.Now() }
