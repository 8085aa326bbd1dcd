package serial

import (
	"strings"
	"testing"

	"fieldgate/configs/conf"
	"fieldgate/drivers"
)

// fuzzFrames are sections of every frame kind, with and without checks.
func fuzzFrames(t testing.TB) []*program {
	tags := []Tag{{Name: "v", At: ptr(0), Type: "u8"}}
	var out []*program
	for _, c := range []Config{
		dust, lines,
		with(lines, func(c *Config) { c.Frame = Frame{Start: "$", End: `\r\n`, Max: 40} }),
		with(lines, func(c *Config) {
			c.Frame = Frame{Start: "$", End: `\r\n`, Max: 40}
			c.Check = Check{Kind: "nmea", Optional: true}
		}),
		with(lines, func(c *Config) { c.Frame = Frame{End: "@", Max: 20}; c.Check = Check{Kind: "sum8-hex"} }),
		{Frame: Frame{Kind: "length", Start: "42 4D", LengthAt: 2, LengthType: "u16be", LengthAdd: 4, Max: 64}, Check: Check{Kind: "sum16be"}, Tags: tags},
		{Frame: Frame{Kind: "length", LengthType: "u16le", LengthAdd: -3, Max: 64, End: "16"}, Tags: tags},
		{Frame: Frame{Kind: "bracket", Start: "/", End: "!", AfterEnd: 6, Max: 64}, Check: Check{Kind: "crc16-arc-hex", Optional: true}, Content: "obis", Tags: []Tag{{Name: "v", Code: "1"}}},
		{Frame: Frame{Kind: "gap", Gap: conf.Duration(20e6), Start: "FF", Max: 16}, Check: Check{Kind: "xor8"}, Tags: tags},
		{Frame: Frame{Kind: "fixed", Length: 5, Skip: "FE 00", Max: 8}, Check: Check{Kind: "crc16-x25"}, Tags: tags},
	} {
		out = append(out, mustCompile(t, c))
	}
	return out
}

// FuzzFrames: whatever comes, in pieces of whatever size, the buffer keeps its
// bound, every byte is accounted for, each frame passes its check, and the size of the
// pieces makes no difference.
func FuzzFrames(f *testing.F) {
	programs := fuzzFrames(f)
	for i := range programs {
		for _, seed := range []string{
			hexText("AA C0 7B 00 C0 AA 12 34 2B AB"), "1,2\r\n3,4\n", "$a,b*03\r\n$\r\n", "/A\r\n1(2)\r\n!0000\r\n", hexText("42 4D 00 06 00 07 00 08 00 A4"),
			"\x00\x00\x00\x00", "\xFF\x01\x01", strings.Repeat("$", 300), strings.Repeat("/", 200) + "!", "\x04\x00\x16\x16",
		} {
			f.Add(byte(i), byte(3), seed)
		}
	}
	f.Fuzz(func(t *testing.T, which, piece byte, data string) {
		p := programs[int(which)%len(programs)]
		whole, parts := framerOf(p), framerOf(p)
		var a, b []string
		a = cutInto(whole, data, len(data)+1)
		for rest := data; rest != ""; {
			n := min(int(piece)%7+1, len(rest))
			parts.feed([]byte(rest[:n]), func(frame []byte) { b = append(b, string(frame)) })
			if len(parts.buf) > p.max {
				t.Fatalf("%d bytes kept for frames of at most %d", len(parts.buf), p.max)
			}
			rest = rest[n:]
		}
		parts.silence(func(frame []byte) { b = append(b, string(frame)) })
		if strings.Join(a, "\x00|") != strings.Join(b, "\x00|") {
			t.Fatalf("at once %q, in pieces %q", a, b)
		}
		for _, frame := range a {
			if p.check.verify([]byte(frame)) == checkBad {
				t.Fatalf("%q was let through", frame)
			}
		}
		if whole.counts.dropped > uint64(len(data)) {
			t.Fatalf("%d bytes dropped of %d", whole.counts.dropped, len(data))
		}
	})
}

// fuzzContents are sections of every content.
func fuzzContents(t testing.TB) []*Driver {
	var out []*Driver
	every := append([]string{"bcd3-le", "bcd9-be", "dec6", "ascii8"}, binaryTypes...)
	var binary []Tag
	for i, typ := range every {
		binary = append(binary, Tag{Name: typ, At: ptr(i%5 - 2), Type: typ})
	}
	texts := func(pick func(*Tag)) (tags []Tag) {
		for _, typ := range []string{"", "float64", "float32", "int64", "uint64", "bool", "string", "hex"} {
			tag := Tag{Name: "t" + typ, Type: typ}
			pick(&tag)
			tags = append(tags, tag)
		}
		return tags
	}
	for _, c := range []Config{
		{Frame: Frame{Kind: "gap", Gap: conf.Duration(20e6)}, Tags: binary},
		{Frame: Frame{Kind: "gap", Gap: conf.Duration(20e6)}, Content: "hexfloat", Tags: binary},
		{Content: "split", Tags: texts(func(t *Tag) { t.Index = ptr(1) })},
		{Content: "pairs", Tags: texts(func(t *Tag) { t.Key = "T" })},
		{Content: "json", Tags: texts(func(t *Tag) { t.Path = "a[0].b" })},
		{Content: "regex", Pattern: `(?:a=(?P<a>\S+))?.*`, Tags: texts(func(t *Tag) { t.Group = "a" })},
		{Content: "obis", Tags: texts(func(t *Tag) { t.Code = "1-0:1.8.0" })},
		{Content: "nmea", Sentence: "GGA", Check: Check{Kind: "none"}, Tags: append(texts(func(t *Tag) { t.Index = ptr(1) }),
			Tag{Name: "lat", Index: ptr(2), Type: "lat"}, Tag{Name: "lon", Index: ptr(4), Type: "lon"}, Tag{Name: "time", Index: ptr(1), Type: "time"})},
	} {
		c.Transform = Transform{}
		d, err := New(sensor(c))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, d)
	}
	return out
}

// FuzzContents: no frame makes a content panic, and no sample is both bad and a value, or
// good and none.
func FuzzContents(f *testing.F) {
	ds := fuzzContents(f)
	for i := range ds {
		for _, seed := range []string{
			"", "1,2.5", "T=23.4;H=OL", `{"a":[{"b":1.5}]}`, `{"a":[{"b":null}]}`, "a=nan", "1-0:1.8.0(1.5*kWh)\r\n(2)\r\n1-0:1.8.0(\r\n", "$GPGGA,203415.00,4807.038,N,01131.000,E,1",
			"!0001RR00004841", "\x12\x34\x56\xFF\x7F\xC0\x00\x00\x00\x00", "$", "$,,,,,,", "1,+  5e", "1,18446744073709551616", "1,-", "1,1e400", "nan,inf",
		} {
			f.Add(byte(i), seed)
		}
	}
	f.Fuzz(func(t *testing.T, which byte, frame string) {
		d := ds[int(which)%len(ds)]
		s := newSession(d, nil, func(samples []drivers.Sample) {
			for _, x := range samples {
				if (x.Quality == drivers.Bad) != x.Value.IsNull() || (x.Quality == drivers.Good) != (x.Reason == "") {
					t.Fatalf("%q: %+v", frame, x)
				}
			}
		})
		s.frame([]byte(frame))
	})
}

// FuzzTransform: a transform never changes the frame it is given.
func FuzzTransform(f *testing.F) {
	f.Add("abc", 1, -1, byte(0x33), true)
	f.Add("4142", 0, 0, byte(0), true)
	f.Add("", -5, 9, byte(1), false)
	f.Fuzz(func(t *testing.T, frame string, from, to int, sub byte, hex bool) {
		in := []byte(frame)
		out, ok := transform{sub: sub, hex: hex, span: span{from, to}}.apply(in)
		if string(in) != frame {
			t.Fatalf("%q became %q", frame, in)
		}
		if ok && len(out) > len(frame) {
			t.Fatalf("%q grew to %q", frame, out)
		}
	})
}

// FuzzBytes: what is accepted as a marker is never longer than its text.
func FuzzBytes(f *testing.F) {
	f.Add(`\x05\r\n`, false)
	f.Add("AA C0", true)
	f.Add(`\`, false)
	f.Add(`\x1`, false)
	f.Fuzz(func(t *testing.T, text string, hex bool) {
		if b, err := parseBytes(text, hex); err == nil && len(b) > len(text) {
			t.Fatalf("%q became %q", text, b)
		}
	})
}

// FuzzPath: a path that is accepted can be looked up.
func FuzzPath(f *testing.F) {
	f.Add("a.b[0]")
	f.Add("[0][1]")
	f.Fuzz(func(t *testing.T, path string) {
		steps, err := parsePath(path)
		if err != nil {
			return
		}
		if len(steps) == 0 {
			t.Fatalf("%q is a path of nothing", path)
		}
		jsonFields{map[string]any{"a": []any{1.5}}}.at(&pick{path: steps})
	})
}
