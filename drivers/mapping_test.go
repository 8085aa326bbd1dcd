package drivers

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"fieldgate/buffer/clock"
	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

var plant = Gateway{ID: "gw1", Place: Place{Enterprise: "acme", Site: "shanghai", Area: "boiler-house", Line: "l2"}}

func newTestMapping(t *testing.T, p Publish, g Gateway, synced bool) *Mapping {
	t.Helper()
	m, err := NewMapping(p, g, func() bool { return synced })
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTopics(t *testing.T) {
	for _, c := range []struct {
		template string
		g        Gateway
		want     string
	}{
		{"", plant, "acme/shanghai/boiler-house/l2/boiler/temp"},
		{"", Gateway{ID: "gw1"}, "gw1/boiler/temp"},
		{"", Gateway{ID: "gw1", Place: Place{Site: "sh"}}, "sh/boiler/temp"}, // empty levels drop out with their slash
		{"{site}/x-{line}/{device}/{tag}", plant, "shanghai/x-l2/boiler/temp"},
		{"/{area}/{device}/{tag}", Gateway{ID: "g"}, "boiler/temp"},
		{"v1/{gateway}.{device}/{tag}", plant, "v1/gw1.boiler/temp"},
	} {
		m := newTestMapping(t, Publish{Topic: c.template}, c.g, true)
		if got, err := m.Topic("boiler", "temp"); err != nil || got != c.want {
			t.Errorf("%q: %q %v, want %q", c.template, got, err, c.want)
		}
	}
	m := newTestMapping(t, Publish{Topic: "v1/{gateway}.{device}/{tag}"}, plant, true)
	filter, err := m.SetFilter()
	if err != nil || mqtt.CheckFilter(filter) != nil || !mqtt.Match(filter, "v1/gw1.boiler/temp/set") {
		t.Errorf("filter %q, %v", filter, err)
	}
	if m.Base() != "fieldgate/gw1" {
		t.Errorf("base %q", m.Base())
	}
}

func TestPublishValidate(t *testing.T) {
	for _, c := range []struct {
		p    Publish
		want string
	}{
		{Publish{}, ""},
		{Publish{Topic: "a/{device}/{tag}", Base: "b/{gateway}", Format: "senml", Timestamp: "rfc3339", On: "poll", OnBad: "hold", QoS: 2}, ""},
		{Publish{Format: "xml"}, "format E0320"},
		{Publish{Timestamp: "iso"}, "timestamp E0321"},
		{Publish{On: "always"}, "on E0322"},
		{Publish{OnBad: "zero"}, "on_bad E0323"},
		{Publish{QoS: 3}, "qos E0324"},
		{Publish{Format: "template"}, "template E0325"},
		{Publish{Template: "{{.Nope}}"}, "template E0325"},
		{Publish{Template: "{{"}, "template E0325"},
		{Publish{Topic: "{device}/{tagg}"}, "topic E0326"},
		{Publish{Topic: "{device"}, "topic E0326"},
		{Publish{Topic: "{device}"}, "topic E0326"},
		{Publish{Topic: "a/#/{device}/{tag}"}, "topic E0326"},
		{Publish{Topic: "$SYS/{device}/{tag}"}, "topic E0326"},
		{Publish{Base: "x/{device}"}, "base E0327"},
	} {
		var got []string
		c.p.Validate(func(p conf.Problem) { got = append(got, p.Key+" "+p.Code) })
		if strings.Join(got, ",") != c.want {
			t.Errorf("%+v: %q, want %q", c.p, got, c.want)
		}
	}
}

func TestGatewayValidate(t *testing.T) {
	for _, c := range []struct {
		g    Gateway
		want string
	}{
		{plant, ""},
		{Gateway{ID: "a/b"}, "id E0310"},
		{Gateway{Timezone: "Mars/Olympus"}, "timezone E0311"},
		{Gateway{Place: Place{Site: "a+b", Line: " x"}}, "place.site E0312,place.line E0312"},
	} {
		var got []string
		c.g.Validate(func(p conf.Problem) { got = append(got, p.Key+" "+p.Code) })
		if strings.Join(got, ",") != c.want {
			t.Errorf("%+v: %q, want %q", c.g, got, c.want)
		}
	}
}

// reading makes a reading of which ts is the wall-clock text in payloads.
func reading(v Value, q Quality, reason string) (r Reading, ms int64) {
	at := clock.Now().Add(-time.Second)
	r = Reading{
		Tag: Tag{Unit: "°C", Label: "Water"}, Topic: "gw1/boiler/temp",
		Sample: Sample{Device: "boiler", Tag: "temp", Value: v, Quality: q, Reason: reason, Time: at},
	}
	return r, clock.Wall(at).UnixMilli()
}

// slack is how far the wall clock may differ between two looks at it: it is
// computed when the payload is made, and the machine may be busy.
const slack = 2000 // milliseconds

var millis = regexp.MustCompile(`\b\d{12,13}\b`)

// near replaces milliseconds near ms by TS.
func near(t *testing.T, payload string, ms int64) string {
	t.Helper()
	return millis.ReplaceAllStringFunc(payload, func(s string) string {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil && isNear(n, ms) {
			return "TS"
		}
		return s
	})
}

func isNear(a, b int64) bool { return a-b <= slack && b-a <= slack }

func TestPayloadJSON(t *testing.T) {
	r, ms := reading(FloatValue(71.4), Good, "")
	m := newTestMapping(t, Publish{}, plant, true)
	msg := m.Messages([]Reading{r})[0]
	if got := near(t, string(msg.Payload), ms); got != `{"value":71.4,"ts":TS,"quality":"good"}` {
		t.Error(got)
	}
	if !msg.Retain || msg.QoS != 0 || msg.Kind != mqtt.KindSample || msg.Origin != "device:boiler" || msg.Topic != r.Topic || msg.Stamp.IsZero() {
		t.Errorf("%+v", msg)
	}
	if msg.Props == nil || msg.Props.ContentType != "application/json" || msg.Props.PayloadFormat != 1 {
		t.Errorf("%+v", msg.Props)
	}
	want := mqtt.Sample{Device: "boiler", Tag: "temp", Unit: "°C", Value: "71.4", Quality: "good", Time: r.Time}
	if !reflect.DeepEqual(*msg.Sample, want) {
		t.Errorf("%+v", msg.Sample)
	}

	r, ms = reading(Value{}, Bad, ReasonTimeout)
	r.Last, r.LastTime = FloatValue(71.4), r.Time
	msg = newTestMapping(t, Publish{Retain: ptr(false), QoS: 1}, plant, false).Messages([]Reading{r})[0]
	if got := near(t, string(msg.Payload), ms); got != `{"value":null,"ts":TS,"quality":"bad","reason":"timeout","last":71.4,"last_ts":TS,"clock":"unsynced"}` {
		t.Error(got)
	}
	if msg.Retain || msg.QoS != 1 || msg.Sample.Last != "71.4" || msg.Sample.LastTime != r.Time || msg.Sample.Reason != "timeout" {
		t.Errorf("%+v %+v", msg, msg.Sample)
	}
}

func TestPayloadTimestamps(t *testing.T) {
	r, ms := reading(IntValue(1), Good, "")
	got := string(newTestMapping(t, Publish{Timestamp: "rfc3339"}, plant, true).Messages([]Reading{r})[0].Payload)
	var doc struct{ TS time.Time }
	if err := json.Unmarshal([]byte(got), &doc); err != nil || !isNear(doc.TS.UnixMilli(), ms) || !strings.Contains(got, `Z"`) {
		t.Errorf("%s (%v), want %d", got, err, ms)
	}
	got = string(newTestMapping(t, Publish{Timestamp: "unix_s"}, plant, true).Messages([]Reading{r})[0].Payload)
	var secs struct{ TS int64 }
	if err := json.Unmarshal([]byte(got), &secs); err != nil || !isNear(secs.TS*1000, ms/1000*1000) {
		t.Errorf("%s (%v), want %d", got, err, ms/1000)
	}
}

func TestPayloadValue(t *testing.T) {
	m := newTestMapping(t, Publish{Format: "value"}, plant, false)
	for _, c := range []struct {
		v    Value
		want string
	}{
		{FloatValue(71.4), "71.4"}, {StringValue("running"), "running"}, {BoolValue(true), "true"}, {Value{}, "null"},
		{StringValue(""), `""`}, // an empty payload would delete the retained value
	} {
		r, ms := reading(c.v, Good, "")
		msg := m.Messages([]Reading{r})[0]
		if string(msg.Payload) != c.want {
			t.Errorf("%s", msg.Payload)
		}
		got := near(t, fmt.Sprint(msg.Props.User), ms)
		if got != "[{quality good} {ts TS} {unit °C} {clock unsynced}]" {
			t.Error(got)
		}
	}
}

func TestPayloadGroup(t *testing.T) {
	m := newTestMapping(t, Publish{Format: "group"}, plant, true)
	a, ms := reading(FloatValue(71.4), Good, "")
	b, _ := reading(Value{}, Bad, ReasonTimeout)
	b.Sample.Tag = "level"
	c, _ := reading(IntValue(7), Uncertain, ReasonRange)
	c.Sample.Tag = "state"
	b.Time, c.Time = a.Time, a.Time.Add(20*time.Millisecond)
	other, _ := reading(IntValue(1), Good, "")
	other.Sample.Device = "pump"
	msgs := m.Messages([]Reading{a, other, b, c})
	if len(msgs) != 2 || msgs[0].Topic != "acme/shanghai/boiler-house/l2/boiler" || msgs[1].Topic != "acme/shanghai/boiler-house/l2/pump" {
		t.Fatalf("%+v", msgs)
	}
	want := `{"ts":TS,"device":"boiler","values":{"temp":71.4,"state":7},"errors":{"level":"timeout","state":"range"},"dt":{"state":20}}`
	if got := near(t, string(msgs[0].Payload), ms); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	group := msgs[0].Sample.Group // what routes of another format are made of
	if len(group) != 3 || group[0].Value != "71.4" || group[1].Reason != ReasonTimeout || group[2].Tag != "state" {
		t.Errorf("%+v", group)
	}
}

func TestPayloadInflux(t *testing.T) {
	m := newTestMapping(t, Publish{Format: "influx"}, plant, true)
	for _, c := range []struct {
		v      Value
		q      Quality
		reason string
		want   string
	}{
		{FloatValue(71.4), Good, "", `temp=71.4`},
		{IntValue(-3), Good, "", `temp=-3`}, // a float: a field whose type changes is refused
		{UintValue(1 << 63), Good, "", `temp=9223372036854775808`},
		{StringValue(`a"b\`), Good, "", `temp="a\"b\\"`},
		{BoolValue(true), Good, "", `temp=true`},
		{IntValue(7), Uncertain, ReasonRange, `temp=7,temp_error="range"`},
		{Value{}, Bad, ReasonTimeout, `temp_error="timeout"`},
	} {
		r, _ := reading(c.v, c.q, c.reason)
		r.Sample.Device = "boiler 2,x"
		got := string(m.Messages([]Reading{r})[0].Payload)
		head := `boiler\ 2\,x,gateway=gw1 ` + c.want + " "
		ns, ok := strings.CutPrefix(got, head)
		if !ok || len(ns) != 19 || strings.Trim(ns, "0123456789") != "" {
			t.Errorf("%s", got)
		}
	}
}

func TestPayloadSenML(t *testing.T) {
	r, ms := reading(FloatValue(71.4), Good, "")
	m := newTestMapping(t, Publish{Format: "senml"}, plant, true)
	got := string(m.Messages([]Reading{r})[0].Payload)
	var list []struct {
		BN, N, U, VS string
		BT           float64
		V            *float64
	}
	if err := json.Unmarshal([]byte(got), &list); err != nil || len(list) != 1 {
		t.Fatal(got, err)
	}
	if s := list[0]; s.BN != "gw1/" || s.N != "boiler/temp" || s.U != "Cel" || *s.V != 71.4 || !isNear(int64(s.BT*1000), ms) {
		t.Error(got)
	}
	bad, _ := reading(Value{}, Bad, ReasonTimeout)
	bad.Sample.Device = "锅炉"
	if got := string(m.Messages([]Reading{bad})[0].Payload); !strings.HasSuffix(got, `,"n":"_u9505__u7089_/temp:error","vs":"timeout"}]`) {
		t.Error(got) // names keep to the characters of RFC 8428
	}
	flag, _ := reading(BoolValue(false), Good, "")
	if got := string(m.Messages([]Reading{flag})[0].Payload); !strings.Contains(got, `"vb":false`) {
		t.Error(got)
	}
	zero, _ := reading(IntValue(0), Good, "")
	packed := newTestMapping(t, Publish{Format: "senml-cbor"}, plant, true).Messages([]Reading{zero})[0]
	var records []map[int]any
	if err := cbor.Unmarshal(packed.Payload, &records); err != nil || records[0][-2] != "gw1/" || records[0][0] != "boiler/temp" || records[0][2] != uint64(0) {
		t.Errorf("%x: %v %v", packed.Payload, records, err)
	}
	if packed.Props.ContentType != "application/senml+cbor" || packed.Props.PayloadFormat != 0 {
		t.Errorf("%+v", packed.Props)
	}
}

func TestPayloadTemplate(t *testing.T) {
	m := newTestMapping(t, Publish{Format: "template", Template: `{{.Device}}.{{.Tag}}={{.Value}} {{json .Unit}} {{.Gateway}} {{.Last}}`}, plant, true)
	r, _ := reading(FloatValue(71.4), Good, "")
	if got := string(m.Messages([]Reading{r})[0].Payload); got != `boiler.temp=71.4 "°C" gw1 null` {
		t.Error(got)
	}
	endless := Publish{Format: "template", Template: `{{printf "%2000000s" "x"}}`}
	if _, err := NewMapping(endless, plant, nil); err == nil {
		t.Error("a template that writes more than 1 MiB was accepted")
	}
}
