package drivers

import (
	"bytes"
	"errors"
	"fmt"
	"text/template"
	"time"

	"fieldgate/buffer/clock"
)

// maxTemplateOutput bounds what a template may write.
const maxTemplateOutput = 64 << 10

// TemplateData is what `publish.template` sees.
type TemplateData struct {
	Gateway, Device, Tag, Label, Unit, Topic string
	Enterprise, Site, Area, Line             string
	Value                                    string // as JSON text: 71.4, "running", null
	Text                                     string // without quotes
	Quality, Reason                          string
	TS                                       int64  // Unix milliseconds
	Time                                     string // RFC 3339, UTC
	Last                                     string // JSON text, "null" if there is none
	Synced                                   bool   // the clock can be trusted
}

// parseTemplate compiles a template and tries it once, so that a misspelt
// field is found by `check` and not by the first sample.
func parseTemplate(text string) (*template.Template, error) {
	if text == "" {
		return nil, errors.New(`format = "template" needs a template, for example template = "{{.Tag}}={{.Value}}"`)
	}
	t, err := template.New("template").Option("missingkey=error").Funcs(template.FuncMap{
		"json": func(s string) string { return string(appendJSONString(nil, s)) },
	}).Parse(text)
	if err != nil {
		return nil, err
	}
	if err := t.Execute(&boundedBuffer{}, TemplateData{Value: "1", Text: "1", Last: "null"}); err != nil {
		return nil, err
	}
	return t, nil
}

func templatePayload(m *Mapping, r *Reading) ([]byte, error) {
	t := clock.Wall(r.Time)
	d := TemplateData{
		Gateway: m.gateway.ID, Device: r.Sample.Device, Tag: r.Sample.Tag, Label: r.Label, Unit: r.Unit, Topic: r.Topic,
		Enterprise: m.gateway.Place.Enterprise, Site: m.gateway.Place.Site, Area: m.gateway.Place.Area, Line: m.gateway.Place.Line,
		Value: string(r.Value.AppendJSON(nil)), Text: r.Value.String(), Quality: r.Quality.String(), Reason: r.Reason,
		TS: t.UnixMilli(), Time: t.UTC().Format(time.RFC3339Nano), Last: string(r.Last.AppendJSON(nil)), Synced: m.synced(),
	}
	var out boundedBuffer
	if err := m.template.Execute(&out, d); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// boundedBuffer refuses what goes beyond maxTemplateOutput.
type boundedBuffer struct{ bytes.Buffer }

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxTemplateOutput {
		return 0, fmt.Errorf("the template writes more than %d KiB", maxTemplateOutput>>10)
	}
	return b.Buffer.Write(p)
}
