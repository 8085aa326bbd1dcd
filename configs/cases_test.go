package configs

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the expected texts anew")

// A case is a folder: fieldgate.toml, what it includes, and the text of the
// report beside it. A folder may hold several that include nothing.
func TestCases(t *testing.T) {
	dirs, err := filepath.Glob("testdata/*")
	if err != nil || len(dirs) == 0 {
		t.Fatal("no cases")
	}
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"SET": "s3cret-value", "CREDENTIALS_DIRECTORY": "testdata/secrets/credentials"}[name]
		return v, ok
	}
	for _, dir := range dirs {
		inputs, _ := filepath.Glob(filepath.Join(dir, "*.toml"))
		for _, input := range inputs {
			t.Run(strings.TrimSuffix(strings.TrimPrefix(input, "testdata/"), ".toml"), func(t *testing.T) {
				_, report := Load(input, Options{Env: env})
				var got bytes.Buffer
				if err := report.Render(&got, false); err != nil {
					t.Fatal(err)
				}
				name := strings.TrimSuffix(input, ".toml") + ".txt"
				if *update {
					if err := os.WriteFile(name, got.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				if got.String() != string(want) {
					t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
				}
			})
		}
	}
}
