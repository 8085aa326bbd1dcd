package serial

import "testing"

func TestCheckCodes(t *testing.T) {
	// The catalogue's check values: over the text "123456789".
	for kind, want := range map[string]string{
		"crc16-modbus":  "37 4B", // 4B37, low byte first
		"crc16-arc":     "3D BB",
		"crc16-x25":     "6E 90",
		"crc16-kermit":  "89 21",
		"crc16-ccitt":   "29 B1",
		"crc16-xmodem":  "31 C3",
		"sum8":          "DD",
		"xor8":          "31",
		"neg8":          "23",
		"neg7":          "23",
		"sum16be":       "01 DD",
		"sum16le":       "DD 01",
		"nmea":          "33 31",       // "31"
		"sum8-hex":      "44 44",       // "DD"
		"crc16-arc-hex": "42 42 33 44", // "BB3D"
	} {
		c := checker{kind: kind, order: crcs[kind].order}
		if got := hexList([]string{string(c.compute([]byte("123456789")))}); got != want {
			t.Errorf("%s of 123456789 is %s, want %s", kind, got, want)
		}
	}
}

func TestEveryCheckKindIsComputed(t *testing.T) {
	for _, kind := range checkKinds {
		c := checker{kind: kind, order: crcs[kind].order}
		if kind != "none" && c.size() == 0 {
			t.Errorf("%s computes nothing", kind)
		}
	}
}

func TestCheckPlaces(t *testing.T) {
	for _, test := range []struct {
		name  string
		c     checker
		frame string
		want  verdict
	}{
		{"none", checker{kind: "none"}, "whatever", checkGood},
		{"sum8 at the end", checker{kind: "sum8", at: -1}, "123456789\xDD", checkGood},
		{"sum8 wrong", checker{kind: "sum8", at: -1}, "123456789\xDE", checkBad},
		{"sum8 alone", checker{kind: "sum8", at: -1}, "\x00", checkGood},
		{"sum8 of nothing", checker{kind: "sum8", at: -1}, "", checkBad},
		{"range", checker{kind: "sum8", at: -2, span: span{2, -2}}, "\xAA\xC0\x01\x02\x03\xAB", checkGood},
		{"range outside", checker{kind: "sum8", at: -1, span: span{5, 9}}, "abc", checkBad},
		{"place outside", checker{kind: "sum8", at: 7}, "abc", checkBad},
		{"two bytes, one there", checker{kind: "crc16-arc", order: "le", at: -1}, "123456789\x3D", checkBad},
		{"in front", checker{kind: "xor8", at: 0, span: span{1, 10}}, "\x31123456789", checkGood},
		{"big-endian crc", checker{kind: "crc16-modbus", order: "be", at: -2}, "123456789\x4B\x37", checkGood},
		{"neg7 with parity bit", checker{kind: "neg7", at: -1}, "123456789\xA3", checkGood},
		{"nmea", checker{kind: "nmea"}, "$123456789*31", checkGood},
		{"nmea lower case", checker{kind: "nmea"}, "$ab,\x7f*7c", checkBad},
		{"nmea wrong", checker{kind: "nmea"}, "$123456789*32", checkBad},
		{"nmea one digit", checker{kind: "nmea"}, "$123456789*3", checkBad},
		{"nmea without", checker{kind: "nmea"}, "$123456789", checkBad},
		{"nmea optional", checker{kind: "nmea", optional: true}, "$123456789", checkAbsent},
		{"nmea optional and wrong", checker{kind: "nmea", optional: true}, "$123456789*30", checkBad},
		{"nmea no start", checker{kind: "nmea"}, "123456789*31", checkBad},
		{"hex", checker{kind: "sum8-hex", at: -2}, "123456789DD", checkGood},
		{"hex lower case", checker{kind: "sum8-hex", at: -2}, "123456789dd", checkGood},
		{"hex wrong", checker{kind: "sum8-hex", at: -2}, "123456789D0", checkBad},
		{"hex no digits", checker{kind: "sum8-hex", at: -2}, "123456789GG", checkBad},
		{"after marker", checker{kind: "crc16-arc-hex", after: []byte("!")}, "/a!4E9C\r\n", checkBad},
		{"after marker, absent", checker{kind: "crc16-arc-hex", after: []byte("!"), optional: true}, "/a!\r\n", checkAbsent},
		{"after marker, too long", checker{kind: "crc16-arc-hex", after: []byte("!")}, "/a!00000\r\n", checkBad},
		{"marker missing", checker{kind: "crc16-arc-hex", after: []byte("!")}, "/a", checkBad},
	} {
		if got := test.c.verify([]byte(test.frame)); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

func TestHexCheckMayLackLeadingZeros(t *testing.T) {
	c := checker{kind: "crc16-arc-hex", after: []byte("!")}
	// A telegram whose CRC begins with 0 is looked for, as one in sixteen does.
	for i := range 1000 {
		telegram := []byte{'/', byte('0' + i/100), byte('0' + i/10%10), byte('0' + i%10), '!'}
		digits := c.compute(telegram)
		if digits[0] != '0' || digits[1] == '0' {
			continue
		}
		full := string(telegram) + string(digits) + "\r\n"
		short := string(telegram) + string(digits[1:]) + "\r\n"
		if c.verify([]byte(full)) != checkGood || c.verify([]byte(short)) != checkGood {
			t.Errorf("%q or %q refused", full, short)
		}
		return
	}
	t.Fatal("no telegram with a short CRC found")
}

func TestCheckIsAppendedToRequests(t *testing.T) {
	for _, test := range []struct{ kind, send, want string }{
		{"sum8-hex", `$0001RR0000{check}\r`, "$0001RR000004" + "AD\r"},
		{"crc16-modbus", "hex:01 03 00 00 00 01 {check}", "\x01\x03\x00\x00\x00\x01\x84\x0A"},
		{"nmea", `$123456789*{check}\r\n`, "$123456789*31\r\n"},
		{"sum8", `Q{check}`, "QQ"},
	} {
		p := mustCompile(t, Config{
			Content: "split", Check: Check{Kind: test.kind}, Request: &Request{Send: test.send},
			Tags: []Tag{{Name: "a", Index: ptr(0)}},
		})
		got := string(p.requests[0].send)
		if test.kind == "sum8-hex" {
			// "$0001RR0000" summed is 0x1 something: computed here from the definition.
			sum := sum8([]byte("$0001RR0000"))
			test.want = "$0001RR0000" + string("0123456789ABCDEF"[sum>>4]) + string("0123456789ABCDEF"[sum&15]) + "\r"
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.kind, got, test.want)
		}
	}
}
