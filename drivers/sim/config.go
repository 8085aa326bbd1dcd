package sim

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"fieldgate/configs/conf"
)

// The defaults of simulated devices.
const (
	DefaultBind     = "127.0.0.1:0"
	DefaultBaud     = 9600
	DefaultPeriod   = time.Minute
	DefaultLateBy   = 1500 * time.Millisecond
	DefaultInterval = 500 * time.Millisecond
	addressCount    = 1024 // addresses of each area that exist; those without a point read 0
)

// Config is the file of `fieldgate sim FILE`.
type Config struct {
	PLC   []PLCConfig   `toml:"plc"`
	Meter []MeterConfig `toml:"meter"`
	Scale []ScaleConfig `toml:"scale"`
}

// PLCConfig is a [[plc]] section: a unit on Modbus TCP.
type PLCConfig struct {
	Name   string  `toml:"name"`   // default "plc"
	Bind   string  `toml:"bind"`   // default 127.0.0.1:0, a free port
	Unit   int     `toml:"unit"`   // default 1
	Points []Point `toml:"points"` // default: a boiler of a dozen points
	Faults Faults  `toml:"faults"`
	Seed   uint64  `toml:"seed"` // of the faults; default 1
}

// MeterConfig is a [[meter]] section: a unit on an RTU line.
type MeterConfig struct {
	Name       string        `toml:"name"`       // default "meter"
	Link       string        `toml:"link"`       // a path that leads to the pseudo-terminal while it runs
	Unit       int           `toml:"unit"`       // default 3
	Baud       int           `toml:"baud"`       // the line takes as long as at this speed (8N1); default 9600
	Turnaround conf.Duration `toml:"turnaround"` // of the unit; default 5ms
	Points     []Point       `toml:"points"`     // default: input registers as of an SDM630
	Faults     Faults        `toml:"faults"`
	Seed       uint64        `toml:"seed"`
}

// ScaleConfig is a [[scale]] section: a scale that prints lines as those of
// A&D, Yaohua and many others: "ST,GS,+  9.525kg".
type ScaleConfig struct {
	Name     string        `toml:"name"`     // default "scale"
	Link     string        `toml:"link"`     // as of a meter
	Interval conf.Duration `toml:"interval"` // between lines; default 500ms
	Request  string        `toml:"request"`  // set: a line only in answer to this text, "Q\r\n"
	Max      float64       `toml:"max"`      // kg, default 15; more is "OL"
	Faults   Faults        `toml:"faults"`
	Seed     uint64        `toml:"seed"`
}

// Point is one value of a simulated unit.
type Point struct {
	Name   string        `toml:"name"`   // REQUIRED
	Reg    string        `toml:"reg"`    // REQUIRED: "h100:int16", "i0:float32", "h110:uint32@CDAB", "c3", "d4"
	Wave   string        `toml:"wave"`   // constant (default) | sine | ramp | square | counter | reads
	Min    float64       `toml:"min"`    // constant: the value
	Max    float64       `toml:"max"`    //
	Period conf.Duration `toml:"period"` // of a wave; counter: of a step. Default 1m
	Scale  float64       `toml:"scale"`  // value = register × scale; default 1
	Unit   string        `toml:"unit"`
	Write  bool          `toml:"write"` // may be written, and then keeps what was written
}

// Faults says how often something goes wrong: probabilities from 0 to 1.
type Faults struct {
	Late      float64       `toml:"late"`    // the answer comes after LateBy
	LateBy    conf.Duration `toml:"late_by"` // default 1.5s
	Drop      float64       `toml:"drop"`    // no answer; a scale leaves the line out
	Noise     float64       `toml:"noise"`   // foreign bytes before the answer
	Exception float64       `toml:"exception"`
	Off       bool          `toml:"off"` // start undisturbed; Disturb(true) begins
}

// DefaultConfig is one device of each kind, undisturbed.
func DefaultConfig() Config {
	return Config{PLC: []PLCConfig{{}}, Meter: []MeterConfig{{}}, Scale: []ScaleConfig{{}}}
}

// Validate reports everything that is wrong.
func (c Config) Validate(bad conf.Bad) {
	names := map[string]bool{}
	check := func(key, name, def string) {
		if name == "" {
			name = def
		}
		if names[name] {
			bad(conf.Problem{Key: key + ".name", Code: "E0427", Text: fmt.Sprintf("two devices are called %q", name), Help: "give each its own name", Part: name})
		}
		names[name] = true
	}
	for i, p := range c.PLC {
		key := fmt.Sprintf("plc[%d]", i)
		check(key, p.Name, "plc")
		p.Faults.validate(bad.Under(key + ".faults"))
		validateUnit(p.Unit, p.Points, bad.Under(key))
	}
	for i, m := range c.Meter {
		key := fmt.Sprintf("meter[%d]", i)
		check(key, m.Name, "meter")
		m.Faults.validate(bad.Under(key + ".faults"))
		validateUnit(m.Unit, m.Points, bad.Under(key))
		validateLink(m.Link, bad.Under(key))
		if m.Baud < 0 {
			bad(conf.Problem{Key: key + ".baud", Code: "E0428", Text: fmt.Sprintf("%d is not a speed", m.Baud), Help: "write 9600, or leave it out"})
		}
	}
	for i, s := range c.Scale {
		key := fmt.Sprintf("scale[%d]", i)
		check(key, s.Name, "scale")
		s.Faults.validate(bad.Under(key + ".faults"))
		validateLink(s.Link, bad.Under(key))
		if s.Max < 0 {
			bad(conf.Problem{Key: key + ".max", Code: "E0424", Text: "a scale carries more than nothing", Help: "max is in kg"})
		}
	}
}

func (f Faults) validate(bad conf.Bad) {
	for _, p := range []struct {
		key   string
		value float64
	}{{"late", f.Late}, {"drop", f.Drop}, {"noise", f.Noise}, {"exception", f.Exception}} {
		if !(p.value >= 0 && p.value <= 1) {
			bad(conf.Problem{Key: p.key, Code: "E0424", Text: fmt.Sprintf("%v is not a probability", p.value), Help: "0 is never, 1 is always"})
		}
	}
}

func validateLink(link string, bad conf.Bad) {
	if link != "" && (!filepath.IsAbs(link) || strings.HasPrefix(link, "/dev/tty")) {
		bad(conf.Problem{Key: "link", Code: "E0423", Text: fmt.Sprintf("%q cannot be the link to a pseudo-terminal", link), Help: "write a path of your own, as /tmp/meter", Part: link})
	}
}

func validateUnit(unit int, points []Point, bad conf.Bad) {
	if unit < 0 || unit > 255 {
		bad(conf.Problem{Key: "unit", Code: "E0424", Text: fmt.Sprintf("unit %d is out of range", unit), Help: "1 to 247"})
	}
	names := map[string]bool{}
	for i, p := range points {
		under := bad.Under(fmt.Sprintf("points[%d]", i))
		if _, err := newPoint(p); err != nil {
			e := err.(*pointError)
			under(conf.Problem{Key: e.key, Code: "E0423", Text: e.text, Help: e.help})
		}
		if names[p.Name] {
			under(conf.Problem{Key: "name", Code: "E0427", Text: fmt.Sprintf("two points are called %q", p.Name), Help: "give each its own name"})
		}
		names[p.Name] = true
	}
}
