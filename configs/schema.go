package configs

import (
	"encoding/json"
	"io"
	"reflect"
	"strings"
)

// Schema writes a JSON Schema (draft 7) of the file, for editors: every key
// with its type, its text, its default and its choices. It allows exactly the
// keys that Load allows.
func Schema(w io.Writer) error {
	root := schemaOf(reflect.TypeFor[File](), "")
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	root["title"] = "fieldgate.toml"
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(root)
}

type schema = map[string]any

// Patterns of what conf reads from strings.
const (
	durationPattern = `^([0-9]+d)?([0-9.]+(ns|us|µs|ms|s|m|h))*$`
	sizePattern     = `^[0-9]+ *(B|[kMGT]B|[KMGT]iB)?$`
)

func schemaOf(t reflect.Type, path string) schema {
	s := schemaType(t, path)
	d := docOf(path)
	if d == nil || path == "" {
		return s
	}
	if d.text != "" {
		s["description"] = d.text
	}
	if len(d.choices) > 0 && t.Kind() == reflect.String {
		s["enum"] = d.choices
		if text, ok := defaultOf(path); ok && text == `""` {
			s["enum"] = append([]string{""}, d.choices...)
		}
	}
	if text, ok := defaultOf(path); ok {
		if v, ok := plainValue(text); ok {
			s["default"] = v
		}
	}
	return s
}

func schemaType(t reflect.Type, path string) schema {
	switch {
	case t == durationType:
		return schema{"type": "string", "pattern": durationPattern}
	case t == pollType:
		return schema{"type": "string", "pattern": "^(once|on_demand)$|" + durationPattern}
	case t == sizeType:
		return schema{"oneOf": []schema{{"type": "string", "pattern": sizePattern}, {"type": "integer", "minimum": 0}}}
	case isText(t):
		return schema{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaType(t.Elem(), path)
	case reflect.Slice:
		return schema{"type": "array", "items": schemaType(t.Elem(), path)}
	case reflect.Struct:
		return schemaTable(t, path)
	case reflect.Map:
		return schema{"type": "object"}
	case reflect.String:
		return schema{"type": "string"}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return schema{"type": "number"}
	case reflect.Interface:
		return schema{}
	}
	return schema{"type": "integer"}
}

func schemaTable(t reflect.Type, path string) schema {
	properties, required := schema{}, []string{}
	for _, f := range fieldsOf(t) {
		p := joinPath(path, f.name)
		properties[f.name] = schemaOf(f.typ, p)
		if d := docOf(p); d != nil && d.required && !strings.HasPrefix(d.text, "REQUIRED, or") {
			required = append(required, f.name)
		}
	}
	s := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// plainValue reads one value of TOML.
func plainValue(text string) (any, bool) {
	l := newLoader(Options{SkipFiles: true})
	v := l.parse("value.toml", "x = "+text)
	if v == nil || v.table["x"] == nil {
		return nil, false
	}
	return v.table["x"].plain(), true
}
