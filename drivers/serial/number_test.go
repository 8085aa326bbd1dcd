package serial

import (
	"testing"

	"fieldgate/drivers"
)

func parsed(t *testing.T, typ, text string) string {
	t.Helper()
	vt, err := parseTextType(typ, true)
	if err != nil {
		t.Fatal(err)
	}
	v, reason := vt.parse(text)
	if reason != "" {
		if !v.IsNull() {
			t.Errorf("%s %q: a value beside reason %s", typ, text, reason)
		}
		return "bad(" + reason + ")"
	}
	return string(v.AppendJSON(nil))
}

func TestParseText(t *testing.T) {
	for _, test := range []struct{ typ, text, want string }{
		{"", "23.4", "23.4"}, {"", " -4.25 ", "-4.25"}, {"", "+  9.525", "9.525"}, {"", "-  0.5", "-0.5"},
		{"", "0", "0"}, {"", "007", "7"}, {"", ".5", "0.5"}, {"", "5.", "5"}, {"", "1e3", "1000"}, {"", "1E-3", "0.001"},
		{"", "true", "true"}, {"", "false", "false"},
		{"", "12abc", "bad(parse)"}, {"", "1 2", "bad(parse)"}, {"", "0x10", "bad(parse)"}, {"", "1_000", "bad(parse)"},
		{"", "1,5", "bad(parse)"}, {"", "--5", "bad(parse)"}, {"", "+-5", "bad(parse)"}, {"", "1e", "bad(parse)"}, {"", "e5", "bad(parse)"},
		{"", "1e999", "bad(invalid)"}, {"", "-1e999", "bad(invalid)"},
		{"float32", "21.3", "21.3"}, {"float32", "1e39", "bad(invalid)"}, {"float32", "x", "bad(parse)"},
		{"int64", "9223372036854775807", "9223372036854775807"}, {"int64", "-9223372036854775808", "-9223372036854775808"},
		{"int64", "9223372036854775808", "bad(invalid)"}, {"int64", "1.5", "bad(parse)"}, {"int64", "- 5", "-5"}, {"int64", "+", "bad(parse)"},
		{"uint64", "18446744073709551615", "18446744073709551615"}, {"uint64", "-1", "bad(invalid)"}, {"uint64", "+7", "7"},
		{"hex", "ff", "255"}, {"hex", "0x1F", "31"}, {"hex", "xyz", "bad(parse)"},
		{"bool", "ON", "true"}, {"bool", "0", "false"}, {"bool", "2", "bad(parse)"}, {"bool", "", "bad(invalid)"},
		{"string", " S1 ", `"S1"`}, {"string", "OL", `"OL"`}, {"string", "a\xFFb", `"a` + "\uFFFD" + `b"`},
		{"lat", "4807.038,N", "48.1173"}, {"lat", "4807.038,S", "-48.1173"}, {"lat", ",", "bad(invalid)"}, {"lat", "4807.038,", "bad(invalid)"},
		{"lat", "9100.0,N", "bad(parse)"}, {"lat", "4860.0,N", "bad(parse)"}, {"lat", "4807.038,E", "bad(parse)"}, {"lat", "-4807,N", "bad(parse)"}, {"lat", "07,N", "bad(parse)"}, {"lat", "000,N", "0"},
		{"lon", "01130.000,W", "-11.5"}, {"lon", "18000.000,E", "180"}, {"lon", "18000.001,E", "bad(parse)"}, {"lon", "nan,E", "bad(parse)"},
		{"time", "203415.250", `"20:34:15.250"`}, {"time", "235960", `"23:59:60"`}, {"time", "246000", "bad(parse)"}, {"time", "", "bad(invalid)"}, {"time", "2034", "bad(parse)"},
	} {
		if got := parsed(t, test.typ, test.text); got != test.want {
			t.Errorf("%s %q: %s, want %s", test.typ, test.text, got, test.want)
		}
	}
}

func TestH48WordsForNoValue(t *testing.T) {
	words := []string{"", "  ", "nan", "NaN", "-nan", "inf", "+Inf", "-INF", "infinity", "-", "--", "----", "--.-", "- - -", "***", "###.#", "OL", "ol", "O.L", "-OL", "UL", "ovl", "null", "None", "n/a", "ERR", "Error", "1.#QNAN", "_._"}
	for _, word := range words {
		for _, typ := range []string{"", "float64", "float32", "int64", "uint64", "bool", "hex"} {
			if got := parsed(t, typ, word); got != "bad("+drivers.ReasonInvalid+")" {
				t.Errorf("%q as %q: %s; it must be no value", word, typ, got)
			}
		}
	}
}

func TestH48InEveryTextContent(t *testing.T) {
	for _, word := range []string{"nan", "inf", "----", "OL", ""} {
		for _, test := range []struct {
			name string
			c    Config
			line string
		}{
			{"split", Config{Content: "split", Tags: []Tag{{Name: "v", Index: ptr(1)}}}, "x," + word + "\n"},
			{"pairs", Config{Content: "pairs", Tags: []Tag{{Name: "v", Key: "T"}}}, "T=" + word + ";H=1\n"},
			{"json", Config{Content: "json", Tags: []Tag{{Name: "v", Path: "t"}}}, `{"t":"` + word + "\"}\n"},
			{"regex", Config{Content: "regex", Pattern: "^T:(?P<t>.*)$", Tags: []Tag{{Name: "v", Group: "t"}}}, "T:" + word + "\n"},
			{"obis", Config{Frame: Frame{Kind: "bracket", Start: "/", End: "!"}, Content: "obis", Tags: []Tag{{Name: "v", Code: "1-0:1.7.0"}}}, "/X\r\n1-0:1.7.0(" + word + "*kW)\r\n!"},
			{"nmea", Config{Content: "nmea", Sentence: "MTW", Check: Check{Kind: "nmea", Optional: true}, Tags: []Tag{{Name: "v", Index: ptr(1)}}}, "$YXMTW," + word + ",C\r\n"},
			{"enum", Config{Content: "split", Tags: []Tag{{Name: "v", Index: ptr(0), Enum: map[string]any{"ST": true, "US": false}}}}, word + "\n"},
		} {
			got := decodeStream(t, test.c, test.line)
			if s := show(got["v"]); s != "bad(invalid)" {
				t.Errorf("%s %q: %s, want bad(invalid)", test.name, word, s)
			}
		}
	}
}
