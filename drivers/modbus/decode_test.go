package modbus

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"testing"

	"fieldgate/drivers"
)

func hexBytes(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// golden holds, for every type, bytes A B C D … most significant first and
// what they mean.
var golden = []struct{ typ, be, want string }{
	{"bool", "0000", "false"}, {"bool", "0100", "true"},
	{"u8h", "F1C3", "241"}, {"u8l", "F1C3", "195"}, {"i8h", "F1C3", "-15"}, {"i8l", "F1C3", "-61"},
	{"int16", "FFFE", "-2"}, {"int16", "8000", "-32768"}, {"uint16", "FFFE", "65534"},
	{"int24", "00800001", "-8388607"}, {"int24", "FF800001", "-8388607"}, {"uint24", "AA800001", "8388609"},
	{"int32", "12345678", "305419896"}, {"int32", "FFFFFFFE", "-2"}, {"uint32", "89ABCDEF", "2309737967"},
	{"int48", "FFFFFFFFFFFE", "-2"}, {"int48", "800000000000", "-140737488355328"}, {"uint48", "0123456789AB", "1250999896491"},
	{"int64", "8000000000000000", "-9223372036854775808"}, {"int64", "0123456789ABCDEF", "81985529216486895"},
	{"uint64", "FFFFFFFFFFFFFFFF", "18446744073709551615"}, {"uint64", "0020000000000001", "9007199254740993"},
	{"float16", "3C00", "1"}, {"float16", "C000", "-2"}, {"float16", "7BFF", "65504"}, {"float16", "0001", "5.9604645e-08"}, {"float16", "5640", "100"},
	{"float32", "436CB9B5", "236.72542"}, {"float32", "C1480000", "-12.5"}, {"float64", "3FB999999999999A", "0.1"}, {"float64", "C05EDCCCCCCCCCCD", "-123.45"},
	{"bcd16", "1234", "1234"}, {"bcd16", "9999", "9999"}, {"bcd16", "12A4", "null"}, {"bcd32", "12345678", "12345678"}, {"bcd64", "1234567890123456", "1234567890123456"},
	{"sm16", "8005", "-5"}, {"sm16", "7FFF", "32767"}, {"sm16", "8000", "0"}, {"sm32", "80000005", "-5"}, {"sm32", "00000005", "5"},
	{"m10k32", "04D2162E", "12345678"}, {"m10k48", "0001000203E8", "100021000"}, {"m10k64", "0001000000000000", "1000000000000"}, {"m10k32", "27100000", "null"},
	{"epoch32", "69540600", `"2025-12-30T17:04:00Z"`}, {"ipv4", "C0A80A14", `"192.168.10.20"`},
	{"float32", "7FC00000", "null"}, {"float32", "7F800000", "null"}, {"float32", "FF800000", "null"}, {"float64", "7FF0000000000000", "null"},
	{"float16", "7C00", "null"}, {"float16", "7E00", "null"},
}

// arranged puts bytes in the order that letters spell: the definition, apart
// from the code under test.
func arranged(be []byte, letters string) []byte {
	out := make([]byte, len(be))
	for i := range out {
		out[i] = be[letters[i]-'A']
	}
	return out
}

// letterOrders are the orders by width, as the grammar names them.
var letterOrders = map[int][]string{
	2: {"AB", "BA"},
	4: {"ABCD", "CDAB", "BADC", "DCBA"},
	6: {"ABCDEF", "EFCDAB", "BADCFE", "FEDCBA"},
	8: {"ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA", "EFGHABCD", "CDABGHEF", "FEHGBADC", "DCBAHGFE"},
}

// orderOf is the order of the grammar for letters of any width.
func orderOf(t *testing.T, letters string) Order {
	t.Helper()
	if len(letters) == 6 {
		letters = map[string]string{"ABCDEF": "ABCD", "EFCDAB": "CDAB", "BADCFE": "BADC", "FEDCBA": "DCBA"}[letters]
	}
	o, err := ParseOrder(letters)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestEveryTypeInEveryOrder(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range golden {
		typ, err := ParseType(g.typ)
		if err != nil {
			t.Fatal(err)
		}
		seen[g.typ] = true
		be := hexBytes(t, g.be)
		if len(be) != 2*typ.Registers() {
			t.Fatalf("%s takes %d registers, the table has %d bytes", g.typ, typ.Registers(), len(be))
		}
		for _, letters := range letterOrders[len(be)] {
			raw := arranged(be, letters)
			order := orderOf(t, letters)
			if order.letters(8*len(be)) != letters {
				t.Errorf("%s calls itself %s", letters, order.letters(8*len(be)))
			}
			v := decode(typ, order, bytes.Clone(raw))
			if got := string(v.AppendJSON(nil)); got != g.want {
				t.Errorf("%s@%s % X: %s, want %s", g.typ, letters, raw, got, g.want)
			}
			if v.IsNull() || typ.form == formBit {
				continue
			}
			back, err := encode(typ, order, v)
			if err != nil {
				t.Errorf("%s@%s %s: %v", g.typ, letters, v, err)
				continue
			}
			if again := decode(typ, order, back); again != v {
				t.Errorf("%s@%s: %s was written as % X, which is %s", g.typ, letters, v, back, again)
			}
		}
	}
	for _, typ := range numberTypes {
		if !seen[typ.name] {
			t.Errorf("no golden value for %s", typ.name)
		}
	}
}

// TestGoldenOrders is the same in literals, from makers' manuals.
func TestGoldenOrders(t *testing.T) {
	for _, c := range []struct{ reg, raw, want string }{
		{"h0:float32", "43692E14", "233.18"},
		{"h0:float32@CDAB", "2E144369", "233.18"},
		{"h0:float32@BADC", "6943142E", "233.18"},
		{"h0:float32@DCBA", "142E6943", "233.18"},
		{"h0:uint32@ABCD", "00010203", "66051"},
		{"h0:uint32@CDAB", "02030001", "66051"},
		{"h0:uint32@BADC", "01000302", "66051"},
		{"h0:uint32@DCBA", "03020100", "66051"},
		{"h0:uint64@ABCDEFGH", "0001020304050607", "283686952306183"},
		{"h0:uint64@CDAB", "0607040502030001", "283686952306183"},
		{"h0:uint64@BADC", "0100030205040706", "283686952306183"},
		{"h0:uint64@DCBA", "0706050403020100", "283686952306183"},
		{"h0:uint64@EFGHABCD", "0405060700010203", "283686952306183"},
		{"h0:uint64@CDABGHEF", "0203000106070405", "283686952306183"},
		{"h0:uint64@FEHGBADC", "0504070601000302", "283686952306183"},
		{"h0:uint64@DCBAHGFE", "0302010007060504", "283686952306183"},
		{"h0:float64@CDAB", "CCCDCCCCDCCCC05E", "-123.45"},
		{"h0:string5", "414243444500", `"ABCDE"`},
		{"h0:string4@BADC", "42414443", `"ABCD"`},
		{"h0:string8", "4142000043444546", `"AB"`}, // ends at NUL
		{"h0:string8", "2041422020202020", `"AB"`},
		{"h0:string4", "B0432020", `"°C"`}, // Latin-1
		{"h0:string4", "C2B04300", `"°C"`}, // UTF-8
		{"h0:bytes3", "DEADBE00", `"deadbe"`},
		{"h0:int16@BA", "3412", "4660"},
	} {
		r, err := ParseReg(c.reg, Order{})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(decode(r.Type, r.Order, hexBytes(t, c.raw)).AppendJSON(nil)); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.reg, c.raw, got, c.want)
		}
	}
}

// TestMistakesOfOtherDecoders: what others got wrong.
func TestMistakesOfOtherDecoders(t *testing.T) {
	// Reversed INT_32 flipped all bytes while UINT_32 and FLOAT_32 swapped words.
	raw := []byte{0x02, 0x03, 0x80, 0x01}
	swap := Order{Words: true}
	i := decode(mustType(t, "int32"), swap, raw)
	u := decode(mustType(t, "uint32"), swap, raw)
	f := decode(mustType(t, "float32"), swap, raw)
	if i != drivers.IntValue(-2147417597) || u != drivers.UintValue(0x80010203) || f != drivers.Float32Value(math.Float32frombits(0x80010203)) {
		t.Errorf("CDAB: %s %s %s do not agree", i, u, f)
	}
	// Reversed INT_64 and FLOAT_64 read only the first 32 bits, as unsigned.
	raw = []byte{0xFF, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}
	if got := decode(mustType(t, "int64"), swap, raw); got != drivers.IntValue(-2) {
		t.Errorf("int64@CDAB %s", got)
	}
	// Words and bytes swapped were documented to give the same result.
	all := map[drivers.Value]string{}
	for _, letters := range letterOrders[8] {
		v := decode(mustType(t, "uint64"), orderOf(t, letters), []byte{1, 2, 3, 4, 5, 6, 7, 8})
		if other, twice := all[v]; twice {
			t.Errorf("%s and %s give the same", letters, other)
		}
		all[v] = letters
	}
	// Decimal addresses were one-based and hex ones zero-based.
	dec, _ := ParseReg("h100", Order{})
	hexa, _ := ParseReg("h0x64", Order{})
	if dec != hexa {
		t.Errorf("h100 is %s, h0x64 is %s", dec, hexa)
	}
	// The order was ignored by writes of several registers.
	for _, letters := range letterOrders[4] {
		b, err := encode(mustType(t, "uint32"), orderOf(t, letters), drivers.UintValue(0x01020304))
		if err != nil || !bytes.Equal(b, arranged([]byte{1, 2, 3, 4}, letters)) {
			t.Errorf("write %s: % X %v", letters, b, err)
		}
	}
}

func mustType(t *testing.T, name string) Type {
	t.Helper()
	typ, err := ParseType(name)
	if err != nil {
		t.Fatal(err)
	}
	return typ
}

func TestEncodeRefusesWhatDoesNotFit(t *testing.T) {
	for _, c := range []struct {
		typ string
		v   drivers.Value
	}{
		{"int16", drivers.IntValue(32768)}, {"int16", drivers.IntValue(-32769)}, {"uint16", drivers.IntValue(-1)}, {"uint16", drivers.IntValue(65536)},
		{"int24", drivers.IntValue(1 << 23)}, {"uint24", drivers.IntValue(1 << 24)}, {"int64", drivers.UintValue(1 << 63)},
		{"bcd16", drivers.IntValue(10000)}, {"bcd16", drivers.IntValue(-1)}, {"m10k32", drivers.IntValue(100000000)},
		{"sm16", drivers.IntValue(-32768)}, {"u8h", drivers.IntValue(256)}, {"i8l", drivers.IntValue(-129)},
		{"float16", drivers.FloatValue(65520)}, {"float32", drivers.FloatValue(1e39)}, {"float32", drivers.StringValue("x")},
		{"string4", drivers.StringValue("ABCDE")}, {"bytes2", drivers.StringValue("DEAD BE")}, {"bytes2", drivers.StringValue("xx")},
		{"ipv4", drivers.StringValue("fe80::1")}, {"epoch32", drivers.StringValue("yesterday")}, {"epoch32", drivers.StringValue("1969-12-31T23:59:59Z")},
	} {
		if b, err := encode(mustType(t, c.typ), Order{}, c.v); err == nil {
			t.Errorf("%s took %s as % X", c.typ, c.v, b)
		}
	}
}

func TestEncodeTexts(t *testing.T) {
	for _, c := range []struct {
		typ  string
		v    drivers.Value
		want string
	}{
		{"string5", drivers.StringValue("AB"), "414200000000"}, {"bytes2", drivers.StringValue("DE AD"), "dead"},
		{"ipv4", drivers.StringValue("10.0.0.1"), "0a000001"}, {"epoch32", drivers.StringValue("1970-01-01T00:01:00Z"), "0000003c"},
		{"epoch32", drivers.StringValue("60"), "0000003c"}, {"epoch32", drivers.IntValue(60), "0000003c"},
	} {
		b, err := encode(mustType(t, c.typ), Order{}, c.v)
		if err != nil || hex.EncodeToString(b) != c.want {
			t.Errorf("%s %s: %x %v", c.typ, c.v, b, err)
		}
	}
}

// TestHalfFloats goes through all of them.
func TestHalfFloats(t *testing.T) {
	for h := range 1 << 16 {
		f := fromHalf(uint16(h))
		switch {
		case h&0x7C00 == 0x7C00:
			if !math.IsNaN(float64(f)) && !math.IsInf(float64(f), 0) {
				t.Fatalf("%04X is %v", h, f)
			}
		default:
			if back := toHalf(float64(f)); back != uint16(h) {
				t.Fatalf("%04X is %v, which is %04X", h, f, back)
			}
		}
	}
	for f, want := range map[float64]uint16{0: 0, 1.0009765: 0x3C01, 65519: 0x7BFF, 65520: 0x7C00, -1e9: 0xFC00, 2e-8: 0, 4e-8: 1, 0.00006103515625: 0x0400, 0.00006102: 0x0400} {
		if got := toHalf(f); got != want {
			t.Errorf("%v: %04X, want %04X", f, got, want)
		}
	}
}

func TestDecodeAll(t *testing.T) {
	data := hexBytes(t, "43692E1400000000")
	found := map[string]string{}
	for _, d := range DecodeAll(data) {
		found[d.Type+" "+d.Order] = d.Value.String()
	}
	for key, want := range map[string]string{
		"float32 ABCD": "233.18", "int16 AB": "17257", "uint16 BA": "26947", "uint64 ABCDEFGH": "4857464336530014208",
		"uint64 EFGHABCD": "1130966548", "uint48 ABCDEF": "74119023689728", "bool ": "true", "string AB": "Ci.\x14", "bcd16 AB": "4369",
	} {
		if found[key] != want {
			t.Errorf("%s: %q, want %q", key, found[key], want)
		}
	}
	if n := len(DecodeAll(data[:2])); n == 0 || n >= len(found) {
		t.Errorf("one register gives %d readings", n)
	}
	if got := DecodeAll(nil); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// FuzzDecode: no input panics, and integers come back to the same bytes.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{0x43, 0x69, 0x2E, 0x14, 0, 0, 0, 0}, uint8(0), uint8(0))
	f.Add([]byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, uint8(11), uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, pick, ord uint8) {
		typ := numberTypes[int(pick)%len(numberTypes)]
		raw := make([]byte, 2*typ.Registers())
		copy(raw, data)
		orders := ordersOf(typ)
		o := orders[int(ord)%len(orders)]
		v := decode(typ, o, bytes.Clone(raw))
		if v.IsNull() || typ.form == formBit {
			return
		}
		back, err := encode(typ, o, v)
		if err != nil {
			t.Fatalf("%s@%s % X is %s, which cannot be written: %v", typ, o, raw, v, err)
		}
		if again := decode(typ, o, bytes.Clone(back)); again != v {
			t.Fatalf("%s@%s % X is %s, written % X, which is %s", typ, o, raw, v, back, again)
		}
	})
}

func BenchmarkDecodeFloat32(b *testing.B) {
	raw := binary.BigEndian.AppendUint32(nil, math.Float32bits(231.42))
	typ := Type{"float32", formFloat, 32}
	b.ReportAllocs()
	for b.Loop() {
		if decode(typ, Order{Words: true}, raw).IsNull() {
			b.Fatal("null")
		}
	}
}

// TestRandomIntegersRoundTrip covers widths and signs that tables miss.
func TestRandomIntegersRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, typ := range numberTypes {
		if typ.form != formSigned && typ.form != formUnsigned {
			continue
		}
		for range 500 {
			raw := make([]byte, 2*typ.Registers())
			for i := range raw {
				raw[i] = byte(r.Uint32())
			}
			orders := ordersOf(typ)
			o := orders[r.IntN(len(orders))]
			v := decode(typ, o, bytes.Clone(raw))
			back, err := encode(typ, o, v)
			if err != nil || decode(typ, o, back) != v {
				t.Fatalf("%s@%s % X: %s, % X %v", typ, o, raw, v, back, err)
			}
		}
	}
}
