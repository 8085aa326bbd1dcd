package configs

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"fieldgate/configs/conf"
)

// The reference file and the structs are held against each other, key by key,
// both ways.
func TestReferenceNamesEveryKey(t *testing.T) {
	known := map[string]bool{}
	for _, k := range Keys() {
		known[k.Path] = true
		d := docOf(k.Path)
		switch {
		case d == nil:
			t.Errorf("%s is not in fieldgate.toml", k.Path)
		case d.text == "" && len(d.choices) == 0:
			t.Errorf("%s is not explained in fieldgate.toml", k.Path)
		}
	}
	for path := range docs() {
		if !known[path] && !openMap(path) {
			t.Errorf("%s is in fieldgate.toml, but no struct has it", path)
		}
	}
}

// openMap reports a path below a table with keys of the user's own.
func openMap(path string) bool {
	i := strings.LastIndexByte(path, '.')
	return i > 0 && strings.HasSuffix(path[:i], ".enum")
}

// Whatever the reference file shows, default or example, must be of the type
// that the struct has, and one of the choices beside it.
func TestReferenceValuesFit(t *testing.T) {
	types := map[string]reflect.Type{}
	for _, k := range Keys() {
		types[k.Path] = k.typ
	}
	for path, d := range docs() {
		typ := types[path]
		if d.value == "" || typ == nil || strings.HasSuffix(path, ".tags") {
			continue
		}
		l := newLoader(Options{SkipFiles: true})
		v := l.parse("value.toml", "x = "+d.value)
		if v == nil {
			t.Errorf("%s = %s: %v", path, d.value, l.report.Problems)
			continue
		}
		l.bind(v.table["x"], reflect.New(typ).Elem(), path)
		for _, p := range l.report.Problems {
			t.Errorf("%s = %s: %s", path, d.value, p.Text)
		}
		if text := strings.Trim(d.value, `"`); len(d.choices) > 0 && text != "" && !slices.Contains(d.choices, text) {
			t.Errorf("%s = %s is none of %v", path, d.value, d.choices)
		}
	}
}

func TestReferenceIsClean(t *testing.T) {
	f, r := LoadText("fieldgate.toml", Reference, Options{SkipFiles: true, Env: func(string) (string, bool) { return "secret", true }})
	if len(r.Problems) > 0 {
		t.Fatal(rendered(r))
	}
	if len(f.Device) == 0 || len(f.Serial) == 0 || len(f.Upstream) == 0 {
		t.Fatalf("%+v", r.Summary)
	}
	for _, text := range []string{First, ""} {
		if _, r := LoadText("fieldgate.toml", text, Options{}); len(r.Problems) > 0 {
			t.Error(rendered(r))
		}
	}
}

func rendered(r *Report) string {
	var b strings.Builder
	_ = r.Render(&b, false)
	return b.String()
}

// The defaults that the reference file shows must be those of the code.
func TestReferenceDefaults(t *testing.T) {
	d := Default()
	if got, want := d.Log.RepeatWindow.String(), "1m"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for path, want := range codeDefaults() {
		text, ok := defaultOf(path)
		if !ok {
			t.Errorf("%s shows no default", path)
			continue
		}
		l := newLoader(Options{})
		into := reflect.New(reflect.TypeOf(want)).Elem()
		l.bind(l.parse("value.toml", "x = "+text).table["x"], into, path)
		if got := into.Interface(); got != want {
			t.Errorf("%s: the file shows %v, the code has %v", path, got, want)
		}
	}
}

func duration[T ~int64](d T) conf.Duration { return conf.Duration(d) }
