package conf

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	known := []string{"float32", "uint16", "int16", "boiler-room", "max_age", "Température"}
	for word, want := range map[string]string{
		"flaot32": "float32", "unit16": "uint16", "FLOAT32": "float32", "int16": "int16", "itn16": "int16",
		"boiler_room": "boiler-room", "max-age": "max_age", "temperature": "Température",
		"zzz": "", "": "", strings.Repeat("x", 1000): "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	if got := Nearest("warning", []string{"debug", "info", "warn", "error"}); got != "warn" {
		t.Errorf("warning: %q", got)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "ab", 1}, {"abc", "xyz", 3},
		{"kitten", "sitting", 3}, {"A-b", "a_B", 0}, {"é", "e", 1}, {strings.Repeat("a", 200), "a", 200},
	} {
		if got := Distance(c.a, c.b); got != c.want || Distance(c.b, c.a) != c.want {
			t.Errorf("%q, %q: %d and %d, want %d", c.a, c.b, got, Distance(c.b, c.a), c.want)
		}
	}
}
