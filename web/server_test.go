package web

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/configs/conf"
)

func sources() Sources {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return Sources{
		Status: func() Status {
			return Status{
				Schema: Schema, State: "degraded", Gateway: Gateway{ID: "gw", Version: "v1"},
				Problems: []Problem{{Code: "E0701", Part: "device boiler2", Text: "timeout"}},
				Devices:  []Device{{Name: "boiler2", State: "offline", LastOK: &now}, {Name: `we"ird`, State: "online"}},
				Buses:    []Bus{{Name: "plc", Requests: 7, Errors: map[string]uint64{"timeout": 3}}},
				Upstream: []Link{{Name: "cloud", State: "online", Queue: Queue{Messages: 5, Dropped: map[string]uint64{"age": 2}}}},
			}
		},
		Tags: func() []Tag {
			return []Tag{
				{Device: "boiler2", Tag: "temp", Value: 71.5, Quality: "good"},
				{Device: "boiler2", Tag: "on", Value: true, Quality: "good"},
				{Device: "boiler2", Tag: "raw", Value: json.RawMessage("12.25"), Quality: "good"}, // as the gateway hands values over
				{Device: "boiler2", Tag: "text", Value: json.RawMessage(`"17"`), Quality: "good"},
				{Device: "meter", Tag: "power", Value: nil, Quality: "bad", Reason: "timeout"},
			}
		},
		Alive: func() error { return nil },
		Ready: func() error { return errors.New("queue is not open") },
		Log:   slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func get(t *testing.T, h http.Handler, path string, header ...string) (int, string) {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	r.Host = "127.0.0.1:8080"
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestPages(t *testing.T) {
	h := New(Config{}, Metrics{Tags: true}, sources()).Handler()
	for _, c := range []struct {
		path string
		code int
		want string
	}{
		{"/", 200, "<title>fieldgate"},
		{"/app.js", 200, "api/status"},
		{"/nothing", 404, ""},
		{"/api/status", 200, `"schema":"fieldgate.status/1"`},
		{"/api/tags?match=boiler2/t*", 200, `"tags":[{"device":"boiler2","tag":"temp","value":71.5`},
		{"/api/tags?match=zzz", 200, `"tags":[]`},
		{"/api/tags?match=[", 400, "pattern"},
		{"/livez", 200, "ok"},
		{"/readyz", 503, "queue is not open"},
		{"/healthz?verbose", 200, "device boiler2: timeout"},
		{"/metrics", 200, `fieldgate_bus_errors_total{bus="plc",reason="timeout"} 3`},
		{"/metrics", 200, `fieldgate_device_up{device="we\"ird"} 1`},
		{"/metrics", 200, `fieldgate_queue_dropped_total{reason="age",upstream="cloud"} 2`},
		{"/metrics", 200, `fieldgate_tag_value{device="boiler2",tag="on"} 1`},
	} {
		code, body := get(t, h, c.path)
		if code != c.code || !strings.Contains(body, c.want) {
			t.Errorf("GET %s: %d, want %d with %q\n%s", c.path, code, c.code, c.want, body)
		}
	}
	_, body := get(t, h, "/metrics")
	if !strings.Contains(body, `fieldgate_tag_value{device="boiler2",tag="raw"} 12.25`) {
		t.Error("a value of the gateway is not exported")
	}
	for _, tag := range []string{"power", "text"} {
		if strings.Contains(body, `tag="`+tag+`"`) {
			t.Errorf("%s is exported as a metric", tag)
		}
	}
}

func TestForeignPagesAreRefused(t *testing.T) {
	h := New(Config{}, Metrics{}, sources()).Handler()
	if code, _ := get(t, h, "/api/status", "Sec-Fetch-Site", "cross-site"); code != 403 {
		t.Errorf("a foreign page gets %d", code)
	}
}

// TestForeignNamesAreRefused: a name of somebody else's that points here makes
// his page the same origin as ours (DNS rebinding).
func TestForeignNamesAreRefused(t *testing.T) {
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	machine, _, _ = strings.Cut(machine, ".")
	h := New(Config{}, Metrics{}, sources()).Handler()
	for host, want := range map[string]int{
		"127.0.0.1:8080": 200, "192.168.1.7": 200, "[::1]:8080": 200, "[fe80::1]": 200, "localhost:8080": 200, "LOCALHOST": 200,
		machine + ":8080": 200, strings.ToUpper(machine) + ".local": 200, machine + ".plant.example:80": 200,
		"evil.example:8080": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example": 421, "evil." + machine: 421, "": 421,
	} {
		r := httptest.NewRequest("GET", "/api/status", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("Host %q: %d, want %d", host, w.Code, want)
		}
	}
}

// TestProbesShareOneCheck: whoever may read the page must not be able to keep
// the buses busy with it.
func TestProbesShareOneCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := 0
		src := sources()
		src.Alive = func() error { checks++; return errors.New("stuck") }
		h := New(Config{}, Metrics{}, src).Handler()
		for range 50 {
			if code, body := get(t, h, "/livez"); code != 503 || !strings.Contains(body, "stuck") {
				t.Fatalf("%d %s", code, body)
			}
		}
		if checks != 1 {
			t.Errorf("%d checks for 50 probes", checks)
		}
		time.Sleep(probeKeep)
		if get(t, h, "/livez"); checks != 2 {
			t.Errorf("%d checks: the answer is kept for ever", checks)
		}
	})
}

func TestPortTaken(t *testing.T) {
	address := "127.0.0.1:0"
	first := New(Config{Bind: &address}, Metrics{}, sources())
	if err := first.Listen(); err != nil {
		t.Fatal(err)
	}
	defer first.close()
	taken := first.Addr().String()
	err := New(Config{Bind: &taken}, Metrics{}, sources()).Listen()
	if err == nil || !strings.Contains(err.Error(), taken) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v", err)
	}
}

func TestBindIsChecked(t *testing.T) {
	for _, c := range []struct {
		bind string
		open bool
		want string
	}{
		{"127.0.0.1:8080", false, ""}, {"localhost:8080", false, ""}, {"[::1]:8080", false, ""}, {"", false, ""},
		{":8080", false, "E0902"}, {"0.0.0.0:8080", false, "E0902"}, {":8080", true, ""}, {"8080", false, "E0901"},
	} {
		got := ""
		Config{Bind: &c.bind, ViewerWithoutLogin: c.open}.Validate(func(p conf.Problem) { got = p.Code })
		if got != c.want {
			t.Errorf("bind %q open %v: %q, want %q", c.bind, c.open, got, c.want)
		}
	}
}
