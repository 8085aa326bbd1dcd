package modbus

import (
	"fmt"
	"strconv"
	"strings"
)

// Area is one of the four address spaces of a device (Modbus V1.1b3 §4.3).
type Area byte

// The areas, as their letters.
const (
	Coil     Area = 'c' // read and write bits: functions 1, 5, 15
	Discrete Area = 'd' // read-only bits: function 2
	Input    Area = 'i' // read-only registers: function 4
	Holding  Area = 'h' // read and write registers: functions 3, 6, 16
)

// Bits reports an area of single bits.
func (a Area) Bits() bool { return a == Coil || a == Discrete }

// Writable reports an area that can be written.
func (a Area) Writable() bool { return a == Coil || a == Holding }

// String is the word for people.
func (a Area) String() string {
	switch a {
	case Coil:
		return "coil"
	case Discrete:
		return "discrete input"
	case Input:
		return "input register"
	}
	return "holding register"
}

// digit is the first digit of a Modicon reference.
func (a Area) digit() byte {
	return map[Area]byte{Coil: '0', Discrete: '1', Input: '3', Holding: '4'}[a]
}

// readFunction is the function code that reads the area.
func (a Area) readFunction() byte {
	return map[Area]byte{Coil: 1, Discrete: 2, Holding: 3, Input: 4}[a]
}

// Register is a place in a device and what stands there.
type Register struct {
	Area  Area
	Addr  uint16 // zero based, as on the wire
	Bit   int    // of the value; -1: the whole value
	Type  Type
	Order Order
}

// RegError is what is wrong with the text of a register, and with which part.
type RegError struct {
	Code string // E02xx
	Part string // the piece at fault
	Text string
	Help string // the remedy, may be empty
}

// Error implements error.
func (e *RegError) Error() string {
	if e.Help == "" {
		return e.Text
	}
	return e.Text + "; " + e.Help
}

func regErrorf(code, part, help, format string, args ...any) *RegError {
	return &RegError{Code: code, Part: part, Help: help, Text: fmt.Sprintf(format, args...)}
}

// ParseReg reads the register grammar:
//
//	AREA ADDR [ "." BIT ] [ ":" TYPE ] [ "@" ORDER ]
//
// or a Modicon reference in the place of AREA ADDR. A register without a type
// is uint16, one with a bit is that bit, a coil is a bool. def is the order of
// values of more than 16 bits that name none themselves. The error is a
// *RegError.
func ParseReg(text string, def Order) (Register, error) {
	rest, orderText, hasOrder := strings.Cut(strings.TrimSpace(text), "@")
	rest, typeText, hasType := strings.Cut(rest, ":")
	place, bitText, hasBit := strings.Cut(rest, ".")
	r := Register{Bit: -1}
	var err error
	if r.Area, r.Addr, err = parsePlace(place); err != nil {
		return Register{}, err
	}
	r.Type = typeUint16
	if r.Area.Bits() {
		r.Type = typeBool
	}
	if hasType {
		if r.Type, err = ParseType(typeText); err != nil {
			return Register{}, err
		}
	}
	if r.Area.Bits() && r.Type.form != formBit {
		return Register{}, regErrorf("E0203", typeText, "leave the type out", "a %s is a single bit, it cannot be %s", r.Area, r.Type)
	}
	if hasBit {
		if r.Bit, err = parseBit(bitText, r); err != nil {
			return Register{}, err
		}
	}
	if r.Type.bits > 16 && !r.Type.isText() {
		r.Order = def
	}
	if hasOrder {
		if orderText == "" {
			return Register{}, regErrorf("E0205", "@", "use ABCD, CDAB, BADC or DCBA", "order is missing after @")
		}
		if r.Order, err = ParseOrder(orderText); err != nil {
			return Register{}, err
		}
		if problem := r.Order.fits(orderText, r.Type); problem != "" {
			return Register{}, regErrorf("E0205", orderText, "", "%s", problem)
		}
		if r.Type.Registers() == 1 {
			r.Order = Order{Bytes: r.Order.Bytes} // there are no words to swap
		}
	}
	if last := int(r.Addr) + r.count() - 1; last > 65535 {
		return Register{}, regErrorf("E0206", place, "", "%s at %s reaches to address %d; the last one is 65535", r.Type, place, last)
	}
	return r, nil
}

// parsePlace reads AREA ADDR or a Modicon reference.
func parsePlace(place string) (Area, uint16, error) {
	if place == "" {
		return 0, 0, regErrorf("E0201", "", "write for example h100:int16 or 40101:int16", "register is empty")
	}
	if c := place[0]; c >= '0' && c <= '9' {
		return parseModicon(place)
	}
	area := Area(place[0] | 0x20)
	switch area {
	case Coil, Discrete, Input, Holding:
	default:
		return 0, 0, regErrorf("E0202", place, "use c coil, d discrete input, i input register, h holding register", "unknown area in %q", place)
	}
	digits := place[1:]
	n, err := parseAddress(digits)
	if err != nil {
		return 0, 0, regErrorf("E0201", place, "write a decimal or 0x… number of 0 to 65535", "%q is not an address", digits)
	}
	if n > 65535 {
		return 0, 0, regErrorf("E0206", place, "", "address %d is beyond 65535", n)
	}
	return area, uint16(n), nil
}

// parseAddress reads decimal digits (leading zeros do not make them octal) or
// hex after 0x.
func parseAddress(digits string) (uint64, error) {
	if hex, ok := strings.CutPrefix(strings.ToLower(digits), "0x"); ok {
		return strconv.ParseUint(hex, 16, 32)
	}
	return strconv.ParseUint(digits, 10, 32)
}

var modiconAreas = map[byte]Area{'0': Coil, '1': Discrete, '3': Input, '4': Holding}

// parseModicon reads a reference of 5 or 6 digits, which counts from 1.
func parseModicon(place string) (Area, uint16, error) {
	n, err := strconv.ParseUint(place, 10, 32)
	if err != nil {
		return 0, 0, regErrorf("E0201", place, "write h100 (wire address) or 40101 (Modicon reference)", "%q is neither a register nor a Modicon reference", place)
	}
	area, known := modiconAreas[place[0]]
	if len(place) != 5 && len(place) != 6 || !known {
		return 0, 0, ambiguous(place, n)
	}
	number, _ := strconv.ParseUint(place[1:], 10, 32) // digits, as the whole is
	if number == 0 || number > 65536 {
		return 0, 0, regErrorf("E0206", place, fmt.Sprintf("the first is %c0001", place[0]), "Modicon reference %s: numbers count from 1 to 65536", place)
	}
	return area, uint16(number - 1), nil
}

// ambiguous shows both readings of plain digits: off by one is the commonest
// mistake in this field.
func ambiguous(place string, n uint64) error {
	if n > 65535 {
		return regErrorf("E0206", place, "", "%s is beyond the last address, 65535", place)
	}
	e := regErrorf("E0207", place, "", "%s can mean two registers", place)
	wire := Register{Area: Holding, Addr: uint16(n), Bit: -1, Type: typeUint16}
	e.Help = fmt.Sprintf("write h%d if %s is the wire address (%s, Modicon %s)", n, place, wire.Hex(), wire.Modicon())
	if n > 0 {
		doc := Register{Area: Holding, Addr: uint16(n - 1), Bit: -1, Type: typeUint16}
		e.Help += fmt.Sprintf(", or h%d if the manual counts from 1 (%s, Modicon %s)", n-1, doc.Hex(), doc.Modicon())
	}
	return e
}

func parseBit(text string, r Register) (int, error) {
	n, err := strconv.Atoi(text)
	switch {
	case r.Area.Bits():
		return 0, regErrorf("E0204", "."+text, "leave the bit out", "a %s is a single bit already", r.Area)
	case !r.Type.isInteger():
		return 0, regErrorf("E0204", "."+text, "", "single bits can only be taken from integers, not from %s", r.Type)
	case err != nil || n < 0 || strings.TrimLeft(text, "0123456789") != "":
		return 0, regErrorf("E0204", "."+text, "bits count from 0, the lowest", "%q is not a bit number", text)
	case n >= r.Type.bits:
		return 0, regErrorf("E0204", "."+text, fmt.Sprintf("the highest is %d", r.Type.bits-1), "bit %d is outside of %s", n, r.Type)
	}
	return n, nil
}

// count is how many registers or bits the value takes.
func (r Register) count() int {
	if r.Area.Bits() {
		return 1
	}
	return r.Type.Registers()
}

// end is the address after the last one.
func (r Register) end() int { return int(r.Addr) + r.count() }

// Wire is the short form with the wire address: h100.
func (r Register) Wire() string { return string(r.Area) + strconv.Itoa(int(r.Addr)) }

// Hex is the wire address in hex: 0x0064.
func (r Register) Hex() string { return fmt.Sprintf("0x%04X", r.Addr) }

// Modicon is the one-based reference: 40101, or 410001 where five digits do
// not suffice.
func (r Register) Modicon() string {
	width := 4
	if r.Addr >= 9999 {
		width = 5
	}
	return fmt.Sprintf("%c%0*d", r.Area.digit(), width, int(r.Addr)+1)
}

// Forms shows the three ways to write the address: "h100  0x0064  40101".
func (r Register) Forms() string { return r.Wire() + "  " + r.Hex() + "  " + r.Modicon() }

// String is the text that ParseReg reads back: h100:int16, h110:uint32@CDAB, h120.3, d4.
func (r Register) String() string {
	var b strings.Builder
	b.WriteString(r.Wire())
	if r.Bit >= 0 {
		fmt.Fprintf(&b, ".%d", r.Bit)
	}
	if !r.Area.Bits() && (r.Bit < 0 || r.Type != typeUint16) {
		b.WriteString(":" + r.Type.name)
	}
	switch {
	case r.Order == Order{}:
	case r.Type.bits == 16:
		b.WriteString("@" + r.Order.letters(16))
	default:
		b.WriteString("@" + r.Order.String())
	}
	return b.String()
}
