package drivers

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// enum maps values to their names and back.
type enum struct {
	labels map[string]Value // by the value's text
	keys   []enumKey        // in a fixed order
}

type enumKey struct{ raw, label Value }

func compileEnum(table map[string]any, bad badFunc) *enum {
	e := &enum{labels: make(map[string]Value, len(table))}
	names := make([]string, 0, len(table))
	for key := range table {
		names = append(names, key)
	}
	slices.Sort(names)
	for _, name := range names {
		label, ok := FromAny(table[name])
		if !ok || label.IsNull() {
			bad("enum."+name, "E0212", `write for example enum = { 0 = "off", 1 = "on" }`, "the name of a value is a text, a number or true/false")
			continue
		}
		raw := enumRaw(name)
		if _, twice := e.labels[raw.String()]; twice {
			bad("enum."+name, "E0212", "", "value %s is named twice", raw)
			continue
		}
		e.labels[raw.String()] = label
		e.keys = append(e.keys, enumKey{raw, label})
	}
	return e
}

// enumRaw reads a key: a number, also in hex, true or false, or a text.
func enumRaw(key string) Value {
	if i, err := strconv.ParseInt(key, 0, 64); err == nil {
		return IntValue(i)
	}
	return ParseValue(key)
}

// label finds the name of a value; a boolean is also found as 0 or 1.
func (e *enum) label(v Value) (Value, bool) {
	if l, ok := e.labels[v.String()]; ok {
		return l, true
	}
	if b, ok := v.Bool(); ok {
		number := "0"
		if b {
			number = "1"
		}
		l, ok := e.labels[number]
		return l, ok
	}
	return Value{}, false
}

// key finds the value behind a name: exactly, or else whatever the case.
func (e *enum) key(name Value) (Value, bool) {
	for _, k := range e.keys {
		if k.label == name {
			return k.raw, true
		}
	}
	text, ok := name.Text()
	if !ok {
		return Value{}, false
	}
	for _, k := range e.keys {
		if strings.EqualFold(k.label.String(), text) {
			return k.raw, true
		}
	}
	return Value{}, false
}

// names lists the names for an error text, at most a dozen.
func (e *enum) names() string {
	var list []string
	for i, k := range e.keys {
		if i == 12 {
			list = append(list, fmt.Sprintf("… (%d more)", len(e.keys)-i))
			break
		}
		list = append(list, strconv.Quote(k.label.String()))
	}
	return strings.Join(list, ", ")
}
