package conf

import (
	"math"
	"testing"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]Size{
		"512": 512, "512B": 512, "64KiB": 64 << 10, "512MiB": 512 << 20, "1GiB": 1 << 30, "2TiB": 2 << 40,
		"64kB": 64e3, "5MB": 5e6, "1GB": 1e9, "1TB": 1e12, "0": 0, "1 MiB": 1 << 20,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%q: %d %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "B", "KiB", "-1", "1.5MiB", "64KB", "64kib", "1PiB", "9223372036854775807KiB", "99999999999999999999", "x", "1e3"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q gave %d, want an error", text, got)
		}
	}
}

func TestSizeString(t *testing.T) {
	for s, want := range map[Size]string{
		0: "0B", 1: "1B", 1023: "1023B", 1024: "1KiB", 1025: "1025B", 512 << 20: "512MiB", 1 << 30: "1GiB", 1536 << 10: "1536KiB", 2 << 40: "2TiB",
		math.MaxInt64: "9223372036854775807B",
	} {
		if got := s.String(); got != want {
			t.Errorf("%d is written %s, want %s", int64(s), got, want)
		}
	}
}

func TestSizeOr(t *testing.T) {
	if Size(0).Or(7) != 7 || Size(9).Or(7) != 9 {
		t.Error("Or")
	}
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"512", "64KiB", "1GB", "-1", "9223372036854775807", "1TiB", " 5 kB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSize(text)
		if err != nil {
			return
		}
		if s < 0 {
			t.Fatalf("%q gave %d", text, s)
		}
		again, err := ParseSize(s.String())
		if err != nil || again != s {
			t.Fatalf("%q is written %q and read %d %v", text, s.String(), again, err)
		}
	})
}
