package main

import (
	"bufio"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

// TestEveryDependencyHasItsReason: what go.mod requires directly stands with a
// sentence in CONTRIBUTING.md.
func TestEveryDependencyHasItsReason(t *testing.T) {
	reasons := readAll(t, "CONTRIBUTING.md")
	direct := 0
	s := bufio.NewScanner(strings.NewReader(readAll(t, "go.mod")))
	for s.Scan() {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(s.Text()), "require "))
		if len(fields) < 2 || !strings.Contains(fields[0], ".") || !strings.HasPrefix(fields[1], "v") || strings.Contains(s.Text(), "// indirect") {
			continue
		}
		direct++
		if !strings.Contains(reasons, "`"+fields[0]+"`") {
			t.Errorf("%s has no reason in CONTRIBUTING.md", fields[0])
		}
	}
	if direct < 10 {
		t.Errorf("found only %d direct dependencies in go.mod", direct)
	}
}

// TestEveryPackageSaysWhatItIsFor: a package comment in each folder with code.
func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	documented := map[string]bool{}
	walkGo(t, func(path string) {
		dir := filepath.Dir(path)
		if strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(path, "doc_test.go") {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Error(err)
			return
		}
		documented[dir] = documented[dir] || f.Doc != nil && len(f.Doc.Text()) > 40
	})
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s: no file says what the package is for", dir)
		}
	}
}

// TestFilesStaySmall: a file holds one thing. Tables of tests may be longer.
func TestFilesStaySmall(t *testing.T) {
	walkGo(t, func(path string) {
		limit := 500
		if strings.HasSuffix(path, "_test.go") {
			limit = 900
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			return
		}
		if n := strings.Count(string(text), "\n"); n > limit {
			t.Errorf("%s has %d lines; split it by subject", path, n)
		}
	})
}

// TestNobodyPretends: only tests set the clock off.
func TestNobodyPretends(t *testing.T) {
	walkGo(t, func(path string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			return
		}
		if strings.Contains(string(text), "clock.Pretend(") {
			t.Errorf("%s sets the clock off", path)
		}
	})
}

func walkGo(t *testing.T, f func(path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && d.Name() != "..") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			f(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func readAll(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
