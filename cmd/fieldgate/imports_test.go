package main

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// leaves may be imported by everything; they import nothing of ours.
var leaves = []string{"configs/conf", "buffer/clock"}

// mayImport lists what each package may import of ours, besides the leaves.
// A package that is not listed may import nothing of ours. The program itself
// may import everything.
var mayImport = map[string][]string{
	"mqtt":                     {},
	"mqtt/packet":              {"mqtt"},
	"mqtt/session":             {"mqtt", "mqtt/packet"},
	"mqtt/broker":              {"mqtt", "mqtt/packet", "mqtt/session"},
	"mqtt/client":              {"mqtt", "mqtt/packet", "mqtt/session"},
	"mqtt/mqtttest":            {"mqtt", "mqtt/packet"},
	"mqtt/encode":              {"mqtt"},
	"mqtt/conformance":         {}, // tests only
	"buffer":                   {"mqtt"},
	"drivers":                  {"mqtt", "mqtt/encode"},
	"drivers/port":             {"drivers"},
	"drivers/port/pty":         {},
	"drivers/port/porttest":    {"drivers/port", "drivers/port/pty"},
	"drivers/modbus/wire":      {"drivers", "drivers/port"},
	"drivers/modbus/server":    {"drivers", "drivers/port", "drivers/modbus/wire"},
	"drivers/modbus":           {"drivers", "drivers/port", "drivers/modbus/wire"},
	"drivers/serial":           {"drivers", "drivers/port"},
	"drivers/sim":              {"drivers", "drivers/port/pty", "drivers/modbus/server"},
	"bridge/clusters":          {},                                          // tests only
	"bridge/clusters/rabbitmq": {"mqtt", "mqtt/client", "scripts/peertest"}, // for tests
	"bridge/netlab":            {},
	"bridge/outages":           {}, // tests only
	"bridge":                   {"mqtt", "mqtt/client", "mqtt/encode", "buffer"},
	"configs":                  {"configs/tree", "mqtt", "buffer", "bridge", "drivers", "drivers/modbus", "drivers/serial", "mqtt/broker", "web"},
	"configs/tree":             {},
	"web":                      {"mqtt/broker", "buffer", "bridge", "drivers"},
}

// TestImportDirections keeps the rooms of the house apart: the directions of
// CONTRIBUTING.md, checked against the code without its tests.
func TestImportDirections(t *testing.T) {
	pkgs, err := packages.Load(&packages.Config{Mode: packages.NeedName | packages.NeedImports, Dir: "../.."}, "./...")
	if err != nil {
		t.Fatal(err)
	}
	if len(pkgs) < 10 {
		t.Fatalf("found only %d packages", len(pkgs))
	}
	for _, p := range pkgs {
		name := strings.TrimPrefix(p.PkgPath, "fieldgate/")
		if strings.HasPrefix(name, "cmd/") || strings.HasPrefix(name, "scripts/") {
			continue
		}
		allowed, known := mayImport[name]
		if !known && !slices.Contains(leaves, name) {
			t.Errorf("%s has no row in mayImport; decide what it may import", name)
		}
		for path := range p.Imports {
			ours, ok := strings.CutPrefix(path, "fieldgate/")
			if !ok || slices.Contains(allowed, ours) {
				continue
			}
			if slices.Contains(leaves, ours) && !slices.Contains(leaves, name) {
				continue
			}
			t.Errorf("%s imports %s, which its row in mayImport does not allow", name, ours)
		}
	}
}
