package drivers

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"testing"
)

func TestLinearPrintsDecimals(t *testing.T) {
	for _, c := range []struct {
		raw           Value
		scale, offset float64
		shift         int
		want          string
	}{
		{IntValue(714), 0.1, 0, 0, "71.4"},
		{IntValue(3), 0.1, 0, 0, "0.3"}, // 3*0.1 is 0.30000000000000004
		{UintValue(65535), 0.001, 0, 0, "65.535"},
		{IntValue(-55), 0.1, 0, 0, "-5.5"},
		{IntValue(1100), 0.1, -273.15, 0, "-163.15"},
		{IntValue(10), 0.1, 0, 0, "1"},
		{IntValue(7), 1, 0, 0, "7"},
		{IntValue(7), 10, 3, 0, "73"},
		{IntValue(math.MaxInt64), 1, 0, 0, "9223372036854775807"},
		{UintValue(math.MaxUint64), 1, 0, 0, "18446744073709551615"},
		{IntValue(math.MaxInt64), 2, 0, 0, "18446744073709551614"}, // exact through the slow path
		{UintValue(math.MaxUint64), 0.1, 0, 0, "1844674407370955300"},
		{IntValue(math.MaxInt64), 100, 0, 0, "922337203685477600000"},
		{UintValue(1<<53 + 1), 1, 1, 0, "9007199254740994"},
		{Float32Value(2201), 0.1, 0, 0, "220.1"},
		{Float32Value(231.42), 10, 0, 0, "2314.2"},
		{FloatValue(0.7), 0.1, 0, 0, "0.07"},
		{IntValue(4123), 1, 0, -2, "41.23"}, // SunSpec scale factor
		{IntValue(4123), 1, 0, 3, "4123000"},
		{IntValue(5), 0.5, 0.25, 0, "2.75"},
		{IntValue(1), 1e-30, 0, 0, "1e-30"},
		{BoolValue(true), 0.1, 1, 0, "true"},
		{StringValue("x"), 0.1, 1, 0, `"x"`},
		{Value{}, 0.1, 1, 0, "null"},
	} {
		got := string(newLinear(c.scale, c.offset).apply(c.raw, c.shift).AppendJSON(nil))
		if got != c.want {
			t.Errorf("%s × %v + %v (10^%d) = %s, want %s", c.raw, c.scale, c.offset, c.shift, got, c.want)
		}
	}
}

// TestLinearIsCorrectlyRounded compares with exact rationals.
func TestLinearIsCorrectlyRounded(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		raw := int64(r.Uint64()) >> r.IntN(64)
		scale := float64(r.IntN(2000)-1000) / math.Pow10(r.IntN(6))
		offset := float64(r.IntN(2000)-1000) / math.Pow10(r.IntN(4))
		if scale == 0 {
			continue
		}
		got, ok := newLinear(scale, offset).apply(IntValue(raw), 0).Float()
		if !ok {
			t.Fatalf("%d × %v + %v is no number", raw, scale, offset)
		}
		exact := new(big.Rat).SetInt64(raw)
		exact.Mul(exact, decimalRat(t, scale)).Add(exact, decimalRat(t, offset))
		if want, _ := exact.Float64(); got != want {
			t.Fatalf("%d × %v + %v = %v, want %v", raw, scale, offset, got, want)
		}
	}
}

func decimalRat(t *testing.T, f float64) *big.Rat {
	r, ok := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64))
	if !ok {
		t.Fatalf("%v", f)
	}
	return r
}

func TestRoundTo(t *testing.T) {
	for _, c := range []struct {
		v      Value
		places int
		want   string
	}{
		{FloatValue(2.675), 2, "2.68"}, // the float is 2.67499999…, the digits are 2.675
		{FloatValue(-2.675), 2, "-2.68"},
		{FloatValue(71.45), 1, "71.5"},
		{FloatValue(71.4), 0, "71"},
		{Float32Value(231.42), 1, "231.4"},
		{IntValue(1250), -2, "1300"},
		{IntValue(-1250), -2, "-1300"},
		{IntValue(7), 3, "7"},
		{FloatValue(1e-30), 2, "0"},
		{FloatValue(0.005), 2, "0.01"},
		{BoolValue(true), 1, "true"},
		{StringValue("a"), 1, `"a"`},
	} {
		if got := string(roundTo(c.v, c.places).AppendJSON(nil)); got != c.want {
			t.Errorf("%s to %d places: %s, want %s", c.v, c.places, got, c.want)
		}
	}
}

func FuzzDecimal(f *testing.F) {
	f.Add(71.4)
	f.Add(-1e-300)
	f.Add(math.MaxFloat64)
	f.Fuzz(func(t *testing.T, x float64) {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return
		}
		d := decimalOf(x, 64)
		back, ok := parseDecimal(strconv.FormatInt(d.coef, 10), d.exp).Float()
		if !ok || back != x {
			t.Fatalf("%v became %dE%d, that is %v", x, d.coef, d.exp, back)
		}
	})
}
