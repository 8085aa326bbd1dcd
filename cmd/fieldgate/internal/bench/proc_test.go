package bench

import (
	"os"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const rest = " S 1 2 3 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 9 0 12345 1 1\n"
	for _, c := range []struct {
		name, text string
		want       time.Duration
		bad        bool
	}{
		{"plain", "42 (fieldgate)" + rest, 1750 * time.Millisecond, false},
		{"a name with spaces and brackets", "42 (a) b (c) 7 8)" + rest, 1750 * time.Millisecond, false},
		{"no name", "42 fieldgate S 1", 0, true},
		{"cut off", "42 (fieldgate) S 1 2 3", 0, true},
		{"no number", "42 (fieldgate) S 1 2 3 0 -1 4194560 1 2 3 4 x 25 0", 0, true},
		{"empty", "", 0, true},
	} {
		got, err := parseStat([]byte(c.text))
		if (err != nil) != c.bad || got != c.want {
			t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.want)
		}
	}
}

func TestParseStatus(t *testing.T) {
	got, err := parseStatus([]byte("Name:\tfieldgate\nVmHWM:\t   300 kB\nVmRSS:\t   200 kB\nRssAnon:\t     50 kB\nThreads:\t9\n"))
	if want := (Memory{RSS: 200 << 10, Anon: 50 << 10, Peak: 300 << 10}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, text := range []string{"", "VmRSS:\t200 kB\n", "VmHWM:\tmany kB\nVmRSS:\t1 kB\nRssAnon:\t1 kB\n"} {
		if got, err := parseStatus([]byte(text)); err == nil {
			t.Errorf("%q: %+v and no error", text, got)
		}
	}
}

func TestOwnProcess(t *testing.T) {
	m, err := memory(os.Getpid())
	if err != nil || m.RSS <= 0 || m.Anon > m.RSS || m.Peak < m.Anon {
		t.Errorf("memory: %+v, %v", m, err)
	}
	meter, err := meterCPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		used, _, err := meter.read()
		if err != nil {
			t.Fatal(err)
		}
		if used > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("this loop uses no processor time")
		}
	}
	if _, err := meterCPU(-1); err == nil {
		t.Error("a process that is not there has processor time")
	}
}

func TestQuantile(t *testing.T) {
	var times []time.Duration
	for i := 100; i >= 1; i-- {
		times = append(times, time.Duration(i)*time.Millisecond)
	}
	if got, want := summarise(times), (Latency{100, 50, 99, 100}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := summarise([]time.Duration{time.Second}), (Latency{1, 1000, 1000, 1000}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := summarise(nil); got != (Latency{}) {
		t.Errorf("%+v of nothing", got)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(c.in); got != c.want {
			t.Errorf("median of %v: %v, want %v", c.in, got, c.want)
		}
	}
}
