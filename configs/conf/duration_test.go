package conf

import (
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"250ms": 250 * time.Millisecond, "5s": 5 * time.Second, "10m": 10 * time.Minute, "24h": 24 * time.Hour,
		"14d": 14 * 24 * time.Hour, "1d12h": 36 * time.Hour, "0s": 0, "0": 0, "0d": 0, "1.5s": 1500 * time.Millisecond,
		"1h30m": 90 * time.Minute, "36500d": 36500 * 24 * time.Hour,
	} {
		got, err := ParseDuration(text)
		if err != nil || got.Std() != want {
			t.Errorf("%q: %v %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "5", "d", "s", "-5s", "1d-5s", "5 s", "1.5d", "-1d", "36501d", "65536d", "1000000h", "36500d1s", "5d5d", "ten", "5sec", "1e3s", "\x00",
	} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q gave %v, want an error", text, got)
		}
	}
}

func TestDurationString(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 250 * time.Millisecond: "250ms", time.Minute: "1m", 90 * time.Second: "1m30s", time.Hour: "1h",
		61 * time.Minute: "1h1m", time.Hour + time.Second: "1h0m1s", 24 * time.Hour: "1d", 36 * time.Hour: "36h", 10 * time.Minute: "10m",
		100 * time.Hour: "100h",
	} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%v is written %s, want %s", d, got, want)
		}
	}
}

func TestDurationOr(t *testing.T) {
	if Duration(0).Or(time.Second) != time.Second || Duration(time.Hour).Or(time.Second) != time.Hour {
		t.Error("Or")
	}
}

// What is read is written in a form that reads back as the same.
func FuzzDuration(f *testing.F) {
	for _, s := range []string{"250ms", "14d", "1d12h", "0", "1h0m1s", "-1s", "9999999h", "1µs", "d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDuration(text)
		if err != nil {
			return
		}
		if d < 0 || d > MaxDuration {
			t.Fatalf("%q gave %d", text, d)
		}
		again, err := ParseDuration(d.String())
		if err != nil || again != d {
			t.Fatalf("%q is written %q and read %v %v", text, d.String(), again, err)
		}
	})
}
