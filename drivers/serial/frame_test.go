package serial

import (
	"slices"
	"strings"
	"testing"

	"fieldgate/configs/conf"
)

// dust is an SDS011: AA C0, six data bytes, their sum, AB.
var dust = Config{
	Frame: Frame{Kind: "fixed", Start: "AA C0", Length: 10, End: "AB"},
	Check: Check{Kind: "sum8", Range: []int{2, -2}, At: ptr(-2)},
	Tags: []Tag{
		{Name: "pm2_5", At: ptr(2), Type: "u16le", Scale: ptr(0.1), Unit: "ug/m3"},
		{Name: "pm10", At: ptr(4), Type: "u16le", Scale: ptr(0.1), Unit: "ug/m3"},
	},
}

// lines is the plainest section: columns, LF or CR LF.
var lines = Config{Content: "split", Tags: []Tag{{Name: "a", Index: ptr(0)}, {Name: "b", Index: ptr(1)}}}

func with(c Config, change func(*Config)) Config {
	change(&c)
	return c
}

func TestFrames(t *testing.T) {
	length := Config{
		Frame: Frame{Kind: "length", Start: "42 4D", LengthAt: 2, LengthType: "u16be", LengthAdd: 4, Max: 40},
		Check: Check{Kind: "sum16be"},
		Tags:  []Tag{{Name: "a", At: ptr(4), Type: "u16be"}},
	}
	meter := Config{ // DL/T 645: FE before, 68 … 16, the length in the tenth byte
		Frame: Frame{Kind: "length", Start: "68", LengthAt: 9, LengthAdd: 12, End: "16", Skip: "FE 00"},
		Check: Check{Kind: "sum8"},
		Tags:  []Tag{{Name: "a", At: ptr(10), Type: "u8"}},
	}
	telegram := Config{
		Frame: Frame{Kind: "bracket", Start: "/", End: "!", AfterEnd: 6, Max: 128}, Content: "obis",
		Check: Check{Kind: "crc16-arc-hex", Optional: true},
		Tags:  []Tag{{Name: "a", Code: "1-0:1.8.0"}},
	}
	stx := Config{
		Frame: Frame{Kind: "bracket", Start: `\x02`, End: `\x03`, AfterEnd: 1}, Content: "split",
		Check: Check{Kind: "xor8", Range: []int{1, -1}},
		Tags:  []Tag{{Name: "a", Index: ptr(0)}},
	}
	dollar := with(lines, func(c *Config) { c.Frame = Frame{Start: "$", End: `\r\n`} })
	pms := hexText("42 4D 00 06 00 07 00 08 00 A4")
	dlt := hexText("68 01 00 00 00 00 68 68 91 01 33 FE 16")
	dlt = dlt[:11] + string([]byte{sum8([]byte(dlt[:11]))}) + "\x16"
	body := "/ABC\r\n1-0:1.8.0(1.5*kWh)\r\n!"
	full := body + string((&checker{kind: "crc16-arc-hex"}).compute([]byte(body))) + "\r\n"
	good := hexText("AA C0 01 00 02 00 12 34 49 AB")

	for _, test := range []struct {
		name string
		c    Config
		in   string
		want []string
	}{
		{"lines", lines, "1,2\r\n3,4\n\n5,6\n", []string{"1,2", "3,4", "", "5,6"}},
		{"half a line waits", lines, "1,2\r\n3,", []string{"1,2"}},
		{"two-byte end", with(lines, func(c *Config) { c.Frame.End = `\r\n` }), "1\n2\r3\r\n4\r\n", []string{"1\n2\r3", "4"}},
		{"start", dollar, "xx$1,2\r\nnoise\r\n$3\r\n", []string{"$1,2", "$3"}},
		{"start in a cut line", dollar, "$1,2$3,4\r\n", []string{"$3,4"}},
		{"fixed", dust, good + good, []string{good, good}},
		{"fixed behind noise", dust, "\x00\xFF\xAA" + good, []string{good}},
		{"fixed, start twice", dust, "\xAA\xC0" + good, []string{good}},
		{"fixed, wrong sum then right", dust, strings.Replace(good, "\x49", "\x4A", 1) + good, []string{good}},
		{"fixed, a byte lost", dust, good[:5] + good[6:] + good, []string{good}},
		{"length", length, "\x42" + pms + pms, []string{pms, pms}},
		{"length, lying", length, hexText("42 4D FF FF") + pms, []string{pms}},
		{"length, too long", length, hexText("42 4D 00 25") + pms, []string{pms}},
		{"length, too short", length, hexText("42 4D 00 00") + pms + pms, []string{pms, pms}},
		{"idle bytes", meter, "\xFE\xFE\x00\xFE" + dlt + "\xFE" + dlt, []string{dlt, dlt}},
		{"start byte in the address", meter, "\xFE" + strings.Replace(dlt, "\x01\x00", "\x68\x01", 1) + dlt, []string{dlt}},
		{"bracket", telegram, "1.8.0(0)\r\n!AAAA\r\n" + full + full, []string{full, full}},
		{"bracket without its check", telegram, body + "\r\n" + full, []string{body + "\r\n", full}},
		{"bracket, end lost", telegram, body[:len(body)-1] + full, []string{full}},
		{"stx etx bcc", stx, "\x02\x0212\x03\x00" + "\x0212\x03\x00", []string{"\x0212\x03\x00", "\x0212\x03\x00"}},
		{"gap", Config{Frame: Frame{Kind: "gap", Gap: conf.Duration(20e6)}, Tags: dust.Tags}, "\x01\x02\x03", []string{"\x01\x02\x03"}},
		{"gap with start", Config{Frame: Frame{Kind: "gap", Gap: conf.Duration(20e6), Start: "FF"}, Tags: dust.Tags}, "\x01\x02\xFF\x03", []string{"\xFF\x03"}},
		{"gap, start missing", Config{Frame: Frame{Kind: "gap", Gap: conf.Duration(20e6), Start: "FF"}, Tags: dust.Tags}, "\x01\x02", nil},
	} {
		p := mustCompile(t, test.c)
		for _, n := range []int{1, 2, 3, 7, 1000} {
			if got := cutInto(framerOf(p), test.in, n); !slices.Equal(got, test.want) {
				t.Errorf("%s, %d bytes at a time:\n got %q\nwant %q", test.name, n, got, test.want)
			}
		}
	}
}

func TestFramerCounts(t *testing.T) {
	good := hexText("AA C0 01 00 02 00 12 34 49 AB")
	f := framerOf(mustCompile(t, dust))
	cutInto(f, "xyz"+good+strings.Replace(good, "\x49", "\x4A", 1)+good, 4)
	want := frameCounts{frames: 2, badChecks: 1, dropped: 3 + 10}
	if f.counts != want {
		t.Errorf("counts %+v, want %+v", f.counts, want)
	}
}

func TestFramerBufferIsBounded(t *testing.T) {
	for name, c := range map[string]Config{
		"delimiter": lines,
		"start":     with(lines, func(c *Config) { c.Frame = Frame{Start: "$"} }),
		"bracket":   {Frame: Frame{Kind: "bracket", Start: "$", End: "!"}, Content: "obis", Tags: []Tag{{Name: "a", Code: "1"}}},
		"length":    {Frame: Frame{Kind: "length", Start: "24", LengthAt: 1}, Tags: []Tag{{Name: "a", At: ptr(0), Type: "u8"}}},
		"fixed":     dust,
		"gap":       {Frame: Frame{Kind: "gap", Gap: conf.Duration(20e6)}, Tags: dust.Tags},
	} {
		p := mustCompile(t, c)
		f := framerOf(p)
		noise := strings.Repeat("$x\xAA\xC0", 4096)
		for range 16 {
			f.feed([]byte(noise), func([]byte) {})
			if cap(f.buf) > 4*p.max+64 {
				t.Fatalf("%s: the buffer has grown to %d for frames of at most %d", name, cap(f.buf), p.max)
			}
		}
	}
}
