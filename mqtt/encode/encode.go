package encode

import (
	"fmt"
	"strings"
	"text/template"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// The formats, with the names of the file. AsIs is not a format of this
// package: it means that the payload is not touched.
const (
	AsIs      = "as-is"
	JSON      = "json"
	Value     = "value"
	Group     = "group"
	Columns   = "columns"
	Influx    = "influx"
	SenML     = "senml"
	SenMLCBOR = "senml-cbor"
	Template  = "template"
)

// Formats lists what New accepts, in the order of the documentation.
var Formats = []string{JSON, Value, Group, Columns, Influx, SenML, SenMLCBOR, Template}

// Content types of the payloads.
const (
	TypeJSON      = "application/json"
	TypeText      = "text/plain"             // UTF-8, as the payload format indicator says
	TypeSenML     = "application/senml+json" // RFC 8428 §12.3.1
	TypeSenMLCBOR = "application/senml+cbor" // RFC 8428 §12.3.2
)

// WallFunc computes the wall-clock time of a stamp and says whether the clock
// it rests on is synchronised.
type WallFunc func(clock.Stamp) (t time.Time, synced bool)

// Options say what an Encoder makes. Format and Wall are required.
type Options struct {
	Format    string
	Template  string // the text of format "template"
	Timestamp string // "unix_ms" (default), "unix_s" or "rfc3339": ts in json, group and template
	Gateway   string // the gateway's id
	Batch     bool   // always the form for many samples, also where a batch holds one
	Wall      WallFunc
	Now       func() clock.Stamp // default clock.Now; SenML needs it for times before 1978
}

// Item is a message to encode, as a rule with the sample behind it.
type Item struct {
	Topic   string       // the topic here
	Payload []byte       // as published; only templates look at it
	Sample  *mqtt.Sample // nil: not a value, which only a template accepts
	Epoch   uint32       // with Seq: number of the message, so that a receiver can drop repeats
	Seq     uint64       // 0: not numbered
}

// Payload is an encoded message.
type Payload struct {
	Body        []byte
	ContentType string
	Text        bool                // UTF-8: payload format indicator 1
	User        []mqtt.UserProperty // what the body cannot say, for MQTT 5
}

// Properties are the MQTT 5 properties of the payload. Those of formats
// without user properties are shared by all their messages: not to be changed.
func (p Payload) Properties() *mqtt.Properties {
	if q := shared[p.ContentType]; q != nil && len(p.User) == 0 {
		return q
	}
	return newProperties(p)
}

// shared has the properties by content type, for thousands of retained values
// would each keep a copy.
var shared = map[string]*mqtt.Properties{
	TypeJSON:      newProperties(Payload{ContentType: TypeJSON, Text: true}),
	TypeText:      newProperties(Payload{ContentType: TypeText, Text: true}),
	TypeSenML:     newProperties(Payload{ContentType: TypeSenML, Text: true}),
	TypeSenMLCBOR: newProperties(Payload{ContentType: TypeSenMLCBOR}),
}

func newProperties(p Payload) *mqtt.Properties {
	q := &mqtt.Properties{ContentType: p.ContentType, User: p.User}
	if p.Text {
		q.PayloadFormat = 1
	}
	return q
}

// Encoder encodes in one format.
type Encoder struct {
	o      Options
	encode func([]Item) ([]byte, error)
	tmpl   *template.Template
}

// New checks the options. An unknown format or a template that does not parse
// or does not run on a sample is an error that says what is wrong.
func New(o Options) (*Encoder, error) {
	if o.Wall == nil {
		panic("encode.New: no Wall")
	}
	if o.Now == nil {
		o.Now = clock.Now
	}
	switch o.Timestamp {
	case "":
		o.Timestamp = "unix_ms"
	case "unix_ms", "unix_s", "rfc3339":
	default:
		return nil, fmt.Errorf("unknown timestamp %q; write unix_ms, unix_s or rfc3339", o.Timestamp)
	}
	e := &Encoder{o: o}
	switch o.Format {
	case JSON:
		e.encode = e.json
	case Value:
		e.encode = e.value
	case Group:
		e.encode = e.group
	case Columns:
		e.encode = e.columns
	case Influx:
		e.encode = e.influx
	case SenML:
		e.encode = e.senml
	case SenMLCBOR:
		e.encode = e.senmlCBOR
	case Template:
		if err := e.parseTemplate(); err != nil {
			return nil, err
		}
		e.encode = e.template
	default:
		return nil, fmt.Errorf("unknown format %q; write one of %s", o.Format, strings.Join(Formats, ", "))
	}
	return e, nil
}

// CanBatch reports whether a format can put several samples into one message.
func CanBatch(format string) bool { return format != Value && format != AsIs }

// Takes reports whether the encoder can encode the item: messages without a
// sample go through templates only.
func (e *Encoder) Takes(it Item) bool { return it.Sample != nil || e.o.Format == Template }

// Encode makes one payload of the items, in their order. It fails when there
// are no items, when an item is not taken (see Takes), when a template fails,
// and when several items are given to a format that cannot hold them.
func (e *Encoder) Encode(items ...Item) (Payload, error) {
	if len(items) == 0 {
		return Payload{}, fmt.Errorf("encode %s: no samples", e.o.Format)
	}
	if len(items) > 1 && !CanBatch(e.o.Format) {
		return Payload{}, fmt.Errorf("encode: a message of format %q holds one sample", e.o.Format)
	}
	for i := range items {
		if !e.Takes(items[i]) {
			return Payload{}, fmt.Errorf("encode %s: %s holds no value of a tag", e.o.Format, items[i].Topic)
		}
	}
	body, err := e.encode(items)
	if err != nil {
		return Payload{}, err
	}
	p := Payload{Body: body, ContentType: TypeJSON, Text: true}
	switch e.o.Format {
	case Value:
		p.ContentType = TypeText
		p.User = e.valueProperties(items[0].Sample)
	case Influx:
		p.ContentType = TypeText
	case SenML:
		p.ContentType = TypeSenML
	case SenMLCBOR:
		p.ContentType, p.Text = TypeSenMLCBOR, false
	case Template:
		p.ContentType, p.Text = sniff(body)
	}
	return p, nil
}

// many reports whether the form for several samples is due.
func (e *Encoder) many(items []Item) bool { return e.o.Batch || len(items) > 1 }

// millis is the wall-clock time of a stamp in Unix milliseconds.
func (e *Encoder) millis(s clock.Stamp) (ms int64, synced bool) {
	t, synced := e.o.Wall(s)
	return t.UnixMilli(), synced
}
