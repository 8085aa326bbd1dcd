package drivers

import (
	"encoding/json"
	"math"
	"testing"
)

func TestValueJSON(t *testing.T) {
	for _, c := range []struct {
		v    Value
		want string
	}{
		{Value{}, "null"},
		{BoolValue(true), "true"},
		{BoolValue(false), "false"},
		{IntValue(math.MinInt64), "-9223372036854775808"},
		{IntValue(math.MaxInt64), "9223372036854775807"},
		{UintValue(math.MaxUint64), "18446744073709551615"},
		{UintValue(1<<53 + 1), "9007199254740993"}, // float64 would say …992
		{FloatValue(0.1), "0.1"},
		{FloatValue(1e21), "1e+21"},
		{FloatValue(1e-7), "1e-07"},
		{FloatValue(-0.25), "-0.25"},
		{Float32Value(231.42), "231.42"}, // not 231.4199981689453
		{FloatValue(float64(float32(231.42))), "231.4199981689453"},
		{FloatValue(math.NaN()), "null"},
		{FloatValue(math.Inf(1)), "null"},
		{Float32Value(float32(math.Inf(-1))), "null"},
		{StringValue(`a"b\c<d>` + "\n\u2028°C"), `"a\"b\\c<d>\n\u2028°C"`},
		{StringValue("\xff"), `"\ufffd"`},
	} {
		got := string(c.v.AppendJSON(nil))
		if got != c.want {
			t.Errorf("%#v: %s, want %s", c.v, got, c.want)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%s is not JSON", got)
		}
	}
}

func TestValueRoundTripsThroughJSON(t *testing.T) {
	for _, v := range []Value{
		BoolValue(true), IntValue(math.MinInt64), IntValue(-1), IntValue(1<<53 + 1), UintValue(math.MaxUint64),
		FloatValue(71.4), FloatValue(1e-300), StringValue(""), StringValue("läuft"), {},
	} {
		got, ok := FromJSON(v.AppendJSON(nil))
		if !ok || got != v {
			t.Errorf("%s came back as %s (%v)", v, got, ok)
		}
	}
}

func TestParseValue(t *testing.T) {
	for _, c := range []struct {
		text string
		want Value
	}{
		{"72.5", FloatValue(72.5)}, {" 72 ", IntValue(72)}, {"-9223372036854775808", IntValue(math.MinInt64)},
		{"18446744073709551615", UintValue(math.MaxUint64)}, {"18446744073709551616", FloatValue(18446744073709551616)},
		{"1e3", FloatValue(1000)}, {"true", BoolValue(true)}, {"null", Value{}}, {`"72"`, StringValue("72")},
		{"running", StringValue("running")}, {"NaN", StringValue("NaN")}, {"inf", StringValue("inf")},
		{"0x10", StringValue("0x10")}, {"", StringValue("")}, {"1e999", StringValue("1e999")}, {"--", StringValue("--")},
	} {
		if got := ParseValue(c.text); got != c.want {
			t.Errorf("%q: %#v, want %#v", c.text, got, c.want)
		}
	}
}

func TestValueConversions(t *testing.T) {
	if _, ok := UintValue(math.MaxUint64).Int(); ok {
		t.Error("2^64-1 is no int64")
	}
	if _, ok := IntValue(-1).Uint(); ok {
		t.Error("-1 is no uint64")
	}
	if f, ok := BoolValue(true).Float(); !ok || f != 1 {
		t.Error("true is 1")
	}
	if _, ok := StringValue("1").Float(); ok {
		t.Error("a text is no number")
	}
}

func FuzzParseValue(f *testing.F) {
	for _, seed := range []string{"1", "-1.5e-3", `"x"`, "null", "{}", "18446744073709551615", "+5", ".", "0.", "-0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v := ParseValue(text)
		got := v.AppendJSON(nil)
		if !json.Valid(got) {
			t.Fatalf("%q gives %s", text, got)
		}
		back, ok := FromJSON(got)
		if !ok || back.IsNull() != v.IsNull() {
			t.Fatalf("%q: %s came back as %s", text, v, back)
		}
		x, _ := v.Float() // 0. is printed as 0 and comes back as an integer
		if y, _ := back.Float(); x != y {
			t.Fatalf("%q: %v came back as %v", text, x, y)
		}
	})
}
