package drivers

import "fieldgate/configs/conf"

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
