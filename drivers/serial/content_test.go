package serial

import (
	"testing"

	"fieldgate/configs/conf"
)

func TestContents(t *testing.T) {
	scale := Config{
		Content: "regex", Frame: Frame{End: `\r\n`},
		Pattern: `^(?P<st>ST|US|OL),(?P<mode>GS|NT)[, ]\s*(?P<w>[+-]?\s*[0-9.]+|[-+ ]+)\s*(?P<u>kg|g|lb)`,
		Tags: []Tag{
			{Name: "weight", Group: "w", Unit: "kg", ValidIf: &Cond{Group: "st", Not: "OL"}},
			{Name: "stable", Group: "st", Enum: map[string]any{"ST": true, "US": false}},
			{Name: "mode", Group: "mode", Type: "string"},
		},
	}
	binary := func(typ string, change ...func(*Tag)) Config {
		tag := Tag{Name: "v", At: ptr(1), Type: typ}
		for _, f := range change {
			f(&tag)
		}
		return Config{Frame: Frame{Kind: "gap", Gap: conf.Duration(20e6)}, Tags: []Tag{tag}}
	}
	nmea := func(sentence string, index int, typ string) Config {
		return Config{Content: "nmea", Check: Check{Kind: "none"}, Tags: []Tag{{Name: "v", Sentence: sentence, Index: ptr(index), Type: typ}}}
	}
	obis := func(code string, change ...func(*Tag)) Config {
		tag := Tag{Name: "v", Code: code}
		for _, f := range change {
			f(&tag)
		}
		return Config{Frame: Frame{Kind: "bracket", Start: "/", End: "!", Max: 1024}, Content: "obis", Tags: []Tag{tag}}
	}
	meter := "/ABC5\\TEST\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0(261123040000W)\r\n1-0:1.8.1*255(000100.500*kWh)\r\n1-0:2.7.0(01.234*kW)\r\n" +
		"0-1:24.3.0(261123040000)(00)(60)(1)(0-1:24.2.1)(m3)\r\n(00012.345)\r\n0-2:24.2.1(700101010000W)(00000000)\r\n0-3:24.2.1(261123040000W)(00017.5*m3)\r\n1-0:9.9.9(\r\n!"

	for _, test := range []struct {
		name, tag string
		c         Config
		in, want  string
	}{
		{"scale, stable", "weight", scale, "ST,GS,+  9.525kg\r\n", "9.525"},
		{"scale, stable flag", "stable", scale, "ST,GS,+  9.525kg\r\n", "true"},
		{"scale, unstable flag", "stable", scale, "US,NT,-000.125kg\r\n", "false"},
		{"scale, negative", "weight", scale, "US,NT,-000.125kg\r\n", "-0.125"},
		{"scale, text", "mode", scale, "US,NT,-000.125kg\r\n", `"NT"`},
		{"scale, overload", "weight", scale, "OL,GS,+  9.525kg\r\n", "bad(invalid)"},
		{"scale, overload flag", "stable", scale, "OL,GS,+  9.525kg\r\n", "bad(invalid)"},
		{"scale, dashes", "weight", scale, "ST,GS,------kg\r\n", "bad(invalid)"},
		{"scale, other line", "weight", scale, "HELLO\r\n", "none"},

		{"pairs", "v", Config{Content: "pairs", Tags: []Tag{{Name: "v", Key: "H"}}}, "T=23.4; H = 56.1 ;P=1013.2\r\n", "56.1"},
		{"pairs, other separators", "v", Config{Content: "pairs", Sep: " ", Assign: ":", Tags: []Tag{{Name: "v", Key: "H"}}}, "T:23.4   H:56.1\n", "56.1"},
		{"pairs, absent", "v", Config{Content: "pairs", Tags: []Tag{{Name: "v", Key: "X"}}}, "T=23.4\n", "none"},
		{"split", "v", Config{Content: "split", Tags: []Tag{{Name: "v", Index: ptr(2)}}}, "23.40,56.10,1013.25\n", "1013.25"},
		{"split, blanks", "v", Config{Content: "split", Sep: " ", Tags: []Tag{{Name: "v", Index: ptr(1)}}}, "  1.5    2.5 3\n", "2.5"},
		{"split, short line", "v", Config{Content: "split", Tags: []Tag{{Name: "v", Index: ptr(2)}}}, "23.40,56.10\n", "bad(parse)"},
		{"split, empty column", "v", Config{Content: "split", Tags: []Tag{{Name: "v", Index: ptr(1)}}}, "23.40,,1\n", "bad(invalid)"},
		{"split, text for a number", "v", Config{Content: "split", Tags: []Tag{{Name: "v", Index: ptr(0)}}}, "boot\n", "bad(parse)"},
		{"split, scaled", "v", Config{Content: "split", Tags: []Tag{{Name: "v", Index: ptr(0), Scale: ptr(0.1), Offset: -40, Round: ptr(1)}}}, "635\n", "23.5"},
		{"split, out of range", "v", Config{Content: "split", Tags: []Tag{{Name: "v", Index: ptr(0), Range: []float64{0, 10}}}}, "11\n", "bad(range)"},
		{"split, sentinel", "v", Config{Content: "split", Tags: []Tag{{Name: "v", Index: ptr(0), Invalid: []any{int64(-999)}}}}, "-999\n", "bad(invalid)"},
		{"split, numbered states", "v", Config{Content: "split", Tags: []Tag{{Name: "v", Index: ptr(0), Enum: map[string]any{"0": "off", "1": "on"}}}}, "1\n", `"on"`},

		{"json", "v", Config{Content: "json", Tags: []Tag{{Name: "v", Path: "a.b[1]"}}}, `{"a":{"b":[1,23.4]}}` + "\n", "23.4"},
		{"json, top array", "v", Config{Content: "json", Tags: []Tag{{Name: "v", Path: "[0]"}}}, "[7]\n", "7"},
		{"json, boolean", "v", Config{Content: "json", Tags: []Tag{{Name: "v", Path: "ok"}}}, `{"ok":true}` + "\n", "true"},
		{"json, null", "v", Config{Content: "json", Tags: []Tag{{Name: "v", Path: "ok"}}}, `{"ok":null}` + "\n", "bad(invalid)"},
		{"json, absent", "v", Config{Content: "json", Tags: []Tag{{Name: "v", Path: "x"}}}, `{"ok":null}` + "\n", "none"},
		{"json, exact", "v", Config{Content: "json", Tags: []Tag{{Name: "v", Path: "n", Type: "uint64"}}}, `{"n":18446744073709551615}` + "\n", "18446744073709551615"},
		{"json, object", "v", Config{Content: "json", Tags: []Tag{{Name: "v", Path: "o"}}}, `{"o":{"x":1}}` + "\n", "bad(parse)"},
		{"json, damaged", "v", Config{Content: "json", Tags: []Tag{{Name: "v", Path: "o"}}}, `{"o":1` + "\n", "none"},
		{"json, two documents", "v", Config{Content: "json", Tags: []Tag{{Name: "v", Path: "o"}}}, `{"o":1}{"o":2}` + "\n", "none"},

		{"u8", "v", binary("u8"), "\x00\xFE", "254"},
		{"i8", "v", binary("i8"), "\x00\xFE", "-2"},
		{"u16le", "v", binary("u16le"), "\x00\x01\x02", "513"},
		{"i16be", "v", binary("i16be"), "\x00\xFF\xFE", "-2"},
		{"u24le", "v", binary("u24le"), "\x00\x6F\x94\x03", "234607"},
		{"i24be", "v", binary("i24be"), "\x00\xFF\xFF\xFE", "-2"},
		{"u32le", "v", binary("u32le"), "\x00\x01\x02\x03\x04", "67305985"},
		{"u32cdab", "v", binary("u32cdab"), "\x00\x03\x04\x01\x02", "16909060"},
		{"u32badc", "v", binary("u32badc"), "\x00\x02\x01\x04\x03", "16909060"},
		{"u64be", "v", binary("u64be"), "\x00\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", "18446744073709551615"},
		{"i64le", "v", binary("i64le"), "\x00\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF", "-2"},
		{"f32be", "v", binary("f32be"), "\x00\x41\x48\x00\x00", "12.5"},
		{"f32le nan", "v", binary("f32le"), "\x00\x00\x00\xC0\x7F", "bad(invalid)"},
		{"f64be inf", "v", binary("f64be"), "\x00\x7F\xF0\x00\x00\x00\x00\x00\x00", "bad(invalid)"},
		{"bcd2-le", "v", binary("bcd2-le", func(t *Tag) { t.Scale = ptr(0.1) }), "\x00\x05\x23", "230.5"},
		{"bcd3-be", "v", binary("bcd3-be"), "\x00\x01\x23\x45", "12345"},
		{"bcd, no digits", "v", binary("bcd2-be"), "\x00\xFF\xFF", "bad(invalid)"},
		{"dec6", "v", binary("dec6", func(t *Tag) { t.Scale = ptr(0.01) }), "\x00012345", "123.45"},
		{"dec, blank", "v", binary("dec6"), "\x00      ", "bad(invalid)"},
		{"dec, letters", "v", binary("dec6"), "\x0012a456", "bad(parse)"},
		{"ascii", "v", binary("ascii4"), "\x00AB \x00", `"AB"`},
		{"bit", "v", binary("u8", func(t *Tag) { t.Bit = ptr(3) }), "\x00\x08", "true"},
		{"from the end", "v", binary("u8", func(t *Tag) { t.At = ptr(-1) }), "\x00\x08\x09", "9"},
		{"too short", "v", binary("u32le"), "\x00\x08\x09", "bad(parse)"},
		{"H49 sentinel", "v", binary("u16be", func(t *Tag) { t.Invalid = "ff" }), "\x00\xFF\xFF", "bad(invalid)"},
		{"H49 signed sentinel", "v", binary("i16be", func(t *Tag) { t.Invalid = []any{"0x8000"} }), "\x00\x80\x00", "bad(invalid)"},
		{"match", "v", binary("u8", func(t *Tag) { t.Match = &Match{0, "C0"} }), "\xC0\x07", "7"},
		{"no match", "v", binary("u8", func(t *Tag) { t.Match = &Match{0, "C0"} }), "\xC1\x07", "none"},
		{"condition", "v", binary("u8", func(t *Tag) { t.ValidIf = &Cond{At: ptr(0), Equals: "0A"} }), "\x0A\x07", "7"},
		{"condition fails", "v", binary("u8", func(t *Tag) { t.ValidIf = &Cond{At: ptr(0), Equals: "0A"} }), "\x0B\x07", "bad(invalid)"},

		{"hexfloat", "v", Config{Content: "hexfloat", Frame: Frame{Start: "!", End: `\r`}, Tags: []Tag{{Name: "v", At: ptr(7)}}}, "!0001RR00004841\r", "12.5"},
		{"hexfloat, not hex", "v", Config{Content: "hexfloat", Frame: Frame{Start: "!", End: `\r`}, Tags: []Tag{{Name: "v", At: ptr(7)}}}, "!0001RR0000484X\r", "bad(parse)"},
		{"hexfloat, nan", "v", Config{Content: "hexfloat", Frame: Frame{Start: "!", End: `\r`}, Tags: []Tag{{Name: "v", At: ptr(7)}}}, "!0001RR0000C07F\r", "bad(invalid)"},

		{"nmea, any talker", "v", nmea("MWV", 3, ""), "$IIMWV,181.5,R,5.1,M,A\r\n", "5.1"},
		{"nmea, empty field", "v", nmea("MWV", 1, ""), "$WIMWV,,T,,N,V\r\n", "bad(invalid)"},
		{"nmea, other sentence", "v", nmea("MWV", 1, ""), "$WIMTW,17.9,C\r\n", "none"},
		{"nmea, latitude", "v", nmea("GGA", 2, "lat"), "$GPGGA,203415.00,4807.038,S,01131.000,E,1\r\n", "-48.1173"},
		{"nmea, longitude", "v", nmea("GGA", 4, "lon"), "$GPGGA,203415.00,4807.038,S,01130.000,E,1\r\n", "11.5"},
		{"nmea, no fix", "v", nmea("GGA", 2, "lat"), "$GPGGA,203415.00,,,,,0\r\n", "bad(invalid)"},
		{"nmea, proprietary", "v", nmea("PGRME", 1, ""), "$PGRME,15.0,M\r\n", "15"},
		{"nmea, short", "v", nmea("MTW", 3, ""), "$WIMTW,17.9,C\r\n", "bad(parse)"},

		{"obis", "v", obis("1-0:2.7.0"), meter, "1.234"},
		{"obis, with group 255", "v", obis("1-0:1.8.1"), meter, "100.5"},
		{"obis, asked with group 255", "v", obis("1-0:2.7.0*255"), meter, "1.234"},
		{"obis, next line", "v", obis("0-1:24.3.0"), meter, "12.345"},
		{"obis, last bracket", "v", obis("0-3:24.2.1"), meter, "17.5"},
		{"obis, meter never connected", "v", obis("0-2:24.2.1"), meter, "bad(invalid)"},
		{"obis, first bracket", "v", obis("0-3:24.2.1", func(t *Tag) { t.Index, t.Type = ptr(0), "string" }), meter, `"261123040000W"`},
		{"obis, absent", "v", obis("1-0:3.3.3"), meter, "none"},
		{"obis, cut bracket", "v", obis("1-0:9.9.9"), meter, "none"},
	} {
		if got := show(decodeStream(t, test.c, test.in)[test.tag]); got != test.want {
			t.Errorf("%s: %q gives %s, want %s", test.name, test.in, got, test.want)
		}
	}
}

func TestTransforms(t *testing.T) {
	for _, test := range []struct {
		name     string
		t        Transform
		in, want string
		ok       bool
	}{
		{"none", Transform{}, "abc", "abc", true},
		{"sub in a range", Transform{Sub: 0x33, Range: []int{1, -1}}, "\x68\x33\x34\x16", "\x68\x00\x01\x16", true},
		{"sub wraps", Transform{Sub: 0x33}, "\x00", "\xCD", true},
		{"xor", Transform{Xor: 0xFF}, "\x00\x0F", "\xFF\xF0", true},
		{"strip7", Transform{Strip7: true}, "\xB1\x32", "\x31\x32", true},
		{"hex", Transform{Hex: true, Range: []int{1, -1}}, ":41420d;", ":AB\r;", true},
		{"hex, odd", Transform{Hex: true}, "414", "", false},
		{"hex, letters", Transform{Hex: true}, "4X", "", false},
		{"range outside", Transform{Sub: 1, Range: []int{5, 9}}, "abc", "", false},
	} {
		c := with(dust, func(c *Config) { c.Transform = test.t })
		in := []byte(test.in)
		got, ok := mustCompile(t, c).transform.apply(in)
		if ok != test.ok || ok && string(got) != test.want {
			t.Errorf("%s: %q %v, want %q %v", test.name, got, ok, test.want, test.ok)
		}
		if string(in) != test.in {
			t.Errorf("%s: the frame itself was changed to %q", test.name, in)
		}
	}
}

func TestPaths(t *testing.T) {
	for path, ok := range map[string]bool{
		"a": true, "a.b[0]": true, "[0]": true, "[0][1].x": true, "a[0].b": true,
		"": false, ".": false, "a.": false, ".a": false, "a[": false, "a[]": false, "a[x]": false, "a[0]b": false, "a.[0]": false, "a[99999999999]": false,
	} {
		if _, err := parsePath(path); (err == nil) != ok {
			t.Errorf("path %q: %v", path, err)
		}
	}
}
