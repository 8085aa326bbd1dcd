package port

import (
	"strings"
	"testing"
	"time"
)

func TestParseMode(t *testing.T) {
	for text, want := range map[string]struct {
		mode Mode
		bits int
	}{
		"":    {Mode{8, 'N', 1}, 10},
		"8N1": {Mode{8, 'N', 1}, 10},
		"8e1": {Mode{8, 'E', 1}, 11},
		"7O1": {Mode{7, 'O', 1}, 10},
		"8N2": {Mode{8, 'N', 2}, 11},
		"5M2": {Mode{5, 'M', 2}, 9},
		"6S1": {Mode{6, 'S', 1}, 9},
	} {
		got, err := ParseMode(text)
		if err != nil || got != want.mode || got.Bits() != want.bits {
			t.Errorf("%q: %v %v, %d bits; want %v, %d bits", text, got, err, got.Bits(), want.mode, want.bits)
		}
	}
	for text, want := range map[string]string{
		"8N": "three characters", "9N1": "data bits", "8X1": "parity", "8N3": "stop bits", "8N1.5": "1.5 stop bits", "eight": "three characters",
	} {
		if _, err := ParseMode(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzParseMode(f *testing.F) {
	for _, s := range []string{"8N1", "7e2", "", "8\xff1", "5S2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMode(text)
		if err != nil {
			return
		}
		if back, err := ParseMode(m.String()); err != nil || back != m {
			t.Errorf("%q → %v → %v, %v", text, m, back, err)
		}
	})
}

func TestCharTime(t *testing.T) {
	if got := (Mode{8, 'E', 1}).CharTime(9600); got != 11*time.Second/9600 {
		t.Errorf("got %v", got)
	}
}

func TestRS485Words(t *testing.T) {
	for _, tc := range []struct {
		r    RS485
		want [4]uint32
	}{
		{RS485{}, [4]uint32{3, 0, 0, 0}},
		{RS485{ActiveLow: true, DelayBefore: 2 * time.Millisecond, DelayAfter: time.Second}, [4]uint32{5, 2, 100, 0}},
	} {
		w := tc.r.words()
		if [4]uint32(w[:4]) != tc.want {
			t.Errorf("%+v: %v, want %v", tc.r, w, tc.want)
		}
	}
}
