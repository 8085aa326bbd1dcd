package configs

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"

	"fieldgate/bridge"
	"fieldgate/buffer"
	"fieldgate/configs/conf"
	"fieldgate/drivers"
	"fieldgate/drivers/modbus"
	"fieldgate/drivers/serial"
	"fieldgate/mqtt/broker"
	"fieldgate/web"
)

// Version is the configuration schema that this program reads.
const Version = 1

// File is a whole configuration: the main file with all it includes. Zero
// means the default in every section; the defaults of the sections declared
// here are filled in by Default.
type File struct {
	Version  int             `toml:"version"`
	Include  []string        `toml:"include"`
	Gateway  drivers.Gateway `toml:"gateway"`
	Log      Log             `toml:"log"`
	Broker   broker.Config   `toml:"broker"`
	Publish  drivers.Publish `toml:"publish"`
	Home     HomeAssistant   `toml:"homeassistant"`
	Bus      []modbus.Bus    `toml:"bus"`
	Device   []modbus.Device `toml:"device"`
	Serial   []serial.Config `toml:"serial"`
	Buffer   buffer.Config   `toml:"buffer"`
	Upstream []bridge.Config `toml:"upstream"`
	Web      web.Config      `toml:"web"`
	Metrics  web.Metrics     `toml:"metrics"`

	root  *value // what the files held, for Show; nil for a File made in Go, and after Forget
	print string // the fingerprint, after Forget
}

// Log is the [log] section.
type Log struct {
	Level        string        `toml:"level"`         // debug|info|warn|error
	Format       string        `toml:"format"`        // auto|text|json|journal
	RepeatWindow conf.Duration `toml:"repeat_window"` // identical messages are counted, not repeated; 0s: never
}

// HomeAssistant is the [homeassistant] section. Discovery is not built yet:
// enabled = true is refused.
type HomeAssistant struct {
	Enabled bool   `toml:"enabled"`
	Prefix  string `toml:"prefix"`
}

// Default is the configuration of an empty file.
func Default() *File {
	return &File{
		Version: Version,
		Gateway: drivers.Gateway{ID: hostname()},
		Log:     Log{Level: "info", Format: "auto", RepeatWindow: conf.Duration(60e9)},
		Home:    HomeAssistant{Prefix: "homeassistant"},
	}
}

// hostname is the host's own name without its domain, or "fieldgate". What
// cannot stand in a topic level is replaced.
func hostname() string {
	name, err := os.Hostname()
	name, _, _ = strings.Cut(name, ".")
	if err != nil || name == "" {
		return "fieldgate"
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("/+# $", r) || r < ' ' {
			return '-'
		}
		return r
	}, name)
}

// Fingerprint tells configurations apart: 12 hex digits over what Show writes,
// in which secrets are hidden.
func (f *File) Fingerprint() string {
	if f.print != "" {
		return f.print
	}
	sum := sha256.New()
	_ = f.Show(sum) // a hash takes every write
	return hex.EncodeToString(sum.Sum(nil))[:12]
}

// Forget gives up what only Show needs, the text of the files and its tree: a
// large part of what the configuration of a large plant takes. Fingerprint stays.
func (f *File) Forget() {
	f.print = f.Fingerprint()
	f.root = nil
}
