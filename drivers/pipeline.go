package drivers

import (
	"math"
	"math/big"
	"strings"
	"time"

	"fieldgate/buffer/clock"
)

// Rules are the keys of a tag that say how a raw value becomes a value. They
// are the same for every driver.
type Rules struct {
	Scale     *float64       // nil: 1
	Offset    float64        //
	Bits      string         // "3" or "4..7" of the raw pattern
	Enum      map[string]any // value -> text, number or true/false
	Invalid   any            // raw values that mean "no value": one or a list of numbers, "0x8000", "sunspec", "ff", "7fff"
	OnInvalid string         // bad (default) | drop | hold
	Range     []float64      // [min, max] of the scaled value; outside is bad, never clamped
	Kind      string         // "" | counter
	MaxRate   float64        // of a counter: how much it may rise per second; 0: any
	Round     *int           // decimal places
}

// RawType says what a raw value can be.
type RawType struct {
	Bits   int  // width of an integer or float, 1 for a boolean; 0 for a text or a number read from a text
	Signed bool //
	Float  bool // IEEE 754 of 16, 32 or 64 bits
	Text   bool //
}

// counterConfirm is how many reads in a row must show a counter that fell, or
// that rose too fast, before that is believed: one such read is a glitch or a
// reset answer, and would be booked as energy.
const counterConfirm = 2

// Pipeline turns raw values of one tag into samples, in the order: invalid
// list, bits, scale and offset, range, counter check, round, enum. It
// remembers the last good value for `on_invalid = "hold"` and for counters, so
// there is one per tag and it is used by one goroutine.
type Pipeline struct {
	raw      RawType
	invalid  []invalidTest
	bits     *bitField
	linear   linear
	lo, hi   float64
	ranged   bool
	onBad    string
	counter  bool
	round    *int
	enum     *enum
	last     Sample // the last good one
	haveLast bool
	falls    int   // reads in a row below last
	fallen   Value // the lowest of them

	maxRate float64
	jumped  Sample // what rose too fast; null: nothing
}

// NewPipeline compiles rules; Validate reports what would be wrong with them,
// and the first such problem is the error here.
func NewPipeline(r Rules, t RawType) (*Pipeline, error) {
	p, problems := compile(r, t)
	if len(problems) > 0 {
		return nil, problemError(problems[0])
	}
	return p, nil
}

// Apply turns a raw value read at a time into a sample without device and tag
// names. keep is false where nothing is to be reported: `on_invalid = "drop"`,
// or a counter's fall that is not confirmed yet.
func (p *Pipeline) Apply(raw Value, at clock.Stamp) (s Sample, keep bool) {
	return p.ApplyShift(raw, 0, at)
}

// ApplyShift is Apply with one more power of ten on the scale (scale_tag).
func (p *Pipeline) ApplyShift(raw Value, shift int, at clock.Stamp) (s Sample, keep bool) {
	v, reason := p.value(raw, shift)
	if reason != "" {
		return p.reject(reason, at)
	}
	if p.counter && !p.believes(v, at) {
		return Sample{}, false
	}
	s = Sample{Value: v, Quality: Good, Time: at}
	if p.round != nil {
		s.Value = roundTo(v, *p.round)
	}
	if p.enum != nil {
		label, known := p.enum.label(s.Value)
		if known {
			s.Value = label
		} else { // a state the file does not name: the number is better than nothing
			s.Quality, s.Reason = Uncertain, ReasonRange
		}
	}
	p.last, p.haveLast = s, true
	return s, true
}

// Value is what a raw value means, without the pipeline's memory: what a write
// will show. Null where it is invalid or out of range.
func (p *Pipeline) Value(raw Value, shift int) Value {
	v, reason := p.value(raw, shift)
	if reason != "" {
		return Value{}
	}
	if p.round != nil {
		v = roundTo(v, *p.round)
	}
	if p.enum != nil {
		if label, ok := p.enum.label(v); ok {
			return label
		}
	}
	return v
}

// value runs the stages that need no memory; reason is set where they refuse.
func (p *Pipeline) value(raw Value, shift int) (v Value, reason string) {
	if raw.IsNull() { // NaN and infinities are Null already
		return Value{}, ReasonInvalid
	}
	for _, test := range p.invalid {
		if test.match(raw, p.raw) {
			return Value{}, ReasonInvalid
		}
	}
	if p.bits != nil {
		raw = p.bits.pick(pattern(raw, p.raw))
	}
	v = p.linear.apply(raw, shift)
	if v.IsNull() {
		return Value{}, ReasonRange // scaled out of what a float can hold
	}
	if f, ok := v.Float(); p.ranged && ok && (f < p.lo || f > p.hi) {
		return Value{}, ReasonRange
	}
	return v, ""
}

// reject is the sample for a value that was read but cannot be used.
func (p *Pipeline) reject(reason string, at clock.Stamp) (Sample, bool) {
	switch p.onBad {
	case "drop":
		return Sample{}, false
	case "hold":
		if p.haveLast { // with the time it was read: never an old value as new
			s := p.last
			s.Quality, s.Reason = Uncertain, reason
			return s, true
		}
	}
	return Sample{Quality: Bad, Reason: reason, Time: at}, true
}

// believes reports whether a counter's value is to be taken.
func (p *Pipeline) believes(v Value, at clock.Stamp) bool {
	if !p.rises(v) {
		return false
	}
	if p.maxRate > 0 && p.haveLast && p.tooFast(p.last, v, at) && (p.jumped.Value.IsNull() || less(v, p.jumped.Value) || p.tooFast(p.jumped, v, at)) {
		p.jumped = Sample{Value: v, Time: at}
		return false
	}
	p.jumped = Sample{}
	return true
}

// rateLeast is the shortest time over which a rise is judged: a counter moves in
// steps.
const rateLeast = time.Second

// tooFast reports a rise beyond MaxRate.
func (p *Pipeline) tooFast(from Sample, v Value, at clock.Stamp) bool {
	a, _ := from.Value.Float()
	b, _ := v.Float()
	return b-a > p.maxRate*max(at.Sub(from.Time), rateLeast).Seconds()
}

// rises reports whether a counter's value is not below the last one, or was so
// often enough.
func (p *Pipeline) rises(v Value) bool {
	last := p.last.Value
	if !p.haveLast || !less(v, last) {
		p.falls = 0
		return true
	}
	if p.falls == 0 || less(v, p.fallen) {
		p.falls, p.fallen = 1, v
		return false
	}
	p.falls++
	if p.falls < counterConfirm {
		return false
	}
	p.falls = 0
	return true
}

// less compares numbers, integers exactly.
func less(a, b Value) bool {
	if x, ok := a.Int(); ok {
		if y, ok := b.Int(); ok {
			return x < y
		}
	}
	if x, ok := a.Uint(); ok {
		if y, ok := b.Uint(); ok {
			return x < y
		}
	}
	x, _ := a.Float()
	y, _ := b.Float()
	return x < y
}

// Invert turns a value that somebody wants into the raw value that must be
// written, rounded to the raw type (halves away from zero, never truncated).
// The error is a *CommandError. shift is that of ApplyShift.
func (p *Pipeline) Invert(v Value, shift int) (Value, error) {
	if p.raw.Text {
		if text, ok := v.Text(); ok {
			return StringValue(text), nil
		}
		return StringValue(v.String()), nil
	}
	if p.enum != nil {
		if key, ok := p.enum.key(v); ok {
			v = key
		} else if _, isText := v.Text(); isText {
			return Value{}, Refuse(CodeType, "%q is not one of %s", v.String(), p.enum.names())
		}
	}
	if p.width() == 1 {
		b, ok := AsBool(v)
		if !ok {
			return Value{}, Refuse(CodeType, "%s is not true or false", v)
		}
		return BoolValue(b), nil
	}
	if b, ok := v.Bool(); ok { // a switch on a number register
		v = IntValue(0)
		if b {
			v = IntValue(1)
		}
	}
	want, ok := ratOf(v)
	if !ok {
		return Value{}, Refuse(CodeType, "%q is not a number", v.String())
	}
	scale := decimal{p.linear.scale.coef, p.linear.scale.exp + shift}
	want.Sub(want, p.linear.offset.rat()).Quo(want, scale.rat())
	if p.raw.Float {
		return p.invertFloat(v, want)
	}
	return p.invertInt(v, roundHalfAway(want))
}

// width is the number of bits that a write sets.
func (p *Pipeline) width() int {
	if p.bits != nil {
		return p.bits.hi - p.bits.lo + 1
	}
	return p.raw.Bits
}

func (p *Pipeline) invertFloat(v Value, want *big.Rat) (Value, error) {
	f, _ := want.Float64()
	limit := math.MaxFloat64
	switch p.raw.Bits {
	case 16:
		limit = 65504
	case 32:
		limit = math.MaxFloat32
	}
	if math.Abs(f) > limit || math.IsInf(f, 0) {
		return Value{}, Refuse(CodeType, "%s does not fit into a float of %d bits", v, p.raw.Bits)
	}
	if p.raw.Bits == 32 {
		return Float32Value(float32(f)), nil
	}
	return FloatValue(f), nil
}

func (p *Pipeline) invertInt(v Value, raw *big.Int) (Value, error) {
	width := p.width()
	if width == 0 {
		width = 64
	}
	lo, hi := new(big.Int), new(big.Int).Lsh(big.NewInt(1), uint(width))
	if p.raw.Signed && p.bits == nil {
		hi.Rsh(hi, 1)
		lo.Neg(hi)
	}
	hi.Sub(hi, big.NewInt(1))
	if raw.Cmp(lo) < 0 || raw.Cmp(hi) > 0 {
		return Value{}, Refuse(CodeType, "%s does not fit: the register takes raw %s to %s, this needs %s", v, lo, hi, raw)
	}
	return valueOfBig(raw), nil
}

// AsBool reads a switch: true, false, 0, 1, on, off, yes, no in any case.
func AsBool(v Value) (b, ok bool) {
	if b, ok := v.Bool(); ok {
		return b, true
	}
	if f, ok := v.Float(); ok {
		return f == 1, f == 0 || f == 1
	}
	text, _ := v.Text()
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "on", "yes", "1":
		return true, true
	case "false", "off", "no", "0":
		return false, true
	}
	return false, false
}

// Bits is the part of the raw pattern that the pipeline takes; ok is false
// where it takes all of it.
func (p *Pipeline) Bits() (lo, hi int, ok bool) {
	if p.bits == nil {
		return 0, 0, false
	}
	return p.bits.lo, p.bits.hi, true
}
