package logs

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRepeatsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		log := New(&b, Options{Format: "text", Repeat: time.Minute, Location: time.UTC}).With("device", "boiler2")
		for range 113 {
			log.Warn("timeout")
			time.Sleep(time.Second / 2)
		}
		log.Warn("timeout", "unit", 3)
		time.Sleep(time.Minute)
		log.Info("back")
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		want := []string{"timeout device=boiler2", "timeout device=boiler2 unit=3", "timeout device=boiler2 repeated=112", "back"}
		if len(lines) != len(want) {
			t.Fatalf("got %d lines:\n%s", len(lines), b.String())
		}
		for i, w := range want {
			if !strings.Contains(lines[i], w) {
				t.Errorf("line %d: %q, want %q in it", i, lines[i], w)
			}
		}
	})
}

func TestRepeatsAreBounded(t *testing.T) {
	var b bytes.Buffer
	log := New(&b, Options{Format: "text", Repeat: time.Hour})
	for i := range 4 * maxRepeats {
		log.Info("message", "n", i)
	}
	h := log.Handler().(*repeat)
	if n := len(h.state.seen); n != maxRepeats {
		t.Errorf("remembers %d messages", n)
	}
	if n := strings.Count(b.String(), "\n"); n != 4*maxRepeats {
		t.Errorf("wrote %d lines", n)
	}
}

func TestTextLine(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(newText(&b, Options{Location: time.UTC}))
	log.WithGroup("a").Info("hello", "key", "two words", "line", "x\ny", "label", "锅炉", slog.Group("g", "n", 1))
	want := `INFO  hello a.key="two words" a.line="x\ny" a.label=锅炉 a.g.n=1` + "\n"
	if got := b.String(); !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want it to end with %q", got, want)
	}
	log.Debug("hidden")
	if strings.Contains(b.String(), "hidden") {
		t.Error("debug is shown at level info")
	}
}

func TestFieldNames(t *testing.T) {
	if got := fieldName("device.last-ok"); got != "FIELDGATE_DEVICE_LAST_OK" {
		t.Error(got)
	}
}

func TestParseLevel(t *testing.T) {
	for name, want := range map[string]slog.Level{"": slog.LevelInfo, "debug": slog.LevelDebug, "error": slog.LevelError} {
		if got, err := ParseLevel(name); err != nil || got != want {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
	if _, err := ParseLevel("loud"); err == nil {
		t.Error("an unknown level passes")
	}
}

func TestJSONIsReadable(t *testing.T) {
	var b bytes.Buffer
	New(&b, Options{Format: "json"}).Info("m", "wait", 740*time.Millisecond, "at", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1883}, "n", 7)
	if got := b.String(); !strings.Contains(got, `"wait":"740ms","at":"127.0.0.1:1883","n":7`) || !strings.Contains(got, `"level":"INFO"`) {
		t.Errorf("got %s", got)
	}
}
