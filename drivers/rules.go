package drivers

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"fieldgate/configs/conf"
)

// Validate reports every problem of the rules under their own keys.
func (r Rules) Validate(t RawType, bad conf.Bad) {
	_, problems := compile(r, t)
	for _, p := range problems {
		bad(p)
	}
}

func problemError(p conf.Problem) error {
	text := p.Text
	if p.Key != "" {
		text = p.Key + ": " + text
	}
	if p.Help != "" {
		text += "; " + p.Help
	}
	return errors.New(text)
}

// compile makes a pipeline and lists what is wrong with the rules.
func compile(r Rules, t RawType) (*Pipeline, []conf.Problem) {
	var problems []conf.Problem
	bad := func(key, code, help, format string, args ...any) {
		problems = append(problems, conf.Problem{Key: key, Code: code, Help: help, Text: fmt.Sprintf(format, args...)})
	}
	p := &Pipeline{raw: t, onBad: r.OnInvalid, round: r.Round, counter: r.Kind == "counter", maxRate: r.MaxRate}
	scale := 1.0
	if r.Scale != nil {
		scale = *r.Scale
	}
	if scale == 0 || math.IsNaN(scale) || math.IsInf(scale, 0) {
		bad("scale", "E0210", "leave the key out for no scaling", "scale must be a number other than 0")
		scale = 1
	}
	if math.IsNaN(r.Offset) || math.IsInf(r.Offset, 0) {
		bad("offset", "E0210", "", "offset must be a number")
		r.Offset = 0
	}
	if t.Text && (r.Scale != nil || r.Offset != 0) {
		bad("scale", "E0210", "remove scale and offset", "a text cannot be scaled")
	}
	p.linear = newLinear(scale, r.Offset)
	if n := len(r.Range); n != 0 {
		if n != 2 || !(r.Range[0] < r.Range[1]) {
			bad("range", "E0211", "write for example range = [-20, 150]", "range needs two numbers, the smaller one first")
		} else {
			p.lo, p.hi, p.ranged = r.Range[0], r.Range[1], true
		}
	}
	if !slices.Contains([]string{"", "bad", "drop", "hold"}, r.OnInvalid) {
		bad("on_invalid", "E0214", `use "bad", "drop" or "hold"`, "unknown on_invalid %q", r.OnInvalid)
	}
	if r.Kind != "" && r.Kind != "counter" {
		bad("kind", "E0215", `use "counter" or leave the key out`, "unknown kind %q", r.Kind)
	}
	if p.counter && t.Text {
		bad("kind", "E0215", "", "a text cannot be a counter")
	}
	if r.MaxRate != 0 && (!p.counter || !(r.MaxRate > 0) || math.IsInf(r.MaxRate, 0)) {
		bad("max_rate", "E0215", `it stands beside kind = "counter"`, "max_rate is how much a counter may rise per second, a number above 0")
	}
	if r.Round != nil && (*r.Round < -9 || *r.Round > 15) {
		bad("round", "E0216", "", "round takes -9 to 15 decimal places, not %d", *r.Round)
	}
	compileBits(p, r, bad)
	compileInvalid(p, r, bad)
	if len(r.Enum) > 0 {
		p.enum = compileEnum(r.Enum, bad)
	}
	return p, problems
}

type badFunc func(key, code, help, format string, args ...any)

// bitField is a part of the raw pattern.
type bitField struct{ lo, hi int }

func compileBits(p *Pipeline, r Rules, bad badFunc) {
	if r.Bits == "" {
		return
	}
	loText, hiText, two := strings.Cut(r.Bits, "..")
	if !two {
		hiText = loText
	}
	lo, err1 := strconv.Atoi(strings.TrimSpace(loText))
	hi, err2 := strconv.Atoi(strings.TrimSpace(hiText))
	width := p.raw.Bits
	switch {
	case p.raw.Text || p.raw.Float || width <= 1:
		bad("bits", "E0218", "", "bits can only be taken from an integer register")
	case err1 != nil || err2 != nil || lo < 0 || hi < lo:
		bad("bits", "E0218", `write for example bits = "4..7"`, "%q is not a range of bits", r.Bits)
	case hi >= width:
		bad("bits", "E0218", fmt.Sprintf("the highest is %d", width-1), "bit %d is outside of a value of %d bits", hi, width)
	default:
		p.bits = &bitField{lo, hi}
	}
}

// pick takes the field out of a pattern: one bit is a boolean.
func (b *bitField) pick(pattern uint64) Value {
	if b.lo == b.hi {
		return BoolValue(pattern>>b.lo&1 == 1)
	}
	return UintValue(pattern >> b.lo & (1<<(b.hi-b.lo+1) - 1))
}

// pattern is the raw value as the bits on the wire.
func pattern(v Value, t RawType) uint64 {
	if f, ok := v.Float(); ok && t.Float {
		if t.Bits == 32 {
			return uint64(math.Float32bits(float32(f)))
		}
		return math.Float64bits(f)
	}
	switch v.kind {
	case Bool, Int, Uint:
		if t.Bits > 0 && t.Bits < 64 {
			return v.bits & (1<<t.Bits - 1)
		}
		return v.bits
	}
	return 0
}

// invalidTest is one entry of the invalid list. Integers match by value or by
// bit pattern, so that 0x8000 and -32768 are the same for an int16.
type invalidTest struct {
	isBits bool
	bits   uint64
	isNum  bool
	number float64
	text   string
}

func (t invalidTest) match(raw Value, rt RawType) bool {
	if text, ok := raw.Text(); ok {
		return text == t.text
	}
	if t.isBits && rt.Bits > 1 && pattern(raw, rt) == t.bits {
		return true
	}
	f, ok := raw.Float()
	if !ok || !t.isNum {
		return false
	}
	if rt.Float && rt.Bits == 32 {
		return float32(f) == float32(t.number)
	}
	return f == t.number && !(rt.Bits > 53 && t.isBits) // above 2^53 only the pattern is exact
}

func compileInvalid(p *Pipeline, r Rules, bad badFunc) {
	list, ok := r.Invalid.([]any)
	if !ok && r.Invalid != nil {
		list = []any{r.Invalid}
	}
	for i, entry := range list {
		key := "invalid"
		if ok {
			key = fmt.Sprintf("invalid[%d]", i)
		}
		tests, problem := invalidTests(entry, p.raw, p.counter)
		if problem != "" {
			bad(key, "E0213", `use raw numbers, "0x8000", "sunspec", "ff" or "7fff"`, "%s", problem)
		}
		p.invalid = append(p.invalid, tests...)
	}
}

// invalidTests compiles one entry of the invalid list.
func invalidTests(entry any, t RawType, counter bool) ([]invalidTest, string) {
	mask := uint64(math.MaxUint64)
	if t.Bits > 0 && t.Bits < 64 {
		mask = 1<<t.Bits - 1
	}
	switch x := entry.(type) {
	case int64:
		fits := x >= 0 && uint64(x) <= mask || x < 0 && t.Signed && uint64(-x) <= mask/2+1
		return []invalidTest{{isBits: !t.Float && fits, bits: uint64(x) & mask, isNum: true, number: float64(x), text: strconv.FormatInt(x, 10)}}, ""
	case float64:
		return []invalidTest{{isNum: true, number: x, text: strconv.FormatFloat(x, 'g', -1, 64)}}, ""
	case string:
		if t.Text {
			return []invalidTest{{text: x}}, ""
		}
		return invalidName(x, t, mask, counter)
	}
	return nil, fmt.Sprintf("%v cannot be a raw value", entry)
}

func invalidName(name string, t RawType, mask uint64, counter bool) ([]invalidTest, string) {
	all := invalidTest{isBits: true, bits: mask}
	top := mask/2 + 1
	switch strings.ToLower(name) {
	case "ff":
		return []invalidTest{all}, ""
	case "7fff":
		return []invalidTest{{isBits: true, bits: mask / 2}}, ""
	case "sunspec": // SunSpec information model: NaN is Null already
		switch {
		case t.Float || t.Bits <= 1:
			return nil, ""
		case t.Signed:
			return []invalidTest{{isBits: true, bits: top}}, ""
		case counter && t.Bits >= 32: // acc32, acc64: 0 is "not accumulated"
			return []invalidTest{all, {isBits: true, bits: 0}}, ""
		}
		return []invalidTest{all}, ""
	}
	n, err := strconv.ParseUint(name, 0, 64)
	if err != nil || n > mask {
		if t.Bits == 0 { // a number out of a text: "----", "OL"
			return []invalidTest{{text: name}}, ""
		}
		return nil, fmt.Sprintf("%q is no raw value of %d bits", name, t.Bits)
	}
	return []invalidTest{{isBits: true, bits: n, isNum: !t.Float, number: float64(n)}}, ""
}
