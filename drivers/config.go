package drivers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/encode"
)

// Defaults of [publish].
const (
	DefaultTopic  = "{enterprise}/{site}/{area}/{line}/{device}/{tag}"
	DefaultBase   = "fieldgate/{gateway}"
	DefaultMaxAge = 5 * time.Minute
	// noPlaceTopic is the default where [gateway.place] is empty: two gateways
	// with a "boiler" each must not share topics upstream.
	noPlaceTopic = "{gateway}/{device}/{tag}"
)

// Publish is the [publish] section: how values are published.
type Publish struct {
	Topic     string        `toml:"topic"`     // default "{enterprise}/{site}/{area}/{line}/{device}/{tag}"
	Base      string        `toml:"base"`      // default "fieldgate/{gateway}"
	Format    string        `toml:"format"`    // json|value|group|influx|senml|senml-cbor|template
	Template  string        `toml:"template"`  // Go text/template for format = "template"
	Retain    *bool         `toml:"retain"`    // default true
	QoS       int           `toml:"qos"`       // default 0
	Timestamp string        `toml:"timestamp"` // unix_ms|unix_s|rfc3339
	On        string        `toml:"on"`        // change|poll
	MaxAge    conf.Duration `toml:"max_age"`   // default 5m
	OnBad     string        `toml:"on_bad"`    // null|hold|silent
}

// Gateway is the [gateway] section: who and where.
type Gateway struct {
	ID       string `toml:"id"` // default: host name
	Name     string `toml:"name"`
	Timezone string `toml:"timezone"`
	Place    Place  `toml:"place"`
}

// Place feeds {enterprise} {site} {area} {line} in topics (ISA-95).
type Place struct {
	Enterprise string `toml:"enterprise"`
	Site       string `toml:"site"`
	Area       string `toml:"area"`
	Line       string `toml:"line"`
}

// Validate reports the problems of [publish].
func (p Publish) Validate(bad conf.Bad) {
	word := func(key, value, code string, known ...string) {
		if value != "" && !slices.Contains(known, value) {
			bad(conf.Problem{Key: key, Code: code, Part: value, Text: fmt.Sprintf("unknown %s %q", key, value), Help: "use " + strings.Join(known, ", ")})
		}
	}
	word("format", p.Format, "E0320", formats()...)
	word("timestamp", p.Timestamp, "E0321", "unix_ms", "unix_s", "rfc3339")
	word("on", p.On, "E0322", "change", "poll")
	word("on_bad", p.OnBad, "E0323", "null", "hold", "silent")
	if p.QoS < 0 || p.QoS > 2 {
		bad(conf.Problem{Key: "qos", Code: "E0324", Text: fmt.Sprintf("qos is 0, 1 or 2, not %d", p.QoS)})
	}
	if p.Format == "template" || p.Template != "" {
		if err := encode.CheckTemplate(p.Template); err != nil {
			bad(conf.Problem{Key: "template", Code: "E0325", Text: err.Error()})
		}
	}
	p.validateTopics(bad)
}

func (p Publish) validateTopics(bad conf.Bad) {
	all := Gateway{ID: "g", Place: Place{"e", "s", "a", "l"}}
	if p.Topic != "" {
		if err := checkTemplate(p.Topic, all, "device", "tag"); err != nil {
			bad(conf.Problem{Key: "topic", Code: "E0326", Text: err.Error(), Help: "for example " + DefaultTopic})
		} else if !strings.Contains(p.Topic, "{device}") || !strings.Contains(p.Topic, "{tag}") {
			bad(conf.Problem{Key: "topic", Code: "E0326", Text: "the topic needs {device} and {tag}, or values would share one topic", Help: "for example " + DefaultTopic})
		}
	}
	if p.Base != "" {
		if err := checkTemplate(p.Base, all); err != nil {
			bad(conf.Problem{Key: "base", Code: "E0327", Text: err.Error(), Help: "for example " + DefaultBase})
		}
	}
}

// Validate reports the problems of [gateway].
func (g Gateway) Validate(bad conf.Bad) {
	if g.ID != "" {
		if text := CheckName(g.ID); text != "" {
			bad(conf.Problem{Key: "id", Code: "E0310", Text: strings.Replace(text, "name", "id", 1), Part: g.ID})
		}
	}
	if g.Timezone != "" {
		if _, err := time.LoadLocation(g.Timezone); err != nil {
			bad(conf.Problem{Key: "timezone", Code: "E0311", Part: g.Timezone, Text: fmt.Sprintf("unknown time zone %q", g.Timezone), Help: `use a name as "Asia/Shanghai" or "Europe/Berlin"`})
		}
	}
	for _, level := range []struct{ key, value string }{
		{"enterprise", g.Place.Enterprise}, {"site", g.Place.Site}, {"area", g.Place.Area}, {"line", g.Place.Line},
	} {
		if level.value == "" {
			continue
		}
		if text := CheckName(level.value); text != "" {
			bad(conf.Problem{Key: "place." + level.key, Code: "E0312", Text: text, Part: level.value})
		}
	}
}

// checkTemplate tries a topic template with every name filled in.
func checkTemplate(template string, g Gateway, names ...string) error {
	fill := placeNames(g)
	for _, n := range names {
		fill[n] = "x"
	}
	topic, err := expand(template, fill)
	if err != nil {
		return err
	}
	if err := mqtt.CheckTopic(topic); err != nil {
		return fmt.Errorf("%q: %w", template, err)
	}
	if topic[0] == '$' {
		return fmt.Errorf("%q: topics that begin with $ belong to the broker", template)
	}
	return nil
}
