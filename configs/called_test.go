package configs

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestForeignNames: each leads to a key that there is, and is none itself.
func TestForeignNames(t *testing.T) {
	var paths []string
	for _, k := range Keys() {
		paths = append(paths, k.Path)
	}
	for _, path := range slices.Sorted(maps.Keys(called)) {
		section := path[:strings.LastIndexByte(path, '.')]
		if !slices.Contains(paths, section+"."+called[path]) || slices.Contains(paths, path) {
			t.Errorf("%s leads to %s", path, called[path])
		}
	}
}
