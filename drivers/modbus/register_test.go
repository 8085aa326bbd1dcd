package modbus

import (
	"errors"
	"strings"
	"testing"
)

func TestParseReg(t *testing.T) {
	for _, c := range []struct{ text, want, forms string }{
		{"h100:int16", "h100:int16", "h100  0x0064  40101"},
		{"h0x64", "h100:uint16", "h100  0x0064  40101"},
		{"H0X64:INT16", "h100:int16", "h100  0x0064  40101"},
		{"40103:float32", "h102:float32", "h102  0x0066  40103"},
		{"400103:float32", "h102:float32", "h102  0x0066  40103"},
		{"465536", "h65535:uint16", "h65535  0xFFFF  465536"},
		{"h9998", "h9998:uint16", "h9998  0x270E  49999"},
		{"h9999", "h9999:uint16", "h9999  0x270F  410000"}, // five digits end at 9999
		{"00001", "c0", "c0  0x0000  00001"},
		{"10005", "d4", "d4  0x0004  10005"},
		{"30001:int16", "i0:int16", "i0  0x0000  30001"},
		{"000017", "c16", "c16  0x0010  00017"},
		{"d4", "d4", "d4  0x0004  10005"},
		{"c4:bool", "c4", "c4  0x0004  00005"},
		{"h110:uint32@CDAB", "h110:uint32@CDAB", "h110  0x006E  40111"},
		{"h120.3", "h120.3", "h120  0x0078  40121"},
		{"h120.20:uint32@cdab", "h120.20:uint32@CDAB", "h120  0x0078  40121"},
		{"h200:string8", "h200:string8", "h200  0x00C8  40201"},
		{"h200:string8@BADC", "h200:string8@BADC", "h200  0x00C8  40201"},
		{"h1:uint64@GHEFCDAB", "h1:uint64@CDAB", "h1  0x0001  40002"},
		{"h1:uint64@EFGHABCD", "h1:uint64@EFGHABCD", "h1  0x0001  40002"},
		{"h1:int16@BA", "h1:int16@BA", "h1  0x0001  40002"},
		{"h1:int16@BADC", "h1:int16@BA", "h1  0x0001  40002"},
		{" h007 ", "h7:uint16", "h7  0x0007  40008"}, // leading zeros are not octal
		{"h1:u8h", "h1:u8h", "h1  0x0001  40002"},
		{"i5:m10k48@DCBA", "i5:m10k48@DCBA", "i5  0x0005  30006"},
	} {
		r, err := ParseReg(c.text, Order{})
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if r.String() != c.want || r.Forms() != c.forms {
			t.Errorf("%q: %s (%s), want %s (%s)", c.text, r, r.Forms(), c.want, c.forms)
		}
	}
}

func TestDeviceOrderIsForWideNumbers(t *testing.T) {
	def := Order{Words: true}
	for text, want := range map[string]string{
		"h1:float32": "h1:float32@CDAB", "h1:uint64": "h1:uint64@CDAB", "h1:int16": "h1:int16",
		"h1:string8": "h1:string8", "h1:float32@ABCD": "h1:float32", "c1": "c1", "h1.3": "h1.3",
	} {
		if r, err := ParseReg(text, def); err != nil || r.String() != want {
			t.Errorf("%s: %s %v, want %s", text, r, err, want)
		}
	}
}

func TestParseRegErrors(t *testing.T) {
	for _, c := range []struct{ text, code, part, says string }{
		{"", "E0201", "", "register is empty"},
		{"h", "E0201", "h", "is not an address"},
		{"hx1", "E0201", "hx1", `"x1" is not an address`},
		{"h-1", "E0201", "h-1", "is not an address"},
		{"h0xZZ", "E0201", "h0xZZ", "is not an address"},
		{"x100", "E0202", "x100", "unknown area"},
		{"40103:flaot32", "E0203", "flaot32", `did you mean "float32"?`},
		{"h1:uint61", "E0203", "uint61", `did you mean "uint16"?`},
		{"h1:complex", "E0203", "complex", "known types are bool u8h"},
		{"h1:", "E0203", "", "unknown type"},
		{"h1:string", "E0203", "string", "needs a length"},
		{"h1:string0", "E0203", "string0", "needs a length"},
		{"h1:bytes251", "E0203", "bytes251", "1 to 250"},
		{"c1:int16", "E0203", "int16", "a coil is a single bit"},
		{"h1.16", "E0204", ".16", "the highest is 15"},
		{"h1.x", "E0204", ".x", "not a bit number"},
		{"h1.+3", "E0204", ".+3", "not a bit number"},
		{"h1.3:float32", "E0204", ".3", "only be taken from integers"},
		{"c1.0", "E0204", ".0", "single bit already"},
		{"h1:int32@ABDC", "E0205", "ABDC", "unknown order"},
		{"h1:int32@", "E0205", "@", "order is missing"},
		{"h1:int32@BA", "E0205", "BA", "for one register"},
		{"h1:int32@GHEFCDAB", "E0205", "GHEFCDAB", "for 64-bit values"},
		{"h1:string8@CDAB", "E0205", "CDAB", "only have its bytes swapped"},
		{"c1@BADC", "E0205", "BADC", "a bit has no order"},
		{"h65536", "E0206", "h65536", "beyond 65535"},
		{"h65535:int32", "E0206", "h65535", "the last one is 65535"},
		{"40000", "E0206", "40000", "the first is 40001"},
		{"466000", "E0206", "466000", "1 to 65536"},
		{"99999999", "E0206", "99999999", "beyond the last address"},
		{"4x0001", "E0201", "4x0001", "neither a register nor a Modicon reference"},
	} {
		_, err := ParseReg(c.text, Order{})
		var re *RegError
		if !errors.As(err, &re) {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if re.Code != c.code || re.Part != c.part || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %s %q %v; want %s %q %q", c.text, re.Code, re.Part, err, c.code, c.part, c.says)
		}
	}
}

func TestPlainDigitsShowBothReadings(t *testing.T) {
	for _, c := range []struct{ text, a, b string }{
		{"100", "h100", "h99"}, {"7", "h7", "h6"}, {"20001", "h20001", "h20000"}, {"0", "h0", ""},
	} {
		_, err := ParseReg(c.text, Order{})
		var re *RegError
		if !errors.As(err, &re) || re.Code != "E0207" || !strings.Contains(re.Help, "write "+c.a+" ") || c.b != "" && !strings.Contains(re.Help, "or "+c.b+" ") {
			t.Errorf("%q: %v", c.text, err)
		}
		if !strings.Contains(err.Error(), "Modicon") {
			t.Errorf("%q: %v does not show the Modicon form", c.text, err)
		}
	}
}

// FuzzParseReg: no panic, every error has a code, and what parses prints as
// text that parses to the same.
func FuzzParseReg(f *testing.F) {
	for _, seed := range []string{"h100:int16", "40103:float32@CDAB", "h120.3", "c4", "0x", "h0x64.3:uint32@dcba", "400001", "h200:string8", "h:@.", "h1.2.3", "999", "h0@dCBA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseReg(text, Order{})
		if err != nil {
			var re *RegError
			if !errors.As(err, &re) || re.Code == "" || re.Text == "" || !strings.Contains(text, re.Part) && re.Part != "" {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		again, err := ParseReg(r.String(), Order{})
		if err != nil || again != r {
			t.Fatalf("%q is %s, which is %s (%v)", text, r, again, err)
		}
		if r.end() > 65536 {
			t.Fatalf("%q reaches to %d", text, r.end())
		}
		m, err := ParseReg(r.Modicon(), Order{})
		if err != nil || m.Area != r.Area || m.Addr != r.Addr {
			t.Fatalf("%s is Modicon %s, which is %s (%v)", r, r.Modicon(), m, err)
		}
	})
}
