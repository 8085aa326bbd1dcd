package serial

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"fieldgate/configs/conf"
)

func problemsOf(c Config) (out []string) {
	c.Validate(func(p conf.Problem) {
		out = append(out, fmt.Sprintf("%s %s: %s (%s)", p.Code, p.Key, p.Text, p.Help))
	})
	return out
}

func TestValidateFindsNothingInGoodSections(t *testing.T) {
	for i, c := range []Config{
		dust, lines,
		{Content: "nmea", Sentence: "MWV", Frame: Frame{Start: "$", End: `\r\n`}, Baud: 4800, Tags: []Tag{{Name: "speed", Index: ptr(3), Deadband: "5%", Report: "change"}}},
		{Port: "tcp://192.168.1.7:4001", Content: "pairs", Tag: []Tag{{Name: "t", Key: "T", Deadband: 0.1, MaxAge: conf.Duration(time.Minute)}}},
		{
			Content: "hexfloat", Frame: Frame{Start: "!", End: `\r`}, Check: Check{Kind: "sum8-hex"}, InitWait: conf.Duration(time.Second), Init: []string{"hex:01 02"},
			Requests: []Request{{Name: "t", Send: `$0001RR0000{check}\r`}, {Name: "h", Send: `$0001RR0004{check}\r`, Every: conf.Duration(5 * time.Second)}},
			Tags:     []Tag{{Name: "t", At: ptr(7), Request: "t"}, {Name: "h", At: ptr(7), Request: "h"}},
		},
	} {
		if got := problemsOf(sensor(c)); len(got) > 0 {
			t.Errorf("section %d: %s", i, strings.Join(got, "\n"))
		}
	}
}

func TestValidate(t *testing.T) {
	tag := func(change func(*Tag)) func(*Config) {
		return func(c *Config) {
			c.Tags = slices.Clone(c.Tags)
			change(&c.Tags[0])
		}
	}
	for _, test := range []struct {
		name   string
		base   Config
		change func(*Config)
		want   string // what one of the problems must contain
	}{
		{"no port", lines, func(c *Config) { c.Port = "" }, `E0421 port: the port is missing`},
		{"bad server", lines, func(c *Config) { c.Port = "tcp://box" }, `E0428 port: "tcp://box" is not the address`},
		{"other scheme", lines, func(c *Config) { c.Port = "udp://box:1" }, `E0428 port:`},
		{"no name", lines, func(c *Config) { c.Name = "" }, `E0421 name:`},
		{"name with a slash", lines, func(c *Config) { c.Name = "a/b" }, `E0425 name: name "a/b" has one of / + #`},
		{"baud", lines, func(c *Config) { c.Baud = 7 }, `E0428 baud: 7 is not a speed`},
		{"mode", lines, func(c *Config) { c.Mode = "8X1" }, `E0428 mode: mode "8X1": parity is N, E, O, M or S (write data bits`},
		{"kind", lines, func(c *Config) { c.Frame.Kind = "delimeter" }, `E0422 frame.kind: unknown frame kind "delimeter" (did you mean "delimiter"?)`},
		{"escape", lines, func(c *Config) { c.Frame.End = `\q` }, `E0423 frame.end: "\\q": unknown escape \q (known are`},
		{"hex", dust, func(c *Config) { c.Frame.Start = "AA C" }, `E0423 frame.start: "AA C" is not a row of hex bytes`},
		{"max", lines, func(c *Config) { c.Frame.Max = 70000 }, `E0424 frame.max:`},
		{"key of another kind", lines, func(c *Config) { c.Frame.Length = 9 }, `E0425 frame.length: a frame of kind "delimiter" has no length`},
		{"fixed without length", dust, func(c *Config) { c.Frame.Length = 0 }, `E0424 frame.length:`},
		{"idle start", dust, func(c *Config) { c.Frame.Skip = "AA" }, `E0425 frame.skip: the idle byte AA`},
		{"bracket", lines, func(c *Config) { c.Frame = Frame{Kind: "bracket", Start: "/"} }, `E0421 frame: a bracket frame needs start and end`},
		{"length type", dust, func(c *Config) { c.Frame = Frame{Kind: "length", LengthType: "u16"}; c.Check = Check{} }, `E0422 frame.length_type: unknown length_type "u16"`},
		{"length place", dust, func(c *Config) { c.Frame = Frame{Kind: "length", LengthAt: 300}; c.Check = Check{} }, `E0424 frame.length_at:`},
		{"gap missing", dust, func(c *Config) { c.Frame = Frame{Kind: "gap"}; c.Check = Check{} }, `E0421 frame.gap:`},
		{"gap short", dust, func(c *Config) { c.Frame = Frame{Kind: "gap", Gap: conf.Duration(time.Millisecond)}; c.Check = Check{} }, `E0424 frame.gap: 1ms is shorter than 3.5 characters`},
		{"gap and USB", dust, func(c *Config) {
			c.Frame = Frame{Kind: "gap", Gap: conf.Duration(5 * time.Millisecond)}
			c.Check = Check{}
		}, `W0422 frame.gap:`},
		{"check", dust, func(c *Config) { c.Check.Kind = "crc16-modbuss" }, `E0422 check.kind: unknown check "crc16-modbuss" (did you mean "crc16-modbus"?)`},
		{"check range", dust, func(c *Config) { c.Check.Range = []int{1, 2, 3} }, `E0424 check.range:`},
		{"check range empty", dust, func(c *Config) { c.Check.Range = []int{5, 2} }, `E0424 check.range: the range [5, 2] is empty`},
		{"check range outside", dust, func(c *Config) { c.Check.Range = []int{0, 12} }, `E0424 check.range: the range does not fit into a frame of 10 bytes`},
		{"check outside", dust, func(c *Config) { c.Check.At = ptr(10) }, `E0424 check.at: a check of 1 bytes cannot stand at 10 of a frame of 10`},
		{"check order", dust, func(c *Config) { c.Check.Order = "le" }, `E0425 check.order:`},
		{"check order word", dust, func(c *Config) { c.Check = Check{Kind: "crc16-arc", Order: "el"} }, `E0422 check.order:`},
		{"check optional", dust, func(c *Config) { c.Check.Optional = true }, `E0425 check.optional:`},
		{"transform", dust, func(c *Config) { c.Transform.Sub = 256 }, `E0424 transform.sub: 256 is not a byte`},
		{"content", lines, func(c *Config) { c.Content = "regexp" }, `E0422 content: unknown content "regexp" (did you mean "regex"?)`},
		{"no content", lines, func(c *Config) { c.Content = "" }, `E0421 content: content is missing`},
		{"pattern missing", lines, func(c *Config) { c.Content = "regex" }, `E0421 pattern:`},
		{"pattern", lines, func(c *Config) { c.Content = "regex"; c.Pattern = "(" }, "E0426 pattern: missing closing )"},
		{"pattern elsewhere", lines, func(c *Config) { c.Pattern = "x" }, `E0425 pattern: content "split" has no pattern`},
		{"group", lines, func(c *Config) {
			c.Content, c.Pattern, c.Tags = "regex", "(?P<weight>.*)", []Tag{{Name: "a", Group: "wieght"}}
		}, `E0422 tags[0].group: unknown group "wieght" (did you mean "weight"?)`},
		{"group, none named", lines, func(c *Config) { c.Content, c.Pattern, c.Tags = "regex", "(.*)", []Tag{{Name: "a", Group: "w"}} }, `E0425 tags[0].group: the pattern has no group "w"`},
		{"no tags", lines, func(c *Config) { c.Tags = nil }, `E0421 tags: there are no tags`},
		{"tag name", lines, tag(func(t *Tag) { t.Name = "" }), `E0421 tags[0].name`},
		{"tag twice", lines, func(c *Config) { c.Tag = []Tag{{Name: "a", Index: ptr(3)}} }, `E0427 tag[0].name: two tags are called "a"`},
		{"pick missing", lines, tag(func(t *Tag) { t.Index = nil }), `E0421 tags[0]: content "split" picks by index, which is missing`},
		{"pick of another content", lines, tag(func(t *Tag) { t.Key = "x" }), `E0425 tags[0].key: content "split" does not pick by key`},
		{"pick negative", lines, tag(func(t *Tag) { t.Index = ptr(-1) }), `E0424 tags[0].index:`},
		{"type", dust, tag(func(t *Tag) { t.Type = "uint61le" }), `E0203 tags[0].type: unknown type "u61le" (did you mean "u16le"?)`},
		{"type, text", lines, tag(func(t *Tag) { t.Type = "flaot64" }), `E0203 tags[0].type: unknown type "flaot64" (did you mean "float64"?)`},
		{"type missing", dust, tag(func(t *Tag) { t.Type = "" }), `E0421 tags[0].type:`},
		{"bcd", dust, tag(func(t *Tag) { t.Type = "bcd40-le" }), `E0203 tags[0].type: type "bcd40-le"`},
		{"lat elsewhere", lines, tag(func(t *Tag) { t.Type = "lat" }), `E0203 tags[0].type: type "lat" is for content = "nmea"`},
		{"bit", dust, tag(func(t *Tag) { t.Bit = ptr(16) }), `E0425 tags[0].bit:`},
		{"range", lines, tag(func(t *Tag) { t.Range = []float64{5, 1} }), `tags[0].range`},
		{"enum", lines, tag(func(t *Tag) { t.Enum = map[string]any{"ST": []any{}} }), `tags[0].enum.ST`},
		{"match", dust, tag(func(t *Tag) { t.Match = &Match{At: 1} }), `E0423 tags[0].match.equals`},
		{"condition", dust, tag(func(t *Tag) { t.ValidIf = &Cond{At: ptr(0)} }), `E0425 tags[0].valid_if: a condition needs either equals or not`},
		{"condition pick", dust, tag(func(t *Tag) { t.ValidIf = &Cond{Equals: "00"} }), `E0421 tags[0].valid_if: content "bytes" picks by at`},
		{"request name", lines, tag(func(t *Tag) { t.Request = "x" }), `E0425 tags[0].request: there is no request called "x"`},
		{"sentence elsewhere", lines, tag(func(t *Tag) { t.Sentence = "MWV" }), `E0425 tags[0].sentence`},
		{"deadband", lines, tag(func(t *Tag) { t.Deadband = "wide" }), `E0423 tags[0].deadband: "wide" is not a deadband (write 0.2 or`},
		{"deadband negative", lines, tag(func(t *Tag) { t.Deadband = -1.0 }), `E0423 tags[0].deadband: a deadband is not negative`},
		{"deadband of a table", lines, tag(func(t *Tag) { t.Deadband = true }), `E0423 tags[0].deadband`},
		{"report", lines, tag(func(t *Tag) { t.Report = "changes" }), `E0422 tags[0].report: unknown report "changes" (did you mean "change"?)`},
		{"request empty", lines, func(c *Config) { c.Request = &Request{} }, `E0421 request.send`},
		{"request hex", lines, func(c *Config) { c.Request = &Request{Send: "hex:XY"} }, `E0423 request.send`},
		{"request check", lines, func(c *Config) { c.Request = &Request{Send: "Q{check}"} }, `E0429 request.send`},
		{"request fast", lines, func(c *Config) { c.Request = &Request{Send: "Q", Every: conf.Duration(time.Millisecond)} }, `E0424 request.every`},
		{"request slow", lines, func(c *Config) { c.Request = &Request{Send: "Q", Every: conf.Duration(time.Minute)} }, `W0421 request.every`},
		{"request retries", lines, func(c *Config) { c.Request = &Request{Send: "Q", Retries: 99} }, `E0424 request.retries`},
		{"request twice", lines, func(c *Config) { c.Requests = []Request{{Name: "a", Send: "Q"}, {Name: "a", Send: "R"}} }, `E0427 requests[1].name`},
		{"init", lines, func(c *Config) { c.Init = []string{`\x`} }, `E0423 init[0]: "\\x": \x needs two hex digits`},
		{"lone backslash", lines, func(c *Config) { c.Init = []string{`a\`} }, `E0423 init[0]: "a\\" ends in a lone backslash`},
		{"no beginning", dust, func(c *Config) { c.Frame, c.Check = Frame{Kind: "fixed", Length: 9}, Check{} }, `E0425 frame: nothing tells where a frame`},
	} {
		got := problemsOf(with(sensor(test.base), test.change))
		if !slices.ContainsFunc(got, func(p string) bool { return strings.Contains(p, test.want) }) {
			t.Errorf("%s: no %q among\n  %s", test.name, test.want, strings.Join(got, "\n  "))
		}
	}
}

func TestNewRefusesWhatValidateReports(t *testing.T) {
	if _, err := New(sensor(Config{Content: "spilt"})); err == nil || !strings.Contains(err.Error(), "serial s1: content: unknown content") {
		t.Errorf("New: %v", err)
	}
}

func TestParseBytes(t *testing.T) {
	for _, test := range []struct {
		text string
		hex  bool
		want string
	}{
		{`\x05`, false, "\x05"}, {"\r\n", false, "\r\n"}, {`\r\n\t\0\\`, false, "\r\n\t\x00\\"},
		{"AA C0", true, "\xAA\xC0"}, {"aac0", true, "\xAA\xC0"}, {"hex:AA C0", false, "\xAA\xC0"}, {"text:AA", true, "AA"},
	} {
		got, err := parseBytes(test.text, test.hex)
		if err != nil || string(got) != test.want {
			t.Errorf("%q: %q, %v; want %q", test.text, got, err, test.want)
		}
	}
}
