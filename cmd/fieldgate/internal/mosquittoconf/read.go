package mosquittoconf

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Option is a line of the file.
type Option struct {
	Key, Value string
	Line       int
}

// Bridge is a connection section.
type Bridge struct {
	Name    string
	Line    int
	Options []Option
}

// File is a mosquitto.conf as far as its bridges go.
type File struct {
	Bridges []Bridge
	Others  []Option // options that are not about a bridge
}

// maxLine bounds a line; topics are at most 64 KiB.
const maxLine = 256 << 10

// Read reads a mosquitto.conf. Bridge options belong to the connection line
// above them; one without is an error, as it is to mosquitto.
func Read(r io.Reader) (File, error) {
	var f File
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxLine)
	for line := 1; in.Scan(); line++ {
		text := strings.TrimSpace(in.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		key, value, _ := strings.Cut(strings.ReplaceAll(text, "\t", " "), " ")
		o := Option{key, strings.TrimSpace(value), line}
		switch {
		case key == "connection":
			if o.Value == "" {
				return f, fmt.Errorf("line %d: connection without a name", line)
			}
			f.Bridges = append(f.Bridges, Bridge{Name: o.Value, Line: line})
		case !ofBridge(key):
			f.Others = append(f.Others, o)
		case len(f.Bridges) == 0:
			return f, fmt.Errorf("line %d: %s stands before any connection", line, key)
		default:
			b := &f.Bridges[len(f.Bridges)-1]
			b.Options = append(b.Options, o)
		}
	}
	if err := in.Err(); err != nil {
		return f, fmt.Errorf("read: %w", err)
	}
	return f, nil
}

// ofBridge reports an option of a connection section, mosquitto.conf(5),
// "Configuring Bridges".
func ofBridge(key string) bool {
	if _, known := options[key]; known {
		return true
	}
	return strings.HasPrefix(key, "bridge_") || strings.HasPrefix(key, "remote_")
}

// get is the last value of an option, as mosquitto takes it.
func (b *Bridge) get(names ...string) (value string, ok bool) {
	for _, o := range b.Options {
		for _, n := range names {
			if o.Key == n {
				value, ok = o.Value, true
			}
		}
	}
	return value, ok
}

// isTrue is a boolean with mosquitto's default.
func (b *Bridge) isTrue(name string, def bool) bool {
	v, ok := b.get(name)
	if !ok {
		return def
	}
	return v == "true" || v == "1"
}

// fields splits a topic line; "" stands for an empty prefix.
func fields(value string) []string {
	all := strings.Fields(value)
	for i, f := range all {
		if f == `""` {
			all[i] = ""
		}
	}
	return all
}
