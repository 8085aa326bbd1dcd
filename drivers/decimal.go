package drivers

import (
	"math/big"
	"math/bits"
	"strconv"
)

// decimal is coef × 10^exp. People write scales as decimals (0.1, 0.001), and
// 714 × 0.1 has to print 71.4: so scaling is done in decimals and rounded to a
// float once, at the end.
type decimal struct {
	coef int64
	exp  int
}

// exactInt is the largest integer up to which every one has its own float64.
const exactInt = 1 << 53

// pow10 holds the powers of ten that int64 can.
var pow10 = func() (p [19]int64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// decimalOf takes the shortest digits that read back to f, which are those
// that a person typed or would read. They are at most 17, so they fit.
func decimalOf(f float64, bitSize int) decimal {
	var buf [32]byte
	text := strconv.AppendFloat(buf[:0], f, 'e', -1, bitSize)
	var d decimal
	neg, frac := false, 0
	for i, c := range text {
		switch {
		case c == '-' && i == 0:
			neg = true
		case c >= '0' && c <= '9':
			d.coef = d.coef*10 + int64(c-'0')
			frac++
		case c == 'e':
			e, _ := strconv.Atoi(string(text[i+1:])) // the exponent AppendFloat wrote
			d.exp = e - (frac - 1)
			if neg {
				d.coef = -d.coef
			}
			return d.trim()
		}
	}
	return decimal{}
}

// trim moves trailing zeros into the exponent.
func (d decimal) trim() decimal {
	if d.coef == 0 {
		return decimal{}
	}
	for d.coef%10 == 0 {
		d.coef /= 10
		d.exp++
	}
	return d
}

// decimalFrom gives a number's decimal; ok is false for texts, booleans, Null
// and for unsigned integers beyond int64.
func decimalFrom(v Value) (d decimal, ok bool) {
	switch v.kind {
	case Int, Uint:
		i, fits := v.Int()
		return decimal{coef: i}, fits
	case Float:
		f, _ := v.Float()
		return decimalOf(f, 64), true
	case Float32:
		f, _ := v.Float()
		return decimalOf(f, 32), true
	}
	return decimal{}, false
}

// mul64 is a×b where it fits.
func mul64(a, b int64) (int64, bool) {
	neg := (a < 0) != (b < 0)
	hi, lo := bits.Mul64(abs64(a), abs64(b))
	if hi != 0 || lo > 1<<63-1 {
		return 0, false
	}
	if neg {
		return -int64(lo), true
	}
	return int64(lo), true
}

func abs64(a int64) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}

// scaleUp is d with its exponent lowered to exp, where that fits.
func (d decimal) scaleUp(exp int) (decimal, bool) {
	by := d.exp - exp
	if by == 0 || d.coef == 0 {
		return decimal{d.coef, exp}, true
	}
	if by < 0 || by >= len(pow10) {
		return d, false
	}
	c, ok := mul64(d.coef, pow10[by])
	return decimal{c, exp}, ok
}

// mulAdd is a×s + o where all steps fit into int64.
func mulAdd(a, s, o decimal) (decimal, bool) {
	c, ok := mul64(a.coef, s.coef)
	if !ok {
		return decimal{}, false
	}
	p := decimal{c, a.exp + s.exp}
	if o.coef == 0 {
		return p, true
	}
	exp := min(p.exp, o.exp)
	p, ok1 := p.scaleUp(exp)
	o, ok2 := o.scaleUp(exp)
	sum := p.coef + o.coef
	overflow := (sum > p.coef) != (o.coef > 0)
	return decimal{sum, exp}, ok1 && ok2 && !overflow
}

// value is d as a Value: an integer where whole says that all its parts were.
func (d decimal) value(whole bool) Value {
	if whole && d.exp >= 0 {
		if i, ok := d.scaleUp(0); ok {
			return IntValue(i.coef)
		}
	}
	// Both operands exact and one operation: correctly rounded.
	if c := abs64(d.coef); c <= exactInt && d.exp >= -22 && d.exp <= 22 {
		if d.exp < 0 {
			return FloatValue(float64(d.coef) / floatPow10(-d.exp))
		}
		return FloatValue(float64(d.coef) * floatPow10(d.exp))
	}
	return parseDecimal(strconv.FormatInt(d.coef, 10), d.exp)
}

// floatPow10 is 10^n for 0 ≤ n ≤ 22, all of them exact in a float64.
func floatPow10(n int) float64 {
	if n < len(pow10) {
		return float64(pow10[n])
	}
	return float64(pow10[18]) * float64(pow10[n-18])
}

// parseDecimal is the float nearest to digits × 10^exp; Null beyond its range.
func parseDecimal(digits string, exp int) Value {
	f, err := strconv.ParseFloat(digits+"e"+strconv.Itoa(exp), 64)
	if err != nil {
		return Value{}
	}
	return FloatValue(f)
}

// big is d for arithmetic that does not fit into int64.
func (d decimal) rat() *big.Rat {
	r := new(big.Rat).SetInt64(d.coef)
	p := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(d.exp, -d.exp))), nil)
	if d.exp < 0 {
		return r.Quo(r, new(big.Rat).SetInt(p))
	}
	return r.Mul(r, new(big.Rat).SetInt(p))
}

// ratOf is a number's exact decimal.
func ratOf(v Value) (*big.Rat, bool) {
	if d, ok := decimalFrom(v); ok {
		return d.rat(), true
	}
	if v.kind == Uint {
		return new(big.Rat).SetInt(new(big.Int).SetUint64(v.bits)), true
	}
	return nil, false
}

// roundHalfAway is the integer nearest to r; halves go away from zero.
func roundHalfAway(r *big.Rat) *big.Int {
	num, den := new(big.Int).Abs(r.Num()), r.Denom()
	num.Mul(num, big.NewInt(2)).Add(num, den)
	q := num.Quo(num, new(big.Int).Mul(den, big.NewInt(2)))
	if r.Sign() < 0 {
		q.Neg(q)
	}
	return q
}

// valueOfBig is an integer as a Value: Int or Uint where it fits, else Float.
func valueOfBig(i *big.Int) Value {
	switch {
	case i.IsInt64():
		return IntValue(i.Int64())
	case i.IsUint64():
		return UintValue(i.Uint64())
	}
	return parseDecimal(i.String(), 0)
}

// linear is value = raw × scale + offset.
type linear struct{ scale, offset decimal }

func newLinear(scale, offset float64) linear {
	return linear{decimalOf(scale, 64), decimalOf(offset, 64)}
}

// apply scales a number; shift is one more power of ten (scale_tag). Texts,
// booleans and Null come back as they are. An integer stays an integer where
// scale and offset are whole.
func (l linear) apply(raw Value, shift int) Value {
	scale := decimal{l.scale.coef, l.scale.exp + shift}
	if scale == (decimal{coef: 1}) && l.offset.coef == 0 {
		return raw
	}
	whole := raw.kind == Int || raw.kind == Uint
	whole = whole && scale.exp >= 0 && l.offset.exp >= 0
	d, ok := decimalFrom(raw)
	if ok {
		if sum, fits := mulAdd(d, scale, l.offset); fits {
			return sum.value(whole)
		}
	} else if raw.kind != Uint {
		return raw
	}
	r, _ := ratOf(raw)
	r.Mul(r, scale.rat()).Add(r, l.offset.rat())
	if whole {
		return valueOfBig(r.Num())
	}
	f, _ := r.Float64()
	return FloatValue(f)
}

// roundTo rounds a number to decimal places, halves away from zero, by the
// digits that are printed: 2.675 to two places is 2.68. Negative places round
// to tens, hundreds and so on.
func roundTo(v Value, places int) Value {
	d, ok := decimalFrom(v)
	cut := -d.exp - places
	if !ok || cut <= 0 {
		return v
	}
	if cut >= len(pow10) {
		d = decimal{}
	} else {
		unit := pow10[cut]
		q, rest := d.coef/unit, d.coef%unit
		if abs64(rest)*2 >= uint64(unit) {
			if d.coef < 0 {
				q--
			} else {
				q++
			}
		}
		d = decimal{q, -places}
	}
	return d.value(v.kind == Int || v.kind == Uint)
}
