package encode

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

const t0 = 1767225600123 // 2026-01-01T00:00:00.123Z

// wall is a wall clock that showed t0 at the boot.
func wall(synced bool) WallFunc {
	return func(s clock.Stamp) (time.Time, bool) {
		return time.UnixMilli(t0).Add(time.Duration(s.Nanos)), synced
	}
}

func at(ms int64) clock.Stamp { return clock.Stamp{Nanos: ms * 1e6} }

func sample(device, tag, value string, ms int64) *mqtt.Sample {
	return &mqtt.Sample{Device: device, Tag: tag, Value: value, Quality: "good", Time: at(ms)}
}

func numbered(samples ...*mqtt.Sample) []Item {
	items := make([]Item, len(samples))
	for i, s := range samples {
		items[i] = Item{Topic: s.Device + "/" + s.Tag, Payload: []byte(s.Value), Sample: s, Epoch: 3, Seq: uint64(17 + i)}
	}
	return items
}

var (
	temp      = &mqtt.Sample{Device: "boiler2", Tag: "water_temp", Unit: "°C", Value: "71.4", Quality: "good", Time: at(0)}
	timedOut  = &mqtt.Sample{Device: "boiler2", Tag: "pressure", Value: "null", Quality: "bad", Reason: "timeout", Time: at(20), Last: "1.2", LastTime: at(-5000)}
	uncertain = &mqtt.Sample{Device: "boiler2", Tag: "flow", Value: "9007199254740993", Quality: "uncertain", Reason: "range", Time: at(20)}
	state     = &mqtt.Sample{Device: "boiler2", Tag: "state", Value: `"run\"ning\nfast"`, Quality: "good", Time: at(1020)}
	on        = &mqtt.Sample{Device: "pump 1", Tag: "on", Value: "true", Quality: "good", Time: at(1020)}
)

func TestGolden(t *testing.T) {
	all := []*mqtt.Sample{temp, timedOut, uncertain, state, on}
	cases := []struct {
		name     string
		o        Options
		unsynced bool
		items    []*mqtt.Sample
		want     string
		typ      string
	}{
		{name: "json", o: Options{Format: JSON}, items: []*mqtt.Sample{temp},
			want: `{"value":71.4,"ts":1767225600123,"quality":"good"}`, typ: TypeJSON},
		{name: "json bad", o: Options{Format: JSON}, items: []*mqtt.Sample{timedOut},
			want: `{"value":null,"ts":1767225600143,"quality":"bad","reason":"timeout","last":1.2,"last_ts":1767225595123}`, typ: TypeJSON},
		{name: "json unsynced rfc3339", o: Options{Format: JSON, Timestamp: "rfc3339"}, unsynced: true, items: []*mqtt.Sample{temp},
			want: `{"value":71.4,"ts":"2026-01-01T00:00:00.123Z","quality":"good","clock":"unsynced"}`, typ: TypeJSON},
		{name: "json seconds", o: Options{Format: JSON, Timestamp: "unix_s"}, items: []*mqtt.Sample{on},
			want: `{"value":true,"ts":1767225601,"quality":"good"}`, typ: TypeJSON},
		{name: "json batch", o: Options{Format: JSON}, items: all[:2],
			want: `{"gateway":"gw 1","epoch":3,"seq":[[17,18]],"samples":[{"device":"boiler2","tag":"water_temp","value":71.4,"ts":1767225600123,"quality":"good"},` +
				`{"device":"boiler2","tag":"pressure","value":null,"ts":1767225600143,"quality":"bad","reason":"timeout","last":1.2,"last_ts":1767225595123}]}`, typ: TypeJSON},
		{name: "json batch of one", o: Options{Format: JSON, Batch: true}, items: all[:1],
			want: `{"gateway":"gw 1","epoch":3,"seq":[[17,17]],"samples":[{"device":"boiler2","tag":"water_temp","value":71.4,"ts":1767225600123,"quality":"good"}]}`, typ: TypeJSON},
		{name: "value", o: Options{Format: Value}, items: []*mqtt.Sample{temp}, want: `71.4`, typ: TypeText},
		{name: "value text", o: Options{Format: Value}, items: []*mqtt.Sample{state}, want: "run\"ning\nfast", typ: TypeText},
		{name: "value null", o: Options{Format: Value}, items: []*mqtt.Sample{timedOut}, want: "null", typ: TypeText},
		{name: "group", o: Options{Format: Group}, items: []*mqtt.Sample{temp},
			want: `{"ts":1767225600123,"device":"boiler2","values":{"water_temp":71.4}}`, typ: TypeJSON},
		{name: "groups", o: Options{Format: Group}, items: all,
			want: `[{"gateway":"gw 1","epoch":3,"seq":[[17,20]],"ts":1767225600123,"device":"boiler2","values":{"water_temp":71.4,"flow":9007199254740993,"state":"run\"ning\nfast"},` +
				`"errors":{"pressure":"timeout","flow":"range"},"dt":{"pressure":20,"flow":20,"state":1020}},` +
				`{"ts":1767225601143,"device":"pump 1","values":{"on":true}}]`, typ: TypeJSON},
		{name: "columns", o: Options{Format: Columns}, items: append([]*mqtt.Sample{sample("boiler2", "water_temp", "71.3", -1000)}, all...),
			want: `{"gateway":"gw 1","epoch":3,"seq":[[17,22]],"t0":1767225599123,"dt":[0,1000,20,1000],` +
				`"tags":{"boiler2/water_temp":[71.3,71.4],"boiler2/pressure":[null],"boiler2/flow":[9007199254740993],"boiler2/state":["run\"ning\nfast"],"pump 1/on":[true]},` +
				`"at":{"boiler2/water_temp":[0,1],"boiler2/pressure":[2],"boiler2/flow":[2],"boiler2/state":[3],"pump 1/on":[3]},` +
				`"errors":{"boiler2/pressure":{"0":"timeout"},"boiler2/flow":{"0":"range"}}}`, typ: TypeJSON},
		{name: "columns full", o: Options{Format: Columns}, unsynced: true,
			items: []*mqtt.Sample{sample("d", "a", "1", 0), sample("d", "b", "2", 0), sample("d", "a", "3", 0), sample("d", "b", "4", 0)},
			want:  `{"gateway":"gw 1","epoch":3,"seq":[[17,20]],"t0":1767225600123,"dt":[0,0],"tags":{"d/a":[1,3],"d/b":[2,4]},"clock":"unsynced"}`, typ: TypeJSON},
		{name: "influx", o: Options{Format: Influx}, items: all,
			want: `boiler2,gateway=gw\ 1 water_temp=71.4 1767225600123000000` + "\n" +
				`boiler2,gateway=gw\ 1 pressure_error="timeout" 1767225600143000000` + "\n" +
				`boiler2,gateway=gw\ 1 flow=9007199254740993,flow_error="range" 1767225600143000000` + "\n" +
				`boiler2,gateway=gw\ 1 state="run\"ning\\nfast" 1767225601143000000` + "\n" +
				`pump\ 1,gateway=gw\ 1 on=true 1767225601143000000`, typ: TypeText},
		{name: "influx unsynced", o: Options{Format: Influx}, unsynced: true, items: all[:1],
			want: `boiler2,clock=unsynced,gateway=gw\ 1 water_temp=71.4 1767225600123000000`, typ: TypeText},
		{name: "senml", o: Options{Format: SenML}, items: all,
			want: `[{"bn":"gw_u20_1/","bt":1767225600.123,"n":"boiler2/water_temp","u":"Cel","v":71.4},` +
				`{"n":"boiler2/pressure:error","vs":"timeout","t":0.02},` +
				`{"n":"boiler2/flow","v":9007199254740993,"t":0.02},{"n":"boiler2/flow:error","vs":"range","t":0.02},` +
				`{"n":"boiler2/state","vs":"run\"ning\nfast","t":1.02},{"n":"pump_u20_1/on","vb":true,"t":1.02}]`, typ: TypeSenML},
		{name: "template", o: Options{Format: Template, Template: `{"{{.Device}}":{{.Value}},"u":{{json .Unit}},"t":{{.Ts}},"g":"{{.Gateway}}","n":{{len .Samples}}}`}, items: all[:1],
			want: `{"boiler2":71.4,"u":"°C","t":1767225600123,"g":"gw 1","n":1}`, typ: TypeJSON},
		{name: "template of text", o: Options{Format: Template, Template: `{{range $i, $s := .Samples}}{{if $i}};{{end}}{{raw .Tag}}={{raw .Value}}{{end}}`}, items: all[:1],
			want: `water_temp=71.4`, typ: TypeText},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.o.Gateway, c.o.Wall = "gw 1", wall(!c.unsynced)
			e, err := New(c.o)
			if err != nil {
				t.Fatal(err)
			}
			p, err := e.Encode(numbered(c.items...)...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(p.Body)); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if p.ContentType != c.typ || !p.Text {
				t.Errorf("content type %q, text %v; want %q, true", p.ContentType, p.Text, c.typ)
			}
		})
	}
}

func TestValueProperties(t *testing.T) {
	e := must(t, Options{Format: Value, Wall: wall(false)})
	s := *timedOut
	s.Unit = "bar"
	p, err := e.Encode(Item{Sample: &s})
	if err != nil {
		t.Fatal(err)
	}
	want := []mqtt.UserProperty{{Name: "quality", Value: "bad"}, {Name: "ts", Value: "1767225600143"}, {Name: "unit", Value: "bar"},
		{Name: "reason", Value: "timeout"}, {Name: "clock", Value: "unsynced"}}
	if diff := cmp.Diff(want, p.User); diff != "" {
		t.Error(diff)
	}
}

// A gateway that starts in 1970 must not send times that a SenML reader takes
// for the future: below 2^28 they are relative to now.
func TestSenMLBefore1978(t *testing.T) {
	e := must(t, Options{Format: SenML, Gateway: "gw", Now: func() clock.Stamp { return at(10_000) },
		Wall: func(s clock.Stamp) (time.Time, bool) { return time.UnixMilli(5000).Add(time.Duration(s.Nanos)), false }})
	p, err := e.Encode(numbered(sample("d", "a", "1", 0), sample("d", "a", "2", 9_500))...)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"bn":"gw/","n":"d/a","v":1,"t":-10,"clock":"unsynced"},{"n":"d/a","v":2,"t":-0.5,"clock":"unsynced"}]`
	if string(p.Body) != want {
		t.Errorf("got  %s\nwant %s", p.Body, want)
	}
}

func TestSenMLCBOR(t *testing.T) {
	e := must(t, Options{Format: SenMLCBOR, Gateway: "gw", Wall: wall(true)})
	p, err := e.Encode(numbered(temp, uncertain, on, sample("d", "big", "18446744073709551615", 0))...)
	if err != nil {
		t.Fatal(err)
	}
	if p.ContentType != TypeSenMLCBOR || p.Text {
		t.Errorf("content type %q, text %v", p.ContentType, p.Text)
	}
	var got []map[int]any
	if err := cbor.Unmarshal(p.Body, &got); err != nil {
		t.Fatal(err)
	}
	want := []map[int]any{
		{labelBaseName: "gw/", labelBaseTime: 1767225600.123, labelName: "boiler2/water_temp", labelUnit: "Cel", labelValue: 71.4},
		{labelName: "boiler2/flow", labelValue: uint64(9007199254740993), labelTime: 0.02},
		{labelName: "boiler2/flow:error", labelStringValue: "range", labelTime: 0.02},
		{labelName: "pump_u20_1/on", labelBoolValue: true, labelTime: 1.02},
		{labelName: "d/big", labelValue: uint64(math.MaxUint64)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNewRefuses(t *testing.T) {
	cases := []struct {
		o    Options
		want string
	}{
		{Options{Format: "jsno"}, `unknown format "jsno"`},
		{Options{Format: JSON, Timestamp: "ms"}, `unknown timestamp "ms"`},
		{Options{Format: Template}, `needs a template`},
		{Options{Format: Template, Template: "{{.Valu}}"}, "Valu"},
		{Options{Format: Template, Template: "{{if}}"}, "missing value for if"},
	}
	for _, c := range cases {
		c.o.Wall = wall(true)
		if _, err := New(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%+v): %v; want something with %q", c.o.Format, err, c.want)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	value := must(t, Options{Format: Value, Wall: wall(true)})
	if _, err := value.Encode(numbered(temp, on)...); err == nil || !strings.Contains(err.Error(), "one sample") {
		t.Errorf("two values: %v", err)
	}
	if _, err := value.Encode(); err == nil {
		t.Error("no samples: no error")
	}
	if _, err := value.Encode(Item{Topic: "a/b"}); err == nil || !strings.Contains(err.Error(), "a/b holds no value") {
		t.Errorf("no sample: %v", err)
	}
	long := must(t, Options{Format: Template, Template: `{{range .Samples}}{{raw .Payload}}{{raw .Payload}}{{end}}`, Wall: wall(true)})
	if _, err := long.Encode(Item{Payload: make([]byte, MaxTemplateOutput/2+1)}); err == nil || !strings.Contains(err.Error(), "1 MiB") {
		t.Errorf("long template: %v", err)
	}
}

func TestSeqs(t *testing.T) {
	var items []Item
	for _, s := range []uint64{17, 18, 19, 21, 5} {
		items = append(items, Item{Seq: s})
	}
	if got := Seqs(items); got != "17-19,21,5" {
		t.Errorf("Seqs = %q", got)
	}
}

func must(t testing.TB, o Options) *Encoder {
	t.Helper()
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestScalar(t *testing.T) {
	for in, want := range map[string]scalar{
		"":                {isNull, "null"},
		"null":            {isNull, "null"},
		"true":            {isBool, "true"},
		"-0.5e+10":        {isNumber, "-0.5e+10"},
		"01":              {isString, `"01"`},
		"1.":              {isString, `"1."`},
		"NaN":             {isString, `"NaN"`},
		`"a"`:             {isString, `"a"`},
		`{"value":1}`:     {isString, `"{\"value\":1}"`},
		`1,"quality":"x"`: {isString, `"1,\"quality\":\"x\""`},
	} {
		if got := parseScalar(in); got != want {
			t.Errorf("parseScalar(%q) = %v, want %v", in, got, want)
		}
	}
}

// TestSizes keeps the promise that columns with gzip cost little: 60 samples of
// ten tags in at most 350 bytes.
func TestSizes(t *testing.T) {
	var samples []*mqtt.Sample
	for poll := range int64(6) {
		for tag := range 10 {
			v, _ := json.Marshal(230 + float64(tag) + float64(poll)/10)
			samples = append(samples, sample("meter1", "l"+string(rune('0'+tag))+"_voltage", string(v), poll*10_000))
		}
	}
	e := must(t, Options{Format: Columns, Gateway: "gw1", Wall: wall(true)})
	p, err := e.Encode(numbered(samples...)...)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{Gzip, Zstd} {
		packed, encoding, err := Compress(kind, p.Body)
		if err != nil || encoding != kind || len(packed) > 350 {
			t.Errorf("%s: %d bytes of %d, encoding %q, %v", kind, len(packed), len(p.Body), encoding, err)
		}
	}
}
