package bridge

import (
	"log/slog"
	"testing"
	"time"
)

// fakeMemory keeps settings in a map.
type fakeMemory map[string][]byte

func (m fakeMemory) Get(key string) ([]byte, bool, error) { v, ok := m[key]; return v, ok, nil }
func (m fakeMemory) Put(key string, v []byte) error       { m[key] = v; return nil }

// nat is a way to the upstream that forgets a connection after a silence.
func (p *pulse) through(nat time.Duration, pings int) (lost int) {
	for range pings {
		if s := p.Interval(); nat == 0 || s <= nat {
			p.Survived(s)
		} else {
			lost++
			p.Died(s)
		}
	}
	return lost
}

// Whatever the way forgets after, the pulse comes near it from below, with few
// losses on the way, and remembers it.
func TestPulseLearns(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	for _, nat := range []time.Duration{0, 59 * time.Second, 61 * time.Second, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 29 * time.Minute} {
		memory := fakeMemory{}
		p := newPulse("up", time.Minute, 20*time.Minute, memory, quiet)
		lost := p.through(nat, 60)
		want := 20 * time.Minute
		if nat > 0 {
			want = max(time.Minute, min(want, nat))
		}
		if got := p.Interval(); got > want || got < max(time.Minute, want*3/4) {
			t.Errorf("NAT of %s: learnt %s", nat, got)
		}
		if nat > time.Minute && lost > 4 || nat == 0 && lost > 0 {
			t.Errorf("NAT of %s: %d connections lost", nat, lost)
		}
		again := newPulse("up", time.Minute, 20*time.Minute, memory, quiet)
		if again.Interval() != p.Interval() {
			t.Errorf("NAT of %s: %s after a restart, %s before", nat, again.Interval(), p.Interval())
		}
		if a := again.announce(); a > 20*time.Minute || a < again.Interval() {
			t.Errorf("announces %s for %s", a, again.Interval())
		}
	}
}

// What was learnt is given up when the network becomes another one, both ways,
// and never leaves the bounds of the configuration.
func TestPulseRelearns(t *testing.T) {
	memory := fakeMemory{}
	p := newPulse("up", time.Minute, 20*time.Minute, memory, slog.New(slog.DiscardHandler))
	p.through(0, 100)
	if lost := p.through(2*time.Minute, 100); p.Interval() > 2*time.Minute || lost > 12 {
		t.Errorf("stricter: %s after %d losses", p.Interval(), lost)
	}
	if lost := p.through(0, 500); p.Interval() != 20*time.Minute || lost > 0 {
		t.Errorf("better again: %s", p.Interval())
	}
	if q := newPulse("up", time.Minute, 5*time.Minute, memory, p.log); q.Interval() != 5*time.Minute || q.announce() != 5*time.Minute {
		t.Errorf("a lower bound in the file: %s", q.Interval())
	}
	memory[p.key] = []byte("{damaged")
	if q := newPulse("up", time.Minute, 5*time.Minute, memory, p.log); q.Interval() != time.Minute {
		t.Errorf("damaged: %s", q.Interval())
	}
	p.Died(30 * time.Second) // below the least: nothing to learn
	if p.Interval() != 20*time.Minute {
		t.Errorf("shrunk to %s by a short silence", p.Interval())
	}
}
