package drivers

import (
	"cmp"
	"fmt"
	"slices"

	"fieldgate/mqtt"
	"fieldgate/mqtt/encode"
)

// formats are those of [publish]: all but columns, which needs a batch.
func formats() []string {
	return slices.DeleteFunc(slices.Clone(encode.Formats), func(f string) bool { return f == encode.Columns })
}

// Encoder makes payloads as [publish] asks. Whoever encodes a value once more,
// because its time is known better by then, takes it from here as well.
func (p Publish) Encoder(g Gateway, wall encode.WallFunc) (*encode.Encoder, error) {
	o := encode.Options{Format: cmp.Or(p.Format, encode.JSON), Template: p.Template, Timestamp: p.Timestamp, Gateway: g.ID, Wall: wall}
	if !slices.Contains(formats(), o.Format) {
		return nil, fmt.Errorf("publish.format: unknown format %q", o.Format)
	}
	e, err := encode.New(o)
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	return e, nil
}

// groups makes one message per device, in the order of their first readings;
// a tag that comes twice begins another. The Sample of such a message has all
// of them in Group, for routes that send them in another form.
func (m *Mapping) groups(readings []Reading) []mqtt.Message {
	type group struct {
		device  string
		items   []encode.Item
		samples []*mqtt.Sample
		tags    map[string]bool
	}
	var all []*group
	open := map[string]*group{}
	for i := range readings {
		s := sampleOf(&readings[i])
		g := open[s.Device]
		if g == nil || g.tags[s.Tag] {
			g = &group{device: s.Device, tags: map[string]bool{}}
			open[s.Device], all = g, append(all, g)
		}
		g.tags[s.Tag] = true
		g.items = append(g.items, encode.Item{Sample: s})
		g.samples = append(g.samples, s)
	}
	out := make([]mqtt.Message, 0, len(all))
	for _, g := range all {
		topic, err := m.Topic(g.device, "") // the level of {tag} drops out
		if err != nil {
			continue // NewMapping has tried the template
		}
		msg := m.message(topic, origin(g.device), g.items...)
		msg.Sample = &mqtt.Sample{Device: g.device, Time: g.samples[0].Time, Group: g.samples}
		out = append(out, msg)
	}
	return out
}
