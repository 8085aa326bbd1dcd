package configs

import (
	"encoding"
	"reflect"
	"sync"

	"fieldgate/configs/conf"
	"fieldgate/drivers/modbus"
)

// field is a key of a section and the struct field it fills.
type field struct {
	name  string
	index int
	typ   reflect.Type
}

var (
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	secretType   = reflect.TypeFor[conf.Secret]()
	durationType = reflect.TypeFor[conf.Duration]()
	sizeType     = reflect.TypeFor[conf.Size]()
	pollType     = reflect.TypeFor[modbus.Poll]()

	fieldCache sync.Map // reflect.Type -> []field
)

// fieldsOf lists the keys of a section's struct in the order of the struct.
func fieldsOf(t reflect.Type) []field {
	if have, ok := fieldCache.Load(t); ok {
		return have.([]field)
	}
	var list []field
	for i := range t.NumField() {
		f := t.Field(i)
		if name := f.Tag.Get("toml"); name != "" && name != "-" && f.IsExported() {
			list = append(list, field{name, i, f.Type})
		}
	}
	fieldCache.Store(t, list)
	return list
}

func fieldNames(t reflect.Type) []string {
	var names []string
	for _, f := range fieldsOf(t) {
		names = append(names, f.name)
	}
	return names
}

// isText reports a type that is read from a string: Duration, Size, Secret.
func isText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textType) }

// element strips pointers and slices off a type: what one table of it is.
func element(t reflect.Type) (elem reflect.Type, list bool) {
	for {
		switch {
		case t.Kind() == reflect.Pointer:
			t = t.Elem()
		case t.Kind() == reflect.Slice:
			t, list = t.Elem(), true
		default:
			return t, list
		}
	}
}

// Key is a key that the file may hold.
type Key struct {
	Path string // "device.tag.scale": no indices
	Type string // "string", "duration", "size", "secret", "integer", "number", "boolean", "table", "list of …", "any"
	typ  reflect.Type
}

// Keys lists every key of the file, sections included, in the order of the
// structs. The list is shared and must not be changed.
func Keys() []Key { return allKeys() }

var allKeys = sync.OnceValue(func() []Key {
	var list []Key
	var walk func(t reflect.Type, path string)
	walk = func(t reflect.Type, path string) {
		for _, f := range fieldsOf(t) {
			p := joinPath(path, f.name)
			list = append(list, Key{p, typeName(f.typ), f.typ})
			if e, _ := element(f.typ); e.Kind() == reflect.Struct && !isText(e) {
				walk(e, p)
			}
		}
	}
	walk(reflect.TypeFor[File](), "")
	return list
})

// typeName is what people call a type.
func typeName(t reflect.Type) string {
	switch {
	case t == durationType, t == pollType:
		return "duration"
	case t == sizeType:
		return "size"
	case t == secretType:
		return "secret"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.Slice:
		return "list of " + typeName(t.Elem()) + "s"
	case reflect.Struct, reflect.Map:
		return "table"
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Interface:
		return "value"
	}
	return "integer"
}
