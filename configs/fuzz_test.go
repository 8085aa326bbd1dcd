package configs

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever the text is, a load ends with a report that can be shown, whose
// places are inside the text, and with a file that can be shown again.
func FuzzLoad(f *testing.F) {
	f.Add(Reference)
	f.Add(First)
	files, err := filepath.Glob("testdata/*/*.toml")
	if err != nil {
		f.Fatal(err)
	}
	examples, _ := filepath.Glob("examples/*.toml")
	for _, name := range append(files, examples...) {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	for _, text := range []string{
		"", "bus = 1", "[[bus]]\n[[device]]\n[[serial]]\n[[upstream]]\n[[broker.listener]]\n", "device = [{}, {tags = [{}]}]",
		"include = [\"[\", \"/*\", \"\"]", "a = " + strings.Repeat("[", 200), strings.Repeat("a.", 200) + "b = 1",
		"[[device]]\ntags = [{ enum = {}, invalid = [[1]], deadband = {}, write = { min = inf } }]", "bus.a = 1\nbus.b = 2",
		"0=0,", "a=0;", "a=0x,", "pw=\"${A'0", "a = 1, password = 'x\u00e9' b", "[upstream]\npassword = \"${A}\"", "[[upstream]]\nurls = [\"://:@\"]\n[[upstream.route]]\nfrom=\"{\"\nto=\"{\"", "device = [[], [{}]]",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ReplaceAll(text, "include", "exclude") // the files of this machine are none of the fuzzer's business
		file, report := LoadText("/nonexistent/f.toml", text, Options{SkipFiles: true})
		var out bytes.Buffer
		if err := report.Render(&out, false); err != nil {
			t.Fatal(err)
		}
		if !utf8.Valid(out.Bytes()) {
			t.Fatal("the report is not UTF-8")
		}
		if strings.ContainsAny(out.String(), "\x1b\x00\r") {
			t.Fatal("control characters of the file reach the terminal")
		}
		checkPlaces(t, text, report)
		out.Reset()
		if err := report.JSON(&out); err != nil {
			t.Fatal(err)
		}
		if !json.Valid(out.Bytes()) {
			t.Fatal("not JSON")
		}
		out.Reset()
		if err := file.Show(&out); err != nil {
			t.Fatal(err)
		}
		if report.OK() {
			if _, again := LoadText("shown.toml", out.String(), Options{SkipFiles: true}); !again.OK() {
				t.Fatalf("what is shown does not load: %v\n%s", again.Err(), out.String())
			}
		}
	})
}

func checkPlaces(t *testing.T, text string, r *Report) {
	errors := 0
	lines := strings.Count(text, "\n") + 1
	for _, p := range r.Problems {
		if p.Line < 0 || p.Line > lines || p.Line > 0 && (p.Column < 1 || p.Length < 1 || p.Column > len([]rune(p.Source))+1) {
			t.Fatalf("%+v is outside of a text of %d lines", p, lines)
		}
		if !p.Warning() {
			errors++
		}
		if p.Text == "" || !codeForm.MatchString(p.Code) {
			t.Fatalf("%+v", p)
		}
	}
	if errors != r.Summary.Errors || len(r.Problems)-errors != r.Summary.Warnings || r.OK() != (errors == 0) || (r.Err() == nil) != r.OK() {
		t.Fatalf("%+v with %d errors of %d", r.Summary, errors, len(r.Problems))
	}
}
