package configs

import (
	"path/filepath"
	"testing"
)

// exampleFiles are the main files of all example plants.
func exampleFiles(t *testing.T) []string {
	t.Helper()
	single, err := filepath.Glob("examples/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	folders, err := filepath.Glob("examples/*/fieldgate.toml")
	if err != nil {
		t.Fatal(err)
	}
	all := append(single, folders...)
	if len(all) < 6 {
		t.Fatalf("only %d examples", len(all))
	}
	return all
}

// Every example is a whole plant without a single problem.
func TestExamplesAreClean(t *testing.T) {
	for _, name := range exampleFiles(t) {
		t.Run(filepath.ToSlash(name), func(t *testing.T) {
			f, r := Load(name, Options{SkipFiles: true})
			if len(r.Problems) > 0 {
				t.Fatal("\n" + rendered(r))
			}
			if r.Summary.Tags == 0 || len(f.Upstream) == 0 {
				t.Errorf("%s holds %s", name, r.Summary)
			}
		})
	}
}
