package configs

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestLoadSmall(t *testing.T) {
	f, r := LoadText("fieldgate.toml", `
[[bus]]
name = "plc"
tcp  = "192.168.10.20:502"

[[device]]
name = "boiler"
bus  = "plc"
tags = [
  { name = "water_temp", reg = "h100:int16", scale = 0.1, unit = "°C" },
]

[[upstream]]
url = "mqtts://mqtt.example.com:8883"
`, Options{SkipFiles: true})
	if !r.OK() {
		t.Fatal(r.Err())
	}
	if f.Device[0].Tags[0].Reg != "h100:int16" || *f.Device[0].Tags[0].Scale != 0.1 || f.Upstream[0].URL != "mqtts://mqtt.example.com:8883" {
		t.Fatalf("%+v", f)
	}
	if f.Web.Address() != "127.0.0.1:8080" || f.Log.Level != "info" || f.Gateway.ID == "" {
		t.Fatalf("defaults: %+v", f)
	}
}

// Files come in the order of their names, whatever the order of the folder; a
// pattern does not mean the main file itself, nor hidden files.
func TestIncludeOrder(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"20.toml": "[[bus]]\nname = \"second\"\ntcp = \"10.0.0.2\"\n", "10.toml": "[[bus]]\nname = \"first\"\ntcp = \"10.0.0.1\"\n",
		"fieldgate.toml": "include = [\"*.toml\"]\n[gateway]\nid = \"gw\"\n", ".30.toml": "this is = not toml = at all", "40.txt": "neither",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, r := Load(filepath.Join(dir, "fieldgate.toml"), Options{})
	if !r.OK() || len(f.Bus) != 2 || f.Bus[0].Name != "first" || f.Bus[1].Name != "second" || len(r.Files) != 3 {
		t.Fatalf("%v %+v", r.Files, f.Bus)
	}
}

// What is no plain file of a sensible size is refused with a reason, and never
// waited for.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	fifo, large, missing := filepath.Join(dir, "fifo"), filepath.Join(dir, "large"), filepath.Join(dir, "missing")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(large, make([]byte, maxFileSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{dir: "a directory", fifo: "not a plain file", large: "larger than 4MiB", missing: "no such file"} {
		f, r := Load(path, Options{})
		if f == nil || r.OK() || len(r.Problems) != 1 || !strings.Contains(rendered(r), want) || !strings.Contains(rendered(r), path) {
			t.Errorf("%s: %s", path, rendered(r))
		}
	}
	if _, r := LoadText("f.toml", strings.Repeat("#", maxFileSize+1), Options{}); r.OK() || r.Problems[0].Code != "E0115" {
		t.Error(rendered(r))
	}
	for _, text := range []string{"a = " + strings.Repeat("[", 1000), "a = " + strings.Repeat("{a=", 1000), strings.Repeat("a.", 1000) + "a = 1"} {
		if _, r := LoadText("f.toml", text, Options{}); r.OK() || r.Problems[0].Code != "E0115" {
			t.Error(rendered(r))
		}
	}
}

// A report is bounded, however wrong the file is.
func TestManyProblems(t *testing.T) {
	_, r := LoadText("f.toml", strings.Repeat("[[bus]]\nx = 1\n", 5000), Options{SkipFiles: true})
	if len(r.Problems) != maxProblems || !strings.Contains(rendered(r), "only the first 1000") {
		t.Errorf("%d problems", len(r.Problems))
	}
}
