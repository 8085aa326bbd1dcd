package serial

import (
	"time"

	"fieldgate/configs/conf"
)

// The defaults of a [[serial]] section.
const (
	DefaultBaud       = 9600
	DefaultMode       = "8N1"
	DefaultStaleAfter = 30 * time.Second
	DefaultEvery      = time.Second
	DefaultTimeout    = 500 * time.Millisecond
	DefaultInitWait   = 100 * time.Millisecond
	DefaultMax        = 256
	LimitMax          = 65536 // the most a frame may ever hold
)

// Config is a [[serial]] section: an instrument that does not speak Modbus.
type Config struct {
	Name   string        `toml:"name"` // REQUIRED
	Label  string        `toml:"label"`
	Port   string        `toml:"port"`   // REQUIRED: a serial line, or tcp://host:port of a serial server
	Baud   int           `toml:"baud"`   // default 9600
	Mode   string        `toml:"mode"`   // default "8N1"
	Settle conf.Duration `toml:"settle"` // wait after open (Arduino: "2s")
	DTR    *bool         `toml:"dtr"`

	Frame     Frame         `toml:"frame"`
	Check     Check         `toml:"check"`
	Transform Transform     `toml:"transform"`
	Request   *Request      `toml:"request"`   // nil: the instrument talks by itself
	Requests  []Request     `toml:"requests"`  // several polls that take turns on one line
	Init      []string      `toml:"init"`      // sent once after open
	InitWait  conf.Duration `toml:"init_wait"` // after each of them; default 100ms

	Content  string `toml:"content"`  // bytes|split|pairs|json|regex|hexfloat|nmea|obis
	Pattern  string `toml:"pattern"`  // content = "regex"
	Sep      string `toml:"sep"`      // split (default ","), pairs (default ";")
	Assign   string `toml:"assign"`   // pairs, default "="
	Sentence string `toml:"sentence"` // nmea: "MWV", of any talker

	StaleAfter conf.Duration `toml:"stale_after"` // default 30s
	Tags       []Tag         `toml:"tags"`
	Tag        []Tag         `toml:"tag"`
}

// Frame says where a message of the instrument begins and ends. Start and End
// are text for delimiter and bracket ("\r\n", '\x02') and hex bytes for the
// other kinds ("AA C0"); "hex:…" and "text:…" say it outright.
type Frame struct {
	Kind       string        `toml:"kind"` // delimiter|fixed|length|bracket|gap; default delimiter
	Start      string        `toml:"start"`
	End        string        `toml:"end"`         // default "\n" for delimiter
	AfterEnd   int           `toml:"after_end"`   // bracket: bytes behind end that belong to it
	Length     int           `toml:"length"`      // fixed: of the whole frame
	LengthAt   int           `toml:"length_at"`   // length: where the length stands
	LengthType string        `toml:"length_type"` // u8|u16be|u16le; default u8
	LengthAdd  int           `toml:"length_add"`  // whole frame = length + this
	Gap        conf.Duration `toml:"gap"`         // gap: the silence that ends a frame
	Skip       string        `toml:"skip"`        // hex: idle bytes before start
	Max        int           `toml:"max"`         // default 256, at most 65536
}

// Check is the checksum of a frame. Positions count from the first byte of the
// frame, negative ones from its end; the end of a delimiter frame is not part
// of it, the markers of all other kinds are.
type Check struct {
	Kind     string `toml:"kind"`     // none|xor8|sum8|neg8|neg7|sum16be|sum16le|crc16-modbus|…|nmea|sum8-hex|crc16-arc-hex
	Range    []int  `toml:"range"`    // first byte, end (exclusive); default: all before the check
	At       *int   `toml:"at"`       // where the check stands; default: the last bytes before the end marker
	Order    string `toml:"order"`    // le|be for crc16-*; default: as that CRC is usually sent
	Optional bool   `toml:"optional"` // nmea and -hex kinds: accept frames without a check
}

// Transform is done to the bytes of a frame after its check and before its
// content is read, in this order: strip7, sub, xor, hex.
type Transform struct {
	Strip7 bool  `toml:"strip7"` // clear bit 7, the parity bit of a line opened with 8 bits
	Sub    int   `toml:"sub"`    // subtract from every byte (DL/T 645: 0x33)
	Xor    int   `toml:"xor"`
	Hex    bool  `toml:"hex"`   // two hex digits become one byte
	Range  []int `toml:"range"` // first byte, end (exclusive); default: the whole frame
}

// Request is what makes the instrument talk.
type Request struct {
	Name    string        `toml:"name"`    // for tags that read only this request's answer
	Send    string        `toml:"send"`    // text, or bytes as "hex:FF 01"; {check} is replaced by the check of all before it
	Every   conf.Duration `toml:"every"`   // default 1s
	Timeout conf.Duration `toml:"timeout"` // default 500ms
	Retries int           `toml:"retries"` // default 0
	Echo    bool          `toml:"echo"`    // the line gives back our own bytes first
}

// Tag is one value of an instrument.
type Tag struct {
	Name  string `toml:"name"` // REQUIRED
	Label string `toml:"label"`
	Unit  string `toml:"unit"`
	Type  string `toml:"type"` // see DESIGN.md; default float64 for text

	At       *int   `toml:"at"`       // bytes, hexfloat
	Bit      *int   `toml:"bit"`      // bytes: this bit of the number at `at`
	Index    *int   `toml:"index"`    // split: from 0; nmea: 1 is the first field; obis: which (…), default the last
	Key      string `toml:"key"`      // pairs
	Path     string `toml:"path"`     // json
	Group    string `toml:"group"`    // regex
	Code     string `toml:"code"`     // obis
	Sentence string `toml:"sentence"` // nmea: default the section's

	Request string `toml:"request"`  // only answers to the request of this name
	Match   *Match `toml:"match"`    // only frames that have these bytes
	ValidIf *Cond  `toml:"valid_if"` // else: no value

	Scale     *float64       `toml:"scale"`
	Offset    float64        `toml:"offset"`
	Enum      map[string]any `toml:"enum"`
	Invalid   any            `toml:"invalid"`    // raw values that mean "no value"
	OnInvalid string         `toml:"on_invalid"` // bad|drop|hold
	Range     []float64      `toml:"range"`
	Kind      string         `toml:"kind"` // counter
	Round     *int           `toml:"round"`
	Deadband  any            `toml:"deadband"` // 0.2 or "0.5%"
	Report    string         `toml:"report"`   // change|poll
	MaxAge    conf.Duration  `toml:"max_age"`
}

// Match tells message kinds on one line apart.
type Match struct {
	At     int    `toml:"at"`
	Equals string `toml:"equals"` // hex bytes, after the transform
}

// Cond is what another field must say for a value to count: NMEA status A,
// a scale's ST. It picks like a tag and compares text; binary contents compare
// hex digits.
type Cond struct {
	At     *int   `toml:"at"`
	Index  *int   `toml:"index"`
	Key    string `toml:"key"`
	Path   string `toml:"path"`
	Group  string `toml:"group"`
	Code   string `toml:"code"`
	Equals string `toml:"equals"`
	Not    string `toml:"not"`
}
