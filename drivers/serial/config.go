package serial

import "fieldgate/configs/conf"

// Config is a [[serial]] section: an instrument that does not speak Modbus.
type Config struct {
	Name   string        `toml:"name"` // REQUIRED
	Label  string        `toml:"label"`
	Port   string        `toml:"port"`   // REQUIRED: a serial line, or tcp://host:port of a serial server
	Baud   int           `toml:"baud"`   // default 9600
	Mode   string        `toml:"mode"`   // default "8N1"
	Settle conf.Duration `toml:"settle"` // wait after open (Arduino: "2s")
	DTR    *bool         `toml:"dtr"`

	Frame   Frame    `toml:"frame"`
	Check   Check    `toml:"check"`
	Request *Request `toml:"request"` // nil: the instrument talks by itself
	Init    []string `toml:"init"`    // sent once after open

	Content  string `toml:"content"`  // bytes|split|pairs|json|regex|hexfloat|nmea|obis
	Pattern  string `toml:"pattern"`  // content = "regex"
	Sep      string `toml:"sep"`      // split, pairs
	Assign   string `toml:"assign"`   // pairs
	Sentence string `toml:"sentence"` // nmea

	StaleAfter conf.Duration `toml:"stale_after"` // default 30s
	Tags       []Tag         `toml:"tags"`
	Tag        []Tag         `toml:"tag"`
}

// Frame says where a message of the instrument begins and ends.
type Frame struct {
	Kind       string        `toml:"kind"` // delimiter|fixed|length|bracket|gap; default delimiter
	Start      string        `toml:"start"`
	End        string        `toml:"end"` // default "\n" for delimiter
	AfterEnd   int           `toml:"after_end"`
	Length     int           `toml:"length"`
	LengthAt   int           `toml:"length_at"`
	LengthType string        `toml:"length_type"` // u8|u16be|u16le
	LengthAdd  int           `toml:"length_add"`
	Gap        conf.Duration `toml:"gap"`
	Skip       string        `toml:"skip"` // idle bytes before start
	Max        int           `toml:"max"`  // default 256, at most 65536
}

// Check is the checksum of a frame.
type Check struct {
	Kind     string `toml:"kind"` // none|xor8|sum8|neg8|neg7|sum16be|sum16le|crc16-modbus|…|nmea|sum8-hex|crc16-arc-hex
	Range    []int  `toml:"range"`
	At       *int   `toml:"at"`
	Order    string `toml:"order"`
	Optional bool   `toml:"optional"`
}

// Request is what makes the instrument talk.
type Request struct {
	Send    string        `toml:"send"`    // text, or bytes as "hex:FF 01"
	Every   conf.Duration `toml:"every"`   // default 1s
	Timeout conf.Duration `toml:"timeout"` // default 500ms
	Retries int           `toml:"retries"`
}

// Tag is one value of an instrument.
type Tag struct {
	Name  string `toml:"name"` // REQUIRED
	Label string `toml:"label"`
	Unit  string `toml:"unit"`
	Type  string `toml:"type"`

	At    *int   `toml:"at"`    // bytes, hexfloat
	Index *int   `toml:"index"` // split, nmea
	Key   string `toml:"key"`   // pairs
	Path  string `toml:"path"`  // json
	Group string `toml:"group"` // regex
	Code  string `toml:"code"`  // obis

	Scale    *float64       `toml:"scale"`
	Offset   float64        `toml:"offset"`
	Enum     map[string]any `toml:"enum"`
	Invalid  []any          `toml:"invalid"`
	Range    []float64      `toml:"range"`
	Kind     string         `toml:"kind"`
	Round    *int           `toml:"round"`
	Deadband any            `toml:"deadband"`
	Report   string         `toml:"report"`
	MaxAge   conf.Duration  `toml:"max_age"`
}
