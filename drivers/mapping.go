package drivers

import (
	"fmt"
	"sync"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
	"fieldgate/mqtt/encode"
)

// Mapping turns samples into messages: topic, payload, retain, QoS and
// properties. It holds no state and may be used by many goroutines.
type Mapping struct {
	publish Publish
	gateway Gateway
	base    string
	retain  bool
	encoder *encode.Encoder
}

// Reading is a sample with what its message needs besides.
type Reading struct {
	Tag
	Sample
	Topic    string
	Origin   string      // who the message is from: "device:" and its name
	Last     Value       // the last good value, where the sample is bad
	LastTime clock.Stamp // and its time
}

// NewMapping checks and compiles [publish]. synced says whether the wall clock
// can be trusted; nil asks the kernel.
func NewMapping(p Publish, g Gateway, synced func() bool) (*Mapping, error) {
	if synced == nil {
		synced = newSyncCheck()
	}
	m := &Mapping{publish: p, gateway: g, retain: p.Retain == nil || *p.Retain}
	var err error
	if m.base, err = p.BaseTopic(g); err != nil {
		return nil, fmt.Errorf("publish.base: %w", err)
	}
	if _, err = m.Topic("x", "x"); err != nil {
		return nil, fmt.Errorf("publish.topic: %w", err)
	}
	m.encoder, err = p.Encoder(g, func(s clock.Stamp) (time.Time, bool) { return clock.Wall(s), synced() })
	if err != nil {
		return nil, err
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
	if m.publish.Format == encode.Group {
		return m.groups(readings)
	}
	out := make([]mqtt.Message, 0, len(readings))
	for i := range readings {
		r := &readings[i]
		item := encode.Item{Topic: r.Topic, Sample: sampleOf(r)}
		msg := m.message(r.Topic, r.origin(), item)
		msg.Sample = item.Sample
		out = append(out, msg)
	}
	return out
}

// origin is made where nobody has done it.
func (r *Reading) origin() string {
	if r.Origin != "" {
		return r.Origin
	}
	return origin(r.Sample.Device)
}

func origin(device string) string { return "device:" + device }

func (m *Mapping) message(topic, origin string, items ...encode.Item) mqtt.Message {
	p, err := m.encoder.Encode(items...)
	if err != nil { // a template that fails on this value
		p = encode.Payload{Body: []byte("null"), ContentType: encode.TypeJSON, Text: true}
	}
	return mqtt.Message{
		Topic: topic, Payload: p.Body, QoS: mqtt.QoS(m.publish.QoS), Retain: m.retain,
		Kind: mqtt.KindSample, Origin: origin, Stamp: clock.Now(), Props: p.Properties(),
	}
}

// sampleOf is the reading as encoders and the bridge want it.
func sampleOf(r *Reading) *mqtt.Sample {
	var number [32]byte // most values fit
	s := &mqtt.Sample{
		Device: r.Sample.Device, Tag: r.Sample.Tag, Unit: r.Unit, Value: string(r.Value.AppendJSON(number[:0])),
		Quality: r.Quality.String(), Reason: r.Reason, Time: r.Time,
	}
	if r.Quality == Bad && !r.Last.IsNull() {
		s.Last, s.LastTime = string(r.Last.AppendJSON(number[:0])), r.LastTime
	}
	return s
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
