package configs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every code that any package of the program can show is explained, and no
// code is explained twice.
func TestEveryCodeIsExplained(t *testing.T) {
	known := Codes()
	if len(known) != len(codes) {
		seen := map[string]bool{}
		for _, c := range codes {
			if seen[c.code] {
				t.Errorf("%s is explained twice", c.code)
			}
			seen[c.code] = true
		}
	}
	used := map[string][]string{}
	form := regexp.MustCompile(`"([EW]\d{4})"`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(filepath.Base(path), "codes_") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range form.FindAllStringSubmatch(string(text), -1) {
			used[m[1]] = append(used[m[1]], path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(used) < 50 {
		t.Fatalf("found only %d codes in the source", len(used))
	}
	for code, files := range used {
		if known[code] == "" {
			t.Errorf("%s (%s) is not explained in configs/codes_*.go", code, slices.Compact(files)[0])
		}
		if text, err := Explain(code); err == nil && !strings.HasPrefix(text, code) {
			t.Errorf("Explain(%s) = %q", code, text)
		}
	}
}

func TestCodesAreComplete(t *testing.T) {
	for _, c := range codes {
		if !codeForm.MatchString(c.code) || c.title == "" || len(c.text) < 20 || !strings.HasSuffix(c.text, ".") {
			t.Errorf("%+v", c)
		}
	}
}
