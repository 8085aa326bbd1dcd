package configs

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"fieldgate/configs/tree"
)

// bind fills a Go value from the file, strictly: a key without a field and a
// value of another type are problems, and each is reported where it stands.
// The rest is filled all the same, so that one run finds everything.
func (l *loader) bind(v *value, into reflect.Value, path string) {
	t := into.Type()
	switch {
	case t.Kind() == reflect.Pointer:
		into.Set(reflect.New(t.Elem()))
		l.bind(v, into.Elem(), path)
	case t == secretType:
		l.bindSecret(v, into, path)
	case isText(t):
		l.bindText(v, into, path)
	case t.Kind() == reflect.Struct:
		l.bindStruct(v, into, path)
	case t.Kind() == reflect.Slice:
		l.bindSlice(v, into, path)
	case t.Kind() == reflect.Map:
		l.bindMap(v, into, path)
	case t.Kind() == reflect.Interface:
		into.Set(reflect.ValueOf(v.plain()))
	default:
		l.bindScalar(v, into, path)
	}
}

func (l *loader) bindStruct(v *value, into reflect.Value, path string) {
	if v.kind != tree.Table {
		l.wrongType(v, into.Type(), path)
		return
	}
	for _, name := range v.names {
		sub, key := v.table[name], joinPath(path, name)
		found := false
		for _, f := range fieldsOf(into.Type()) {
			if f.name == name {
				l.bind(sub, into.Field(f.index), key)
				found = true
			}
		}
		if !found {
			l.unknown(sub, name, key, into.Type())
		}
	}
}

func (l *loader) bindSlice(v *value, into reflect.Value, path string) {
	if v.kind != tree.Array {
		l.wrongType(v, into.Type(), path)
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(v.elems), len(v.elems)))
	for i, e := range v.elems {
		l.bind(e, into.Index(i), path+"["+strconv.Itoa(i)+"]")
	}
}

func (l *loader) bindMap(v *value, into reflect.Value, path string) {
	if v.kind != tree.Table {
		l.wrongType(v, into.Type(), path)
		return
	}
	into.Set(reflect.MakeMap(into.Type()))
	for _, name := range v.names {
		e := reflect.New(into.Type().Elem()).Elem()
		l.bind(v.table[name], e, joinPath(path, name))
		into.SetMapIndex(reflect.ValueOf(name), e)
	}
}

// bindText reads a Duration or a Size. A size may be a bare number of bytes; a
// length of time without a unit is an error.
func (l *loader) bindText(v *value, into reflect.Value, path string) {
	text, ok := v.data.(string)
	if n, isInt := v.data.(int64); isInt && into.Type() == sizeType {
		text, ok = strconv.FormatInt(n, 10), true
	}
	if !ok || v.kind != tree.Scalar {
		l.wrongType(v, into.Type(), path)
		return
	}
	if err := into.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
		what, help, _ := strings.Cut(err.Error(), "; ")
		l.add(Problem{Code: "E0105", Key: path, Text: what, Help: help}, v.file, inside(v))
	}
}

func (l *loader) bindScalar(v *value, into reflect.Value, path string) {
	ok := false
	switch data := v.data.(type) {
	case string:
		if ok = into.Kind() == reflect.String; ok {
			into.SetString(data)
		}
	case bool:
		if ok = into.Kind() == reflect.Bool; ok {
			into.SetBool(data)
		}
	case float64:
		if ok = into.CanFloat(); ok {
			if math.IsNaN(data) || math.IsInf(data, 0) {
				l.add(Problem{Code: "E0104", Key: path, Text: lastName(path) + " must be a finite number"}, v.file, v.node.Value)
				return
			}
			into.SetFloat(data)
		}
	case int64:
		switch {
		case into.CanFloat():
			into.SetFloat(float64(data))
			ok = true
		case into.CanInt() && !into.OverflowInt(data):
			into.SetInt(data)
			ok = true
		}
	}
	if !ok {
		l.wrongType(v, into.Type(), path)
	}
}

// wrongType reports a value of another type than the key has.
func (l *loader) wrongType(v *value, want reflect.Type, path string) {
	p := Problem{Code: "E0104", Key: path}
	p.Text = fmt.Sprintf("%s must be %s, but this is %s", lastName(path), article(strings.Replace(typeName(want), "secret", "string", 1)), article(found(v)))
	elem, list := element(want)
	isTable := elem.Kind() == reflect.Struct && !isText(elem)
	raw := v.file.text[v.node.Value.Start:v.node.Value.End]
	at := v.node.Value
	switch text, _ := v.data.(string); {
	case list && isTable && v.kind == tree.Table && v.node.Header:
		p.Help = fmt.Sprintf("write [[%s]]: there may be several", bare(path))
	case isTable && !list && v.kind == tree.Array && v.node.Header:
		p.Help = fmt.Sprintf("write [%s]: there is only one", bare(path))
	case list && v.kind == tree.Scalar:
		p.Help = "write it in brackets: [" + l.safe(path, raw) + "]"
	case (want == durationType || want == pollType) && v.kind == tree.Scalar:
		p.Help = fmt.Sprintf(`write it with its unit, in quotes: "%ss"`, l.safe(path, raw))
	case want.Kind() == reflect.String && v.kind == tree.Scalar:
		p.Help = fmt.Sprintf("write it in quotes: %q", l.safe(path, raw))
	case text != "" && v.kind == tree.Scalar && (text == "true" || text == "false" || isNumber(text)):
		p.Help = "write it without quotes: " + l.safe(path, text)
	}
	l.add(p, v.file, at)
}

func isNumber(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil
}

// inside is the span of a value without its quotes.
func inside(v *value) tree.Span {
	s := v.node.Value
	for _, q := range []string{`"""`, "'''", `"`, "'"} {
		raw := v.file.text[s.Start:s.End]
		if len(raw) >= 2*len(q) && strings.HasPrefix(raw, q) && strings.HasSuffix(raw, q) {
			if len(raw) == 2*len(q) {
				return s
			}
			return tree.Span{Start: s.Start + len(q), End: s.End - len(q)}
		}
	}
	return s
}

// found is what people call the type of what the file holds.
func found(v *value) string {
	switch v.kind {
	case tree.Table:
		return "table"
	case tree.Array:
		return "list"
	}
	switch v.data.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case int64:
		return "integer"
	case float64:
		return "number"
	case time.Time:
		return "date"
	}
	return "value"
}

func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

// bare is a path without its indices, as a header writes it.
func bare(path string) string {
	var out []string
	for _, s := range tree.ParsePath(path) {
		if s.Name != "" {
			out = append(out, s.Name)
		}
	}
	return strings.Join(out, ".")
}

func lastName(path string) string {
	return path[strings.LastIndexByte(path, '.')+1:]
}
