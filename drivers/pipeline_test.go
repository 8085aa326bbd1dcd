package drivers

import (
	"errors"
	"math"
	"strings"
	"testing"

	"fieldgate/buffer/clock"
	"fieldgate/configs/conf"
)

var (
	i16 = RawType{Bits: 16, Signed: true}
	u16 = RawType{Bits: 16}
	i32 = RawType{Bits: 32, Signed: true}
	u32 = RawType{Bits: 32}
	i64 = RawType{Bits: 64, Signed: true}
	u64 = RawType{Bits: 64}
	f32 = RawType{Bits: 32, Float: true}
	num = RawType{} // a number out of a text
	txt = RawType{Text: true}
)

func ptr[T any](v T) *T { return &v }

func newPipe(t *testing.T, r Rules, raw RawType) *Pipeline {
	t.Helper()
	p, err := NewPipeline(r, raw)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPipeline(t *testing.T) {
	stamp := clock.Stamp{Nanos: 1}
	for _, c := range []struct {
		name   string
		rules  Rules
		raw    RawType
		in     Value
		want   string
		reason string
	}{
		{"plain", Rules{}, i16, IntValue(-5), "-5", ""},
		{"scaled", Rules{Scale: ptr(0.1)}, i16, IntValue(714), "71.4", ""},
		{"NaN is always invalid", Rules{}, f32, FloatValue(math.NaN()), "null", ReasonInvalid},
		{"sunspec int16", Rules{Invalid: "sunspec"}, i16, IntValue(-32768), "null", ReasonInvalid},
		{"sunspec uint16", Rules{Invalid: "sunspec"}, u16, UintValue(65535), "null", ReasonInvalid},
		{"ffff is -1 for a signed one", Rules{Invalid: "sunspec"}, i16, IntValue(-1), "-1", ""},
		{"sunspec int32", Rules{Invalid: "sunspec"}, i32, IntValue(math.MinInt32), "null", ReasonInvalid},
		{"sunspec uint32", Rules{Invalid: "sunspec"}, u32, UintValue(math.MaxUint32), "null", ReasonInvalid},
		{"sunspec uint64", Rules{Invalid: "sunspec"}, u64, UintValue(math.MaxUint64), "null", ReasonInvalid},
		{"sunspec int64", Rules{Invalid: "sunspec"}, i64, IntValue(math.MinInt64), "null", ReasonInvalid},
		{"sunspec accumulator", Rules{Invalid: "sunspec", Kind: "counter"}, u32, UintValue(0), "null", ReasonInvalid},
		{"0 is a value elsewhere", Rules{Invalid: "sunspec"}, u32, UintValue(0), "0", ""},
		{"ff", Rules{Invalid: "ff"}, u32, UintValue(math.MaxUint32), "null", ReasonInvalid},
		{"ff signed", Rules{Invalid: "ff"}, i16, IntValue(-1), "null", ReasonInvalid},
		{"7fff", Rules{Invalid: "7fff"}, i32, IntValue(math.MaxInt32), "null", ReasonInvalid},
		{"hex is a pattern", Rules{Invalid: []any{"0x8000"}}, i16, IntValue(-32768), "null", ReasonInvalid},
		{"number by value", Rules{Invalid: []any{int64(-1), int64(999)}}, i16, IntValue(-1), "null", ReasonInvalid},
		{"positive as pattern", Rules{Invalid: []any{int64(65535)}}, i16, IntValue(-1), "null", ReasonInvalid},
		{"2^53+1 is not 2^53", Rules{Invalid: []any{int64(1 << 53)}}, u64, UintValue(1<<53 + 1), "9007199254740993", ""},
		{"a float", Rules{Invalid: []any{-999.9}}, f32, Float32Value(-999.9), "null", ReasonInvalid},
		{"float pattern", Rules{Invalid: []any{"0x7F7FFFFF"}}, f32, Float32Value(math.MaxFloat32), "null", ReasonInvalid},
		{"a text for no number", Rules{Invalid: []any{"OL", -1.0}}, num, StringValue("OL"), "null", ReasonInvalid},
		{"a number from a text", Rules{Invalid: []any{"OL", -1.0}}, num, FloatValue(-1), "null", ReasonInvalid},
		{"text", Rules{Invalid: []any{"----"}}, txt, StringValue("----"), "null", ReasonInvalid},
		{"bit", Rules{Bits: "3"}, u16, UintValue(8), "true", ""},
		{"bits", Rules{Bits: "4..7"}, u16, UintValue(0xABCD), "12", ""},
		{"bits of a negative", Rules{Bits: "12..15"}, i16, IntValue(-1), "15", ""},
		{"invalid before bits", Rules{Bits: "0", Invalid: "ff"}, u16, UintValue(65535), "null", ReasonInvalid},
		{"in range", Rules{Scale: ptr(0.1), Range: []float64{-20, 150}}, i16, IntValue(1500), "150", ""},
		{"out of range, never clamped", Rules{Scale: ptr(0.1), Range: []float64{-20, 150}}, i16, IntValue(1501), "null", ReasonRange},
		{"round", Rules{Scale: ptr(0.001), Round: ptr(1)}, i16, IntValue(12345), "12.3", ""},
		{"enum", Rules{Enum: map[string]any{"0": "stopped", "2": "running"}}, u16, UintValue(2), `"running"`, ""},
		{"enum after scale", Rules{Scale: ptr(10.0), Enum: map[string]any{"20": "x"}}, u16, UintValue(2), `"x"`, ""},
		{"enum to bool", Rules{Enum: map[string]any{"ST": true, "US": false}}, txt, StringValue("ST"), "true", ""},
		{"enum of a bit", Rules{Bits: "0", Enum: map[string]any{"0": "off", "1": "on"}}, u16, UintValue(1), `"on"`, ""},
		{"enum of a bit by name", Rules{Bits: "0", Enum: map[string]any{"false": "off", "true": "on"}}, u16, UintValue(0), `"off"`, ""},
		{"64 bit exact", Rules{}, u64, UintValue(math.MaxUint64), "18446744073709551615", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, keep := newPipe(t, c.rules, c.raw).Apply(c.in, stamp)
			if !keep {
				t.Fatal("dropped")
			}
			if got := string(s.Value.AppendJSON(nil)); got != c.want || s.Reason != c.reason {
				t.Errorf("%s %q, want %s %q", got, s.Reason, c.want, c.reason)
			}
			if (s.Quality == Good) != (c.reason == "") {
				t.Errorf("quality %s with reason %q", s.Quality, s.Reason)
			}
		})
	}
}

func TestUnknownEnumValueKeepsTheNumber(t *testing.T) {
	p := newPipe(t, Rules{Enum: map[string]any{"0": "off"}}, u16)
	s, _ := p.Apply(UintValue(7), clock.Stamp{Nanos: 1})
	if s.Value != UintValue(7) || s.Quality != Uncertain || s.Reason != ReasonRange {
		t.Errorf("%+v", s)
	}
}

func TestOnInvalid(t *testing.T) {
	at := func(n int64) clock.Stamp { return clock.Stamp{Nanos: n} }
	drop := newPipe(t, Rules{Invalid: "ff", OnInvalid: "drop"}, u16)
	if _, keep := drop.Apply(UintValue(65535), at(1)); keep {
		t.Error("drop reports nothing")
	}
	hold := newPipe(t, Rules{Invalid: "ff", OnInvalid: "hold"}, u16)
	if s, _ := hold.Apply(UintValue(65535), at(1)); s.Quality != Bad {
		t.Error("there is nothing to hold yet")
	}
	hold.Apply(UintValue(5), at(2))
	s, keep := hold.Apply(UintValue(65535), at(3))
	if !keep || s.Value != UintValue(5) || s.Quality != Uncertain || s.Reason != ReasonInvalid {
		t.Errorf("%+v", s)
	}
	if s.Time != at(2) {
		t.Error("a held value keeps the time it was read: never an old value as new")
	}
}

func TestCounterNeedsConfirmationToFall(t *testing.T) {
	p := newPipe(t, Rules{Kind: "counter"}, u32)
	read := func(v uint64) string {
		s, keep := p.Apply(UintValue(v), clock.Stamp{Nanos: 1})
		if !keep {
			return "-"
		}
		return s.Value.String()
	}
	for i, c := range []struct {
		in   uint64
		want string
	}{
		{100, "100"}, {101, "101"}, {0, "-"}, {102, "102"}, // one glitch is forgotten
		{0, "-"}, {0, "0"}, // a reset, confirmed
		{5, "5"}, {3, "-"}, {2, "-"}, {2, "2"}, // each lower one starts anew
	} {
		if got := read(c.in); got != c.want {
			t.Errorf("read %d of %d: %s, want %s", i, c.in, got, c.want)
		}
	}
}

// TestCounterThatJumps: a rise beyond max_rate is believed when the next read
// goes on from there, and forgotten when it does not.
func TestCounterThatJumps(t *testing.T) {
	p := newPipe(t, Rules{Kind: "counter", MaxRate: 2}, u32)
	for i, c := range []struct {
		second int64
		in     uint64
		want   string
	}{
		{0, 1000, "1000"}, {1, 1002, "1002"}, {2, 4294967295, "-"}, {3, 1006, "1006"}, // one glitch is forgotten
		{4, 9000, "-"}, {5, 9002, "9002"}, // the meter was changed
		{6, 20000, "-"}, {7, 30000, "-"}, {8, 30001, "30001"}, // each jump starts anew
		{9, 50000, "-"}, {10, 40000, "-"}, {11, 30007, "30007"},
		{1011, 32007, "32007"}, // after an outage more may have come together
		{1012, 0, "-"}, {1013, 0, "0"}, {1014, 1, "1"},
	} {
		s, keep := p.Apply(UintValue(c.in), clock.Stamp{Nanos: 1 + c.second*1e9})
		got := "-"
		if keep {
			got = s.Value.String()
		}
		if got != c.want {
			t.Errorf("read %d of %d: %s, want %s", i, c.in, got, c.want)
		}
	}
}

func TestInvert(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules Rules
		raw   RawType
		shift int
		in    Value
		want  Value
		code  string
	}{
		{"scaled", Rules{Scale: ptr(0.1)}, i16, 0, FloatValue(72.5), IntValue(725), ""},
		{"rounded, not truncated", Rules{Scale: ptr(0.1)}, u16, 0, FloatValue(0.29), IntValue(3), ""}, // 0.29/0.1 truncates to 2
		{"half away from zero", Rules{Scale: ptr(2.0)}, i16, 0, IntValue(-5), IntValue(-3), ""},
		{"offset", Rules{Scale: ptr(0.5), Offset: -40}, u16, 0, FloatValue(20.5), IntValue(121), ""},
		{"power of ten", Rules{}, i16, -1, FloatValue(23.4), IntValue(234), ""},
		{"too large", Rules{Scale: ptr(0.1)}, i16, 0, IntValue(4000), Value{}, CodeType},
		{"unsigned", Rules{}, u16, 0, IntValue(-1), Value{}, CodeType},
		{"least int16", Rules{}, i16, 0, IntValue(-32768), IntValue(-32768), ""},
		{"64 bit", Rules{}, u64, 0, UintValue(math.MaxUint64), UintValue(math.MaxUint64), ""},
		{"least int64", Rules{}, i64, 0, IntValue(math.MinInt64), IntValue(math.MinInt64), ""},
		{"beyond 64 bit", Rules{}, i64, 0, UintValue(math.MaxUint64), Value{}, CodeType},
		{"float", Rules{Scale: ptr(0.1)}, f32, 0, FloatValue(22.01), Float32Value(220.1), ""},
		{"float too large", Rules{}, f32, 0, FloatValue(1e39), Value{}, CodeType},
		{"enum by name", Rules{Enum: map[string]any{"0": "off", "2": "auto"}}, u16, 0, StringValue("AUTO"), IntValue(2), ""},
		{"enum by number", Rules{Enum: map[string]any{"0": "off"}}, u16, 0, IntValue(7), IntValue(7), ""},
		{"enum unknown name", Rules{Enum: map[string]any{"0": "off"}}, u16, 0, StringValue("fast"), Value{}, CodeType},
		{"text for a number", Rules{}, u16, 0, StringValue("abc"), Value{}, CodeType},
		{"switch on a register", Rules{}, u16, 0, BoolValue(true), IntValue(1), ""},
		{"coil", Rules{}, RawType{Bits: 1}, 0, StringValue("ON"), BoolValue(true), ""},
		{"coil by number", Rules{}, RawType{Bits: 1}, 0, IntValue(0), BoolValue(false), ""},
		{"coil, neither", Rules{}, RawType{Bits: 1}, 0, IntValue(2), Value{}, CodeType},
		{"bit", Rules{Bits: "3"}, u16, 0, BoolValue(true), BoolValue(true), ""},
		{"bits fit", Rules{Bits: "4..7"}, u16, 0, IntValue(15), IntValue(15), ""},
		{"bits do not fit", Rules{Bits: "4..7"}, u16, 0, IntValue(16), Value{}, CodeType},
		{"a text", Rules{}, txt, 0, StringValue("abc"), StringValue("abc"), ""},
		{"a number as text", Rules{}, txt, 0, IntValue(12), StringValue("12"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := newPipe(t, c.rules, c.raw).Invert(c.in, c.shift)
			var refused *CommandError
			if errors.As(err, &refused); (refused != nil) != (c.code != "") || refused != nil && refused.Code != c.code {
				t.Fatalf("error %v, want code %q", err, c.code)
			}
			if err == nil && got != c.want {
				t.Errorf("%#v, want %#v", got, c.want)
			}
		})
	}
}

func TestRulesValidate(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules Rules
		raw   RawType
		key   string
		code  string
	}{
		{"zero scale", Rules{Scale: ptr(0.0)}, i16, "scale", "E0210"},
		{"scaled text", Rules{Scale: ptr(2.0)}, txt, "scale", "E0210"},
		{"range backwards", Rules{Range: []float64{5, 1}}, i16, "range", "E0211"},
		{"range of one", Rules{Range: []float64{5}}, i16, "range", "E0211"},
		{"on_invalid", Rules{OnInvalid: "ignore"}, i16, "on_invalid", "E0214"},
		{"kind", Rules{Kind: "gauge"}, i16, "kind", "E0215"},
		{"rate of no counter", Rules{MaxRate: 1}, i16, "max_rate", "E0215"},
		{"negative rate", Rules{Kind: "counter", MaxRate: -1}, i16, "max_rate", "E0215"},
		{"round", Rules{Round: ptr(99)}, i16, "round", "E0216"},
		{"bits beyond", Rules{Bits: "8..16"}, i16, "bits", "E0218"},
		{"bits backwards", Rules{Bits: "7..4"}, i16, "bits", "E0218"},
		{"bits of a float", Rules{Bits: "1"}, f32, "bits", "E0218"},
		{"invalid name", Rules{Invalid: []any{int64(1), "sunspecs"}}, i16, "invalid[1]", "E0213"},
		{"invalid too wide", Rules{Invalid: "0x10000"}, i16, "invalid", "E0213"},
		{"enum value", Rules{Enum: map[string]any{"0": []any{}}}, i16, "enum.0", "E0212"},
		{"enum twice", Rules{Enum: map[string]any{"16": "a", "0x10": "b"}}, i16, "enum.16", "E0212"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			c.rules.Validate(c.raw, func(p conf.Problem) { got = append(got, p.Key+" "+p.Code) })
			if len(got) != 1 || got[0] != c.key+" "+c.code {
				t.Errorf("problems %q, want %s %s", got, c.key, c.code)
			}
			if _, err := NewPipeline(c.rules, c.raw); err == nil || !strings.Contains(err.Error(), c.key) {
				t.Errorf("NewPipeline: %v does not name %s", err, c.key)
			}
		})
	}
}

// FuzzPipelineRoundTrip: what Invert makes of a shown value shows the same.
func FuzzPipelineRoundTrip(f *testing.F) {
	f.Add(int16(714), int8(1), int16(0))
	f.Add(int16(-32768), int8(3), int16(-400))
	f.Fuzz(func(t *testing.T, raw int16, places int8, offset int16) {
		scale := math.Pow10(-int(places&7) + 2)
		p, err := NewPipeline(Rules{Scale: &scale, Offset: float64(offset) / 10}, i16)
		if err != nil {
			t.Fatal(err)
		}
		v := p.Value(IntValue(int64(raw)), 0)
		back, err := p.Invert(v, 0)
		if err != nil || back != IntValue(int64(raw)) {
			t.Fatalf("raw %d shows %s, which writes %s (%v)", raw, v, back, err)
		}
	})
}
