package configs

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	for what, want := range map[string][]string{
		"bus.gap":                  {"bus.gap  duration, default \"0s\"", "slow devices", `Example: "20ms"`},
		"log.level":                {`default "info"`, "One of: debug, info, warn, error"},
		"[[bus]]":                  {"[[bus]]", "Keys: name port"},
		"gateway.place":            {"[gateway.place]", "ISA-95"},
		"device[1].tags[3].reg":    {"device.tags.reg  string", "REQUIRED"},
		"max_gap":                  {"device.max_gap  value, default \"auto\""},
		"timeout":                  {"bus.timeout", "serial.request.timeout", "upstream.connect.timeout"},
		"device.template":          {"not supported in this version"},
		"e0203":                    {"E0203  unknown type"},
		" W0301 ":                  {"W0301", "keep up"},
		"broker.listener.tls.auto": {"self-signed"},
		"upstream.password":        {"secret"},
		"serial.requests.send":     {"hex:FF 01"},
		"upstream.route.batch":     {"Several values"},
		"device.tag.write":         {"[device.tag.write]", "min max step"},
		"broker.listener.bind":     {"REQUIRED"},
		"publish.format":           {"influx"},
		"homeassistant.enabled":    {"default false"},
	} {
		text, err := Explain(what)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: %q is missing in\n%s", what, w, text)
			}
		}
		for line := range strings.Lines(text) {
			if columns(cells(strings.TrimSuffix(line, "\n"))) > 160 {
				t.Errorf("%s: long line %q", what, line)
			}
		}
	}
}

// Every key and every code can be explained, by what the file calls them.
func TestExplainEverything(t *testing.T) {
	for _, k := range Keys() {
		if text, err := Explain(k.Path); err != nil || len(text) < 20 {
			t.Errorf("%s: %q %v", k.Path, text, err)
		}
	}
	for code := range Codes() {
		if text, err := Explain(code); err != nil || len(text) < 40 {
			t.Errorf("%s: %q %v", code, text, err)
		}
	}
	for key := range later {
		if _, err := Explain(key); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestExplainSuggests(t *testing.T) {
	for what, want := range map[string]string{
		"bus.timout": `did you mean "bus.timeout"?`, "baudd": `did you mean "baud"?`, "E0299": "nearest is E02", "zzzzzzzz": "config schema",
	} {
		if _, err := Explain(what); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", what, err, want)
		}
	}
}

// The schema allows what Load allows: it is held against the examples here by
// a small reader of its own.
func TestSchema(t *testing.T) {
	var b bytes.Buffer
	if err := Schema(&b); err != nil {
		t.Fatal(err)
	}
	var s map[string]any
	if err := json.Unmarshal(b.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	for _, name := range exampleFiles(t) {
		_, r := Load(name, Options{SkipFiles: true})
		if !r.OK() {
			t.Fatal(rendered(r))
		}
		f, _ := Load(name, Options{SkipFiles: true})
		if bad := violates(s, jsonValue(t, f.root.plain()), ""); bad != "" {
			t.Errorf("%s: %s", name, bad)
		}
	}
	for text, want := range map[string]string{
		"x = 1":                                  "x",
		"[log]\nlevel = \"loud\"":                "log.level",
		"[log]\nlevel = 1":                       "log.level",
		"[[bus]]\ntcp = \"a\"":                   "bus[0].name",
		"[[bus]]\nname = \"a\"\ntimeout = \"5\"": "bus[0].timeout",
		"[broker]\nmax_packet = \"256 parsecs\"": "broker.max_packet",
		"[[device]]\nname = \"a\"\nbus = \"b\"\ntags = [ { nam = \"x\", reg = \"h1\" } ]": "device[0].tags[0].nam",
	} {
		l := newLoader(Options{})
		if got := violates(s, jsonValue(t, l.parse("x.toml", text).plain()), ""); !strings.HasPrefix(got, want) {
			t.Errorf("%q: %q, want %s", text, got, want)
		}
	}
}

func jsonValue(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// violates checks a value against the part of JSON Schema that Schema writes,
// and names the first place that does not fit.
func violates(s map[string]any, v any, path string) string {
	if one, ok := s["oneOf"].([]any); ok {
		for _, o := range one {
			if violates(o.(map[string]any), v, path) == "" {
				return ""
			}
		}
		return path + " fits none"
	}
	switch s["type"] {
	case "object":
		return violatesTable(s, v, path)
	case "array":
		list, ok := v.([]any)
		if !ok {
			return path + " is no array"
		}
		for i, e := range list {
			if bad := violates(s["items"].(map[string]any), e, at(path, i)); bad != "" {
				return bad
			}
		}
	case "string":
		text, ok := v.(string)
		if p, has := s["pattern"].(string); !ok || has && !regexp.MustCompile(p).MatchString(text) {
			return path + " is no such string"
		}
		if choices, has := s["enum"].([]any); has {
			for _, c := range choices {
				if c == text {
					return ""
				}
			}
			return path + " is none of the choices"
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return path + " is no boolean"
		}
	case "number", "integer":
		if n, ok := v.(float64); !ok || s["type"] == "integer" && n != float64(int64(n)) {
			return path + " is no number"
		}
	}
	return ""
}

func violatesTable(s map[string]any, v any, path string) string {
	table, ok := v.(map[string]any)
	if !ok {
		return path + " is no table"
	}
	properties, _ := s["properties"].(map[string]any)
	for name, sub := range table {
		p, known := properties[name].(map[string]any)
		if !known && s["additionalProperties"] == false {
			return joinPath(path, name) + " is not allowed"
		}
		if known {
			if bad := violates(p, sub, joinPath(path, name)); bad != "" {
				return bad
			}
		}
	}
	required, _ := s["required"].([]any)
	for _, name := range required {
		if _, ok := table[name.(string)]; !ok {
			return joinPath(path, name.(string)) + " is missing"
		}
	}
	return ""
}
