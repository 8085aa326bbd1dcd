package configs

import (
	"encoding"
	"fmt"
	"io"
	"reflect"
	"strings"

	"fieldgate/configs/conf"
	"fieldgate/configs/tree"
	"fieldgate/drivers/modbus"
)

// Show writes the effective configuration: every section with all its keys, a
// key that the file does not set with its default and a mark, references to
// secrets as they are and secrets hidden. What it writes is itself a
// configuration with the same meaning. Tags show the keys they set.
func (f *File) Show(w io.Writer) error {
	s := &shower{file: f}
	s.section(reflect.ValueOf(f).Elem(), f.root, "", "")
	_, err := io.WriteString(w, strings.TrimLeft(s.out.String(), "\n"))
	return err
}

type shower struct {
	file *File
	out  strings.Builder
}

// section writes the keys of a table, then the tables below it. path has no
// indices; full has them.
func (s *shower) section(v reflect.Value, at *value, path, full string) {
	var tables []field
	for _, f := range fieldsOf(v.Type()) {
		if f.name == "include" || at.child(f.name) == nil && !applies(v, f.name) { // what it includes is all here
			continue
		}
		if s.isTable(v.Field(f.index), at.child(f.name), f) {
			tables = append(tables, f)
			continue
		}
		s.key(v.Field(f.index), at.child(f.name), f, joinPath(path, f.name), joinPath(full, f.name))
	}
	for _, f := range tables {
		s.tables(v.Field(f.index), at.child(f.name), joinPath(path, f.name), joinPath(full, f.name))
	}
}

// applies reports whether a key means anything in a section: a bus on a serial
// port has no TCP connection, and the other way round.
func applies(section reflect.Value, key string) bool {
	b, ok := section.Interface().(modbus.Bus)
	if !ok {
		return true
	}
	switch key {
	case "protocol":
		return b.Port != "" || b.Listen != ""
	case "listen", "registration", "heartbeat":
		return b.Listen != ""
	case "port", "echo", "rs485":
		return b.Port != ""
	case "baud", "mode":
		return b.TCP == "" && b.TLS == ""
	case "connect_delay", "idle_close", "max_in_flight", "ignore_unit":
		return b.Port == ""
	case "tcp":
		return b.TCP != ""
	case "ignore_tid":
		return b.TCP != "" || b.TLS != ""
	case "tls", "ca_file", "cert_file", "key_file", "server_name":
		return b.TLS != ""
	case "udp":
		return b.UDP != ""
	case "rtu_tcp":
		return b.RTUOverTCP != ""
	}
	return true
}

// child is the value of a key, nil if there is none.
func (v *value) child(name string) *value {
	if v == nil {
		return nil
	}
	return v.table[name]
}

// isTable reports a key that is written as headers: a struct, or a list of
// structs that the file did not write inline.
func (s *shower) isTable(v reflect.Value, at *value, f field) bool {
	e, list := element(f.typ)
	if e.Kind() != reflect.Struct || isText(e) {
		return false
	}
	if list && at != nil {
		return at.node.Header
	}
	return !list || f.name != "tags"
}

// implied is what an empty list means.
var implied = map[string]string{
	"broker.listener": "one on 127.0.0.1:1883 for tools on this box",
	"upstream.route":  "every value and status of this gateway goes up as it is",
}

func (s *shower) tables(v reflect.Value, at *value, path, full string) {
	if v.Kind() == reflect.Slice {
		if note := implied[path]; note != "" && v.Len() == 0 {
			fmt.Fprintf(&s.out, "\n# no [[%s]]: %s\n", path, note)
		}
		for i := range v.Len() {
			fmt.Fprintf(&s.out, "\n[[%s]]\n", path)
			s.section(v.Index(i), at.elem(i), path, fmt.Sprintf("%s[%d]", full, i))
		}
		return
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	before := s.out.String()
	fmt.Fprintf(&s.out, "\n[%s]\n", path)
	head := s.out.Len()
	s.section(v, at, path, full)
	if at == nil && s.out.Len() == head { // nothing to say
		s.out.Reset()
		s.out.WriteString(before)
	}
}

func (v *value) elem(i int) *value {
	if v == nil || i >= len(v.elems) {
		return nil
	}
	return v.elems[i]
}

// key writes one key: as the file has it, as Go has it, or at its default.
func (s *shower) key(v reflect.Value, at *value, f field, path, full string) {
	inTag := strings.Contains(path, ".tag.") || strings.Contains(path, ".tags.")
	switch set := at != nil || s.file.root == nil && !v.IsZero(); {
	case set && f.typ == secretType:
		fmt.Fprintf(&s.out, "%s = %s\n", f.name, showSecret(v.Interface().(conf.Secret), at))
	case set:
		fmt.Fprintf(&s.out, "%s = %s\n", f.name, encode(v, at))
	default:
		text, ok := s.computed(path, full)
		if !ok && !v.IsZero() {
			text, ok = encode(v, nil), true
		}
		if !ok {
			text, ok = defaultOf(path)
		}
		if ok && !inTag {
			fmt.Fprintf(&s.out, "%s = %s  # default\n", f.name, text)
		}
	}
}

// computed are the defaults that depend on other keys.
func (s *shower) computed(path, full string) (string, bool) {
	f := s.file
	switch path {
	case "publish.topic":
		if f.Gateway.Place.Enterprise+f.Gateway.Place.Site+f.Gateway.Place.Area+f.Gateway.Place.Line == "" {
			return quote("{gateway}/{device}/{tag}"), true
		}
	case "gateway.id":
		return quote(f.Gateway.ID), true
	case "upstream.name":
		if at := tree.ParsePath(full); len(at) > 1 && at[1].Index < len(f.Upstream) {
			return quote(f.Upstream[at[1].Index].ID()), true
		}
	}
	return "", false
}

// showSecret writes a reference as it is and hides everything else.
func showSecret(secret conf.Secret, at *value) string {
	if at != nil {
		if text, ok := at.data.(string); ok && isReference(text) {
			return quote(text)
		}
	}
	if secret.IsZero() {
		return `""`
	}
	return quote(hidden) + "  # hidden"
}

// encode writes a value in TOML, on one line unless it is a list of tables.
func encode(v reflect.Value, at *value) string {
	if t, ok := v.Interface().(encoding.TextMarshaler); ok && v.Kind() != reflect.Pointer {
		text, err := t.MarshalText()
		if err == nil {
			return quote(string(text))
		}
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return "{}"
		}
		return encode(v.Elem(), at)
	case reflect.String:
		return quote(hideURL(v.String()))
	case reflect.Float32, reflect.Float64:
		return encodeFloat(v.Float())
	case reflect.Slice:
		return encodeList(v, at)
	case reflect.Map:
		return encodeMap(v)
	case reflect.Struct:
		return encodeTable(v, at)
	}
	return fmt.Sprint(v.Interface())
}

func encodeFloat(f float64) string {
	text := fmt.Sprint(f)
	if !strings.ContainsAny(text, ".en") {
		text += ".0"
	}
	return text
}

func encodeList(v reflect.Value, at *value) string {
	var items []string
	for i := range v.Len() {
		items = append(items, encode(v.Index(i), at.elem(i)))
	}
	if e := v.Type().Elem(); e.Kind() == reflect.Struct && !isText(e) && len(items) > 0 {
		return "[\n  " + strings.Join(items, ",\n  ") + ",\n]"
	}
	return "[" + strings.Join(items, ", ") + "]"
}

func encodeMap(v reflect.Value) string {
	var items []string
	for _, k := range sortedKeys(v) {
		items = append(items, quoteKey(k)+" = "+encode(v.MapIndex(reflect.ValueOf(k)), nil))
	}
	return "{ " + strings.Join(items, ", ") + " }"
}

// encodeTable writes an inline table: the keys that the file set, or, without
// a file, those that are not zero.
func encodeTable(v reflect.Value, at *value) string {
	var items []string
	for _, f := range fieldsOf(v.Type()) {
		sub, in := v.Field(f.index), at.child(f.name)
		if in == nil && (at != nil || sub.IsZero()) {
			continue
		}
		items = append(items, f.name+" = "+encode(sub, in))
	}
	if len(items) == 0 {
		return "{}"
	}
	return "{ " + strings.Join(items, ", ") + " }"
}
