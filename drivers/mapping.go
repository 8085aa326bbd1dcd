package drivers

import (
	"fmt"
	"strconv"
	"sync"
	"text/template"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// Mapping turns samples into messages: topic, payload, retain, QoS and
// properties. It holds no state and may be used by many goroutines.
type Mapping struct {
	publish  Publish
	gateway  Gateway
	base     string
	retain   bool
	format   format
	template *template.Template
	synced   func() bool
}

// Reading is a sample with what its payload needs besides.
type Reading struct {
	Tag
	Sample
	Topic    string
	Last     Value       // the last good value, where the sample is bad
	LastTime clock.Stamp // and its time
}

// NewMapping checks and compiles [publish]. synced says whether the wall clock
// can be trusted; nil asks the kernel.
func NewMapping(p Publish, g Gateway, synced func() bool) (*Mapping, error) {
	m := &Mapping{publish: p, gateway: g, retain: p.Retain == nil || *p.Retain, synced: synced}
	if m.synced == nil {
		m.synced = newSyncCheck()
	}
	var err error
	if m.base, err = p.BaseTopic(g); err != nil {
		return nil, fmt.Errorf("publish.base: %w", err)
	}
	if _, err = m.Topic("x", "x"); err != nil {
		return nil, fmt.Errorf("publish.topic: %w", err)
	}
	name := p.Format
	if name == "" {
		name = "json"
	}
	f, known := formats[name]
	if !known {
		return nil, fmt.Errorf("publish.format: unknown format %q", name)
	}
	m.format = f
	if name == "template" {
		if m.template, err = parseTemplate(p.Template); err != nil {
			return nil, fmt.Errorf("publish.template: %w", err)
		}
	}
	return m, nil
}

// Base is the topic of the gateway's own messages, "fieldgate/plant7-gw01".
func (m *Mapping) Base() string { return m.base }

// Topic is the topic of a tag.
func (m *Mapping) Topic(device, tag string) (string, error) {
	return m.publish.TagTopic(m.gateway, device, tag)
}

// SetFilter is the filter that matches the set topics of all tags.
func (m *Mapping) SetFilter() (string, error) {
	topic, err := m.Topic("+", "+")
	if err != nil {
		return "", err
	}
	return wholeLevels(topic) + "/set", nil
}

// Messages turns the readings of one report into messages, in order. format =
// "group" makes one message per device of them.
func (m *Mapping) Messages(readings []Reading) []mqtt.Message {
	if m.format.group != nil {
		return m.groups(readings)
	}
	out := make([]mqtt.Message, 0, len(readings))
	for i := range readings {
		r := &readings[i]
		payload, err := m.format.one(m, r)
		if err != nil { // a template that fails on this value
			payload = []byte("null")
		}
		msg := m.message(r.Topic, r.Sample.Device, payload)
		msg.Sample = sampleOf(r)
		if m.format.props != nil {
			msg.Props = m.format.props(m, r)
		}
		out = append(out, msg)
	}
	return out
}

func (m *Mapping) message(topic, device string, payload []byte) mqtt.Message {
	return mqtt.Message{
		Topic: topic, Payload: payload, QoS: mqtt.QoS(m.publish.QoS), Retain: m.retain,
		Kind: mqtt.KindSample, Origin: "device:" + device, Stamp: clock.Now(), Props: m.format.static,
	}
}

// sampleOf is the reading as the bridge wants it, whatever the payload is.
func sampleOf(r *Reading) *mqtt.Sample {
	s := &mqtt.Sample{
		Device: r.Sample.Device, Tag: r.Sample.Tag, Unit: r.Unit, Value: string(r.Value.AppendJSON(nil)),
		Quality: r.Quality.String(), Reason: r.Reason, Time: r.Time,
	}
	if r.Quality == Bad && !r.Last.IsNull() {
		s.Last, s.LastTime = string(r.Last.AppendJSON(nil)), r.LastTime
	}
	return s
}

// appendTime writes a moment as [publish] timestamp asks: a number, or a
// quoted text.
func (m *Mapping) appendTime(dst []byte, s clock.Stamp) []byte {
	t := clock.Wall(s)
	switch m.publish.Timestamp {
	case "unix_s":
		return strconv.AppendInt(dst, t.Unix(), 10)
	case "rfc3339":
		return append(t.UTC().AppendFormat(append(dst, '"'), "2006-01-02T15:04:05.000Z"), '"')
	}
	return strconv.AppendInt(dst, t.UnixMilli(), 10)
}

// newSyncCheck asks the kernel at most once a second.
func newSyncCheck() func() bool {
	var mu sync.Mutex
	var at time.Time
	var ok bool
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		if at.IsZero() || time.Since(at) >= time.Second {
			at = time.Now()
			ok, _ = clock.Synced()
		}
		return ok
	}
}
