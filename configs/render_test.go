package configs

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The caret stands under the culprit, however wide the letters before it are.
func TestCaret(t *testing.T) {
	for _, c := range []struct{ source, culprit string }{
		{`x = 1`, "x"},
		{`name = "锅炉", x = 1`, "x"},
		{"\tx = 1", "x"},
		{"a\tb\tx = 1", "x"},
		{"é = e\u0301, x", "x"},
		{"⚡ x", "x"},
		{`label = "锅炉房"`, "锅炉房"},
		{"\x01\x02 x", "x"},
		{strings.Repeat("锅", 200) + " x y", "x"},
		{strings.Repeat("a ", 200) + "x" + strings.Repeat(" b", 200), "x"},
	} {
		start := strings.Index(c.source, c.culprit)
		p := Problem{Code: "E0103", Text: "t", File: "f", Line: 1, Source: c.source,
			Column: len([]rune(c.source[:start])) + 1, Length: len([]rune(c.culprit))}
		var b strings.Builder
		p.render(&b, func(_, text string) string { return text })
		lines := strings.Split(b.String(), "\n")
		shown, caret := lines[2], lines[3]
		col := 0
		at := ""
		for _, cell := range cells(shown) {
			if col >= strings.IndexByte(caret, '^') && col < strings.LastIndexByte(caret, '^')+1 {
				at += cell.text
			}
			col += cell.cols
		}
		if at != c.culprit {
			t.Errorf("the caret is under %q, not %q:\n%s\n%s", at, c.culprit, shown, caret)
		}
		if columns(cells(shown)) > maxShown+10 {
			t.Errorf("a line of %d columns:\n%s", columns(cells(shown)), shown)
		}
	}
}

func TestColour(t *testing.T) {
	_, r := LoadText("f.toml", "x = 1\n[[bus]]\nname = \"b\"\ntcp = \"10.0.0.1\"\n", Options{})
	var plainText, coloured strings.Builder
	if r.Render(&plainText, false) != nil || r.Render(&coloured, true) != nil {
		t.Fatal("render")
	}
	if strings.Contains(plainText.String(), "\x1b") {
		t.Error("colour where none was asked for")
	}
	stripped := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(coloured.String(), "")
	if d := cmp.Diff(plainText.String(), stripped); d != "" {
		t.Error(d)
	}
	if !strings.Contains(coloured.String(), red) || !strings.Contains(coloured.String(), yellow) {
		t.Errorf("%q", coloured.String())
	}
}

func TestJSON(t *testing.T) {
	_, r := LoadText("f.toml", "version = 1\nfoo = \"<锅炉>\"\n", Options{})
	var b bytes.Buffer
	if err := r.JSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Schema   string
		OK       bool
		Files    []string
		Problems []Problem
		Summary  Summary
	}
	dec := json.NewDecoder(&b)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Schema != "fieldgate.check/1" || got.OK || len(got.Files) != 1 || len(got.Problems) != 1 || got.Summary.Errors != 1 {
		t.Fatalf("%+v", got)
	}
	p := got.Problems[0]
	if p.Code != "E0103" || p.File != "f.toml" || p.Line != 2 || p.Column != 1 || p.Length != 3 || p.Key != "foo" || p.Source != `foo = "<锅炉>"` {
		t.Errorf("%+v", p)
	}
	_, r = LoadText("f.toml", "", Options{})
	b.Reset()
	if err := r.JSON(&b); err != nil || !strings.Contains(b.String(), `"problems": []`) || !strings.Contains(b.String(), `"ok": true`) {
		t.Errorf("%v %s", err, b.String())
	}
}

func TestReportErr(t *testing.T) {
	_, r := LoadText("f.toml", "x = 1\ny = 2\n[log]\nlevel = \"a\"\n", Options{})
	if got := r.Err().Error(); !strings.HasPrefix(got, `f.toml:1:1: unknown key "x"`) || !strings.HasSuffix(got, "(and 2 errors more)") {
		t.Error(got)
	}
	if _, r := LoadText("f.toml", "", Options{}); r.Err() != nil {
		t.Error(r.Err())
	}
}

func TestSummary(t *testing.T) {
	for want, s := range map[string]Summary{
		"0 devices, 0 tags: 0 errors, 0 warnings":                         {},
		"1 device, 1 tag, 1 request per cycle: 1 error, 1 warning":        {1, 1, 1, 1, 1},
		"6 devices, 151 tags, 12 requests per cycle: 1 error, 2 warnings": {6, 151, 12, 1, 2},
	} {
		if got := s.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
