package tree

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

const plant = `# a plant
[gateway]
id = "gw" # here
place.site = 'x'

[[device]]
name = "one"
tags = [ # both
  { name = "a", "reg" = "h1", enum = { 0 = "off" } },
  { name = "b" },
]

[[device.tag]]
name = "c"
[device.tag.write]
min = 1

[[device]]
name = """
two"""
since = 2024-01-01 00:00:00Z
list = [[1, 2], []]
`

// Every key and value is found where it stands, and in the right one of
// several tables.
func TestPlaces(t *testing.T) {
	d, err := Parse(plant)
	if err != nil || len(d.Twice) > 0 {
		t.Fatal(err, d.Twice)
	}
	for path, want := range map[string][2]string{
		"gateway":                    {"gateway", "[gateway]"},
		"gateway.id":                 {"id", `"gw"`},
		"gateway.place.site":         {"site", "'x'"},
		"device[0]":                  {"device", "[[device]]"},
		"device[0].name":             {"name", `"one"`},
		"device[0].tags[0].reg":      {`"reg"`, `"h1"`},
		"device[0].tags[0].enum.0":   {"0", `"off"`},
		"device[0].tags[1]":          {"tags", `{ name = "b" }`},
		"device[0].tags[1].name":     {"name", `"b"`},
		"device[0].tag[0]":           {"tag", "[[device.tag]]"},
		"device[0].tag[0].write":     {"write", "[device.tag.write]"},
		"device[0].tag[0].write.min": {"min", "1"},
		"device[1].name":             {"name", "\"\"\"\ntwo\"\"\""},
		"device[1].since":            {"since", "2024-01-01 00:00:00Z"},
		"device[1].list[0][1]":       {"list", "2"},
		"device[1].list[1]":          {"list", "[]"},
	} {
		n := d.Root
		for _, s := range ParsePath(path) {
			if s.Name != "" {
				n = n.Child(s.Name)
			} else {
				n = n.Elems[s.Index]
			}
			if n == nil {
				t.Fatalf("%s is not there", path)
			}
		}
		if key, value := plant[n.Key.Start:n.Key.End], plant[n.Value.Start:n.Value.End]; key != want[0] || value != want[1] {
			t.Errorf("%s: key %q and value %q, want %q", path, key, value, want)
		}
	}
}

func TestParsePath(t *testing.T) {
	for path, want := range map[string][]Step{
		"":               nil,
		"a":              {{Name: "a"}},
		"a.b":            {{Name: "a"}, {Name: "b"}},
		"a[1].b[0][2].c": {{Name: "a"}, {Index: 1}, {Name: "b"}, {Index: 0}, {Index: 2}, {Name: "c"}},
		"[3].x":          {{Index: 3}, {Name: "x"}},
		"a[x].b":         {{Name: "a"}, {Name: "b"}},
		"a[-1]":          {{Name: "a"}},
	} {
		if got := ParsePath(path); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, want %v", path, got, want)
		}
	}
}

func TestDepth(t *testing.T) {
	for _, text := range []string{
		"a = " + strings.Repeat("[", MaxDepth+1), "a = " + strings.Repeat("{a = ", MaxDepth+1), strings.Repeat("a.", MaxDepth+1) + "a = 1",
		"[" + strings.Repeat("a.", MaxDepth+1) + "a]",
	} {
		if _, err := Parse(text); !errors.Is(err, ErrDepth) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if _, err := Parse("a = " + strings.Repeat("[", MaxDepth-1) + strings.Repeat("]", MaxDepth-1)); err != nil {
		t.Error(err)
	}
}

// On a text that is no TOML, what stands before the mistake is there.
func TestStopsWhereItIsWrong(t *testing.T) {
	d, err := Parse("[a]\nb = 1\nc d\ne = 2\n")
	if err == nil || len(d.Entries) != 2 || d.Root.Child("a").Child("b") == nil {
		t.Errorf("%v %v", err, d.Entries)
	}
}

func TestTwice(t *testing.T) {
	for _, text := range []string{"0.0 = 1\n0 = 2", "a = 1\na = 2", "a = 1\na.b = 2", "a = 1\n[a]\n", "a = { b = 1, b = 2 }"} {
		if d, err := Parse(text); err != nil || len(d.Twice) != 1 {
			t.Errorf("%q: %v %v", text, d.Twice, err)
		}
	}
}
