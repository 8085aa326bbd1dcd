package modbus

import (
	"fmt"
	"strings"
)

// Order is how the bytes of a value stand in its registers. The zero Order is
// ABCD, as the Modbus specification has it for one register: big endian.
type Order struct {
	Words  bool // registers last to first: CDAB
	Bytes  bool // the two bytes of each register swapped: BADC
	Halves bool // 64 bit: the two halves of 32 bits swapped: EFGHABCD
}

// orderNames lists the orders by their letters. Four letters apply to every
// width; eight letters name a 64-bit order, two a 16-bit one.
var orderNames = map[string]Order{
	"ABCD": {}, "CDAB": {Words: true}, "BADC": {Bytes: true}, "DCBA": {Words: true, Bytes: true},
	"ABCDEFGH": {}, "GHEFCDAB": {Words: true}, "BADCFEHG": {Bytes: true}, "HGFEDCBA": {Words: true, Bytes: true},
	"EFGHABCD": {Halves: true}, "CDABGHEF": {Words: true, Halves: true},
	"FEHGBADC": {Bytes: true, Halves: true}, "DCBAHGFE": {Words: true, Bytes: true, Halves: true},
	"AB": {}, "BA": {Bytes: true},
}

// ParseOrder reads an order by its letters; an empty text is ABCD.
func ParseOrder(text string) (Order, error) {
	if text == "" {
		return Order{}, nil
	}
	if o, ok := orderNames[strings.ToUpper(text)]; ok {
		return o, nil
	}
	return Order{}, &RegError{Code: "E0205", Part: text, Text: fmt.Sprintf("unknown order %q", text), Help: "use ABCD, CDAB, BADC or DCBA"}
}

// String is the order with four letters, or eight where halves are swapped.
func (o Order) String() string {
	if o.Halves {
		return o.letters(64)
	}
	return o.letters(32)
}

// letters names the order for a value of so many bits by the way the bytes of
// ABCDEFGH come out, so that name and meaning cannot differ.
func (o Order) letters(bits int) string {
	n := min(max(bits/8, 2), 8)
	return string(o.arrange([]byte("ABCDEFGH"[:n])))
}

// arrange reorders the bytes of a value between the order on the wire and big
// endian. It is its own inverse, works in place and returns b. The number of
// bytes is even.
func (o Order) arrange(b []byte) []byte {
	if o.Words {
		for i, j := 0, len(b)-2; i < j; i, j = i+2, j-2 {
			b[i], b[i+1], b[j], b[j+1] = b[j], b[j+1], b[i], b[i+1]
		}
	}
	if o.Bytes {
		for i := 0; i+1 < len(b); i += 2 {
			b[i], b[i+1] = b[i+1], b[i]
		}
	}
	if o.Halves && len(b) == 8 {
		for i := range 4 {
			b[i], b[i+4] = b[i+4], b[i]
		}
	}
	return b
}

// fits says whether an order written at a tag means anything for a type.
func (o Order) fits(text string, t Type) string {
	switch {
	case len(text) == 8 && t.bits != 64:
		return fmt.Sprintf("order %s is for 64-bit values, %s has %d bits", text, t, t.bits)
	case len(text) == 2 && t.Registers() != 1:
		return fmt.Sprintf("order %s is for one register, %s takes %d", text, t, t.Registers())
	case t.isText() && (o.Words || o.Halves):
		return fmt.Sprintf("order %s: a text can only have its bytes swapped, BADC", text)
	case t.form == formBit:
		return "a bit has no order"
	}
	return ""
}
