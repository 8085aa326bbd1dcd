package encode

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// MaxTemplateOutput bounds what a template may write.
const MaxTemplateOutput = 1 << 20

var errTemplateLong = errors.New("template writes more than 1 MiB")

// Text is a text in a template. Printed, it is escaped as inside a JSON
// string, without the quotes: "{{.Device}}" is safe whatever the device is
// called. {{raw .Device}} gives the text itself.
type Text string

// String is the text escaped for the inside of a JSON string.
func (t Text) String() string {
	b := AppendString(nil, string(t))
	return string(b[1 : len(b)-1])
}

// Scalar is a value in a template: printed, it is its JSON text.
type Scalar struct{ s scalar }

// String is the JSON text: 71.4, true, "running", null.
func (s Scalar) String() string { return s.s.text }

// TemplateSample is what a template sees of a message.
type TemplateSample struct {
	Topic       Text
	Payload     Text // as published here
	Device, Tag Text
	Unit        Text
	Value       Scalar // JSON text
	Quality     Text
	Reason      Text
	Last        Scalar // the last good value where the value is bad, else null
	Ts          Scalar // by the option timestamp: JSON text
	Ms          int64  // Unix milliseconds
	Time        time.Time
	Synced      bool
	Epoch       uint32
	Seq         uint64
}

// TemplateData is the dot of a template: the gateway, the first sample's
// fields, and all samples.
type TemplateData struct {
	Gateway Text
	TemplateSample
	Samples []TemplateSample
}

var templateFuncs = template.FuncMap{
	// json is any value as JSON text, quotes included.
	"json": func(v any) (string, error) {
		switch v := v.(type) {
		case Text:
			return string(AppendString(nil, string(v))), nil
		case Scalar:
			return v.s.text, nil
		}
		b, err := json.Marshal(v)
		return string(b), err
	},
	// raw is a text without escapes, for payloads that are not JSON.
	"raw": func(v any) string {
		switch v := v.(type) {
		case Text:
			return string(v)
		case Scalar:
			return v.s.plain()
		}
		return fmt.Sprint(v)
	},
	"rfc3339": rfc3339,
	"lower":   func(t Text) Text { return Text(strings.ToLower(string(t))) },
	"upper":   func(t Text) Text { return Text(strings.ToUpper(string(t))) },
	"last":    func(i int, s []TemplateSample) bool { return i == len(s)-1 },
}

// CheckTemplate says what is wrong with a template, or nil.
func CheckTemplate(text string) error {
	_, err := New(Options{Format: Template, Template: text, Wall: func(clock.Stamp) (time.Time, bool) { return time.UnixMilli(0), true }})
	return err
}

// parseTemplate compiles the template and runs it once on a made-up sample,
// so that a field that does not exist is found by `check` and not at night.
func (e *Encoder) parseTemplate() error {
	if strings.TrimSpace(e.o.Template) == "" {
		return errors.New(`format "template" needs a template, for example '{"{{.Tag}}":{{.Value}},"t":{{.Ms}}}'`)
	}
	t, err := template.New("template").Option("missingkey=error").Funcs(templateFuncs).Parse(e.o.Template)
	if err != nil {
		return fmt.Errorf("template: %w", trimTemplateError(err))
	}
	e.tmpl = t
	sample := &mqtt.Sample{Device: "device", Tag: "tag", Unit: "V", Value: "1.5", Quality: "good"}
	_, err = e.template([]Item{{Topic: "device/tag", Payload: []byte("1.5"), Sample: sample}})
	return err
}

// trimTemplateError drops the repeated name that text/template puts first.
func trimTemplateError(err error) error {
	return errors.New(strings.TrimPrefix(err.Error(), "template: "))
}

// template runs the template on the items.
func (e *Encoder) template(items []Item) ([]byte, error) {
	data := TemplateData{Gateway: Text(e.o.Gateway), Samples: make([]TemplateSample, len(items))}
	for i, it := range items {
		data.Samples[i] = e.templateSample(it)
	}
	data.TemplateSample = data.Samples[0]
	var w limitedWriter
	if err := e.tmpl.Execute(&w, data); err != nil {
		return nil, fmt.Errorf("template: %w", trimTemplateError(err))
	}
	return w.b, nil
}

func (e *Encoder) templateSample(it Item) TemplateSample {
	out := TemplateSample{Topic: Text(it.Topic), Payload: Text(it.Payload), Epoch: it.Epoch, Seq: it.Seq,
		Value: Scalar{parseScalar("")}, Last: Scalar{parseScalar("")}, Ts: Scalar{parseScalar("")}, Synced: true}
	s := it.Sample
	if s == nil {
		return out
	}
	out.Device, out.Tag, out.Unit = Text(s.Device), Text(s.Tag), Text(s.Unit)
	out.Value, out.Quality, out.Reason = Scalar{parseScalar(s.Value)}, Text(qualityOf(s)), Text(s.Reason)
	out.Last = Scalar{parseScalar(s.Last)}
	out.Time, out.Synced = e.o.Wall(s.Time)
	out.Time = out.Time.UTC()
	out.Ms = out.Time.UnixMilli()
	ts, _ := e.appendTime(nil, s.Time)
	out.Ts = Scalar{parseScalar(string(ts))}
	return out
}

// limitedWriter refuses to grow beyond MaxTemplateOutput.
type limitedWriter struct{ b []byte }

func (w *limitedWriter) Write(p []byte) (int, error) {
	if len(w.b)+len(p) > MaxTemplateOutput {
		return 0, errTemplateLong
	}
	w.b = append(w.b, p...)
	return len(p), nil
}

// sniff says what a template has written.
func sniff(body []byte) (contentType string, text bool) {
	switch {
	case json.Valid(body):
		return TypeJSON, true
	case utf8.Valid(body):
		return TypeText, true
	}
	return "application/octet-stream", false
}
