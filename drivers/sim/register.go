package sim

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"fieldgate/drivers"
	"fieldgate/drivers/modbus/server"
)

// register is where a point lives and how it is written there.
type register struct {
	area    server.Area
	address int
	typ     string // bool, int16, …
	order   string // ABCD, CDAB, BADC, DCBA
}

// words is the number of registers of a type; bool is one cell.
var words = map[string]int{
	"bool": 1, "int16": 1, "uint16": 1, "int32": 2, "uint32": 2, "float32": 2, "int64": 4, "uint64": 4, "float64": 4,
}

// parseRegister reads "h110:uint32@CDAB".
func parseRegister(text string) (register, error) {
	rest, order, hasOrder := strings.Cut(text, "@")
	rest, typ, hasType := strings.Cut(rest, ":")
	r := register{typ: typ, order: order}
	if !hasOrder {
		r.order = "ABCD"
	}
	if rest == "" {
		return r, fmt.Errorf("it is empty")
	}
	switch rest[0] {
	case 'c':
		r.area = server.Coils
	case 'd':
		r.area = server.Discretes
	case 'i':
		r.area = server.Inputs
	case 'h':
		r.area = server.Holdings
	default:
		return r, fmt.Errorf("the first letter is c, d, i or h")
	}
	bits := r.area == server.Coils || r.area == server.Discretes
	if !hasType {
		r.typ = "uint16"
		if bits {
			r.typ = "bool"
		}
	}
	n, err := strconv.ParseUint(rest[1:], 0, 16)
	if err != nil {
		return r, fmt.Errorf("%q is not an address", rest[1:])
	}
	r.address = int(n)
	size, known := words[r.typ]
	switch {
	case !known:
		return r, fmt.Errorf("unknown type %q", r.typ)
	case bits != (r.typ == "bool"):
		return r, fmt.Errorf("%s cannot stand there", r.typ)
	case !strings.Contains("ABCD CDAB BADC DCBA", r.order) || len(r.order) != 4:
		return r, fmt.Errorf("unknown order %q", r.order)
	case r.address+size > addressCount:
		return r, fmt.Errorf("the last address is %d", addressCount-1)
	}
	return r, nil
}

// encode rounds a number to the type and returns its cells, and the number
// that a reader will find in them.
func (r register) encode(f float64) ([]uint16, drivers.Value) {
	bits := 16 * words[r.typ]
	var pattern uint64
	switch r.typ {
	case "bool":
		if f != 0 {
			pattern = 1
		}
	case "float32":
		pattern = uint64(math.Float32bits(float32(f)))
	case "float64":
		pattern = math.Float64bits(f)
	case "int16", "int32", "int64":
		limit := math.Ldexp(1, bits-1)
		pattern = uint64(int64(min(max(math.Round(f), -limit), math.Nextafter(limit, 0))))
	default:
		pattern = uint64(min(max(math.Round(f), 0), math.Nextafter(math.Ldexp(1, bits), 0)))
	}
	cells := r.split(pattern)
	return cells, r.decode(cells)
}

// split cuts a pattern into registers, in the order of the type.
func (r register) split(pattern uint64) []uint16 {
	n := words[r.typ]
	cells := make([]uint16, n)
	for i := range cells {
		cells[i] = uint16(pattern >> (16 * (n - 1 - i)))
	}
	return r.reorder(cells)
}

// reorder swaps words, bytes or both; done twice it is undone.
func (r register) reorder(cells []uint16) []uint16 {
	out := make([]uint16, len(cells))
	for i, c := range cells {
		if r.order == "CDAB" || r.order == "DCBA" {
			i = len(cells) - 1 - i
		}
		if r.order == "BADC" || r.order == "DCBA" {
			c = c<<8 | c>>8
		}
		out[i] = c
	}
	return out
}

// decode is what a reader finds in cells.
func (r register) decode(cells []uint16) drivers.Value {
	var pattern uint64
	for _, c := range r.reorder(cells) {
		pattern = pattern<<16 | uint64(c)
	}
	switch r.typ {
	case "bool":
		return drivers.BoolValue(pattern != 0)
	case "float32":
		return drivers.Float32Value(math.Float32frombits(uint32(pattern)))
	case "float64":
		return drivers.FloatValue(math.Float64frombits(pattern))
	case "int16":
		return drivers.IntValue(int64(int16(pattern)))
	case "int32":
		return drivers.IntValue(int64(int32(pattern)))
	case "int64":
		return drivers.IntValue(int64(pattern))
	}
	return drivers.UintValue(pattern)
}
