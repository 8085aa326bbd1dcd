package sim

import (
	"reflect"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

func TestExample(t *testing.T) {
	var c Config
	meta, err := toml.Decode(Example, &c)
	if err != nil || len(meta.Undecoded()) > 0 {
		t.Fatalf("%v, unknown keys %v", err, meta.Undecoded())
	}
	if _, err := New(c); err != nil {
		t.Error(err)
	}
	used := map[string]bool{}
	for _, key := range meta.Keys() {
		used[strings.Join(key, ".")] = true
	}
	var walk func(prefix string, typ reflect.Type)
	walk = func(prefix string, typ reflect.Type) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			key := prefix + f.Tag.Get("toml")
			if !used[key] && !strings.HasPrefix(key, "meter.points.") && !strings.Contains(strings.TrimPrefix(key, "plc"), "faults.") {
				t.Errorf("the example does not show %s", key)
			}
			inner := f.Type
			if inner.Kind() == reflect.Slice {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				walk(key+".", inner)
			}
		}
	}
	walk("", reflect.TypeFor[Config]())
	for i := range reflect.TypeFor[Faults]().NumField() {
		if key := "plc.faults." + reflect.TypeFor[Faults]().Field(i).Tag.Get("toml"); !used[key] {
			t.Errorf("the example does not show %s", key)
		}
	}
}
