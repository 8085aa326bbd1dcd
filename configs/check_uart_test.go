package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUART(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"proc/device-tree/model": "Raspberry Pi 3 Model B Plus Rev 1.3\x00",
		"proc/cmdline":           "console=tty1 console=ttyAMA7,115200 root=/dev/mmcblk0p2",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A port that is there under the name that the kernel gave it.
	small := filepath.Join(root, "ttyS0")
	if err := os.WriteFile(small, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(root, "serial0")
	if err := os.Symlink(small, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, root, port, mode, code string }{
		{"parity on the small UART", root, link, "8E1", "E0410"},
		{"no parity", root, link, "8N1", ""},
		{"another board", t.TempDir(), link, "8E1", ""},
		{"console", root, "/dev/ttyAMA7", "8E1", "E0411"},
		{"a real UART", root, "/dev/ttyAMA0", "8E1", ""},
	} {
		text := "[[bus]]\nname = \"a\"\nport = " + quote(c.port) + "\nmode = " + quote(c.mode) +
			"\n[[device]]\nname = \"d\"\nbus = \"a\"\ntags = [ { name = \"t\", reg = \"h1\" } ]\n"
		_, r := LoadText("f.toml", text, Options{root: c.root})
		var codes []string
		for _, p := range r.Problems {
			codes = append(codes, p.Code)
		}
		if strings.Join(codes, " ") != c.code {
			t.Errorf("%s: %s", c.name, rendered(r))
		}
	}
}
