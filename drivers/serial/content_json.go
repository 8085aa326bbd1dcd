package serial

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"fieldgate/drivers"
)

// step is one step of a path: into an object by name, or into an array.
type step struct {
	key   string
	index int // -1: key counts
}

// parsePath reads "a.b[0].c".
func parsePath(path string) ([]step, error) {
	bad := fmt.Errorf(`path %q: write names and array positions, as "sensors[0].temp"`, path)
	var steps []step
	for part := range strings.SplitSeq(path, ".") {
		name, rest, indexed := strings.Cut(part, "[")
		if name != "" {
			steps = append(steps, step{key: name, index: -1})
		}
		if name == "" && (!indexed || len(steps) > 0) {
			return nil, bad
		}
		for indexed {
			var digits string
			var ok bool
			if digits, rest, ok = strings.Cut(rest, "]"); !ok || !isDigits(digits) {
				return nil, bad
			}
			n, err := strconv.ParseUint(digits, 10, 31)
			if err != nil || rest != "" && rest[0] != '[' {
				return nil, bad
			}
			steps = append(steps, step{index: int(n)})
			indexed, rest = rest != "", strings.TrimPrefix(rest, "[")
		}
	}
	return steps, nil
}

// jsonContent is one JSON document a frame. Numbers keep their digits.
type jsonContent struct{}

func (jsonContent) open(frame []byte) (fields, bool) {
	dec := json.NewDecoder(bytes.NewReader(frame))
	dec.UseNumber()
	var doc any
	if err := dec.Decode(&doc); err != nil || dec.More() {
		return nil, false
	}
	return jsonFields{doc}, true
}

type jsonFields struct{ doc any }

func (f jsonFields) at(p *pick) (any, bool) {
	cur := f.doc
	for _, s := range p.path {
		if s.index < 0 {
			m, _ := cur.(map[string]any)
			v, ok := m[s.key]
			if !ok {
				return nil, false
			}
			cur = v
			continue
		}
		a, _ := cur.([]any)
		if s.index >= len(a) {
			return nil, false
		}
		cur = a[s.index]
	}
	return cur, true
}

func (f jsonFields) text(p *pick) (string, bool) {
	v, ok := f.at(p)
	switch v := v.(type) {
	case string:
		return v, ok
	case json.Number:
		return v.String(), ok
	case bool:
		return strconv.FormatBool(v), ok
	case nil:
		return "", ok
	}
	b, err := json.Marshal(v)
	return string(b), ok && err == nil
}

// value: null is no value; an object or array is one only as a string.
func (f jsonFields) value(p *pick) (drivers.Value, string) {
	v, ok := f.at(p)
	if ok && v == nil {
		return drivers.Value{}, drivers.ReasonInvalid
	}
	return textValue(f, p, absent)
}
