package serial

import (
	"testing"

	"github.com/BurntSushi/toml"
)

// The sections that the manual shows, as they stand there.
const manual = `
[[serial]]
name = "scale1"
port = "/dev/serial/by-path/platform-xhci-hcd.0-usb-0:1.2:1.0-port0"
baud = 2400
mode = "7E1"
frame   = { kind = "delimiter", end = "\r\n", max = 128 }
request = { send = '\x05', every = "1s", timeout = "500ms" }
content = "regex"
pattern = '^(?P<stable>ST|US),GS,(?P<weight>[+-][ \d.]+)kg'
stale_after = "10s"
tags = [
  { name = "weight", group = "weight", type = "float64", unit = "kg" },
  { name = "stable", group = "stable", enum = { ST = true, US = false } },
]

[[serial]]
name = "dust-hall"
port = "/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0"
baud = 9600
mode = "8N1"
frame = { kind = "fixed", start = "AA C0", length = 10, end = "AB" }
check = { kind = "sum8", range = [2, -2], at = -2 }
tags = [
  { name = "pm2_5", at = 2, type = "u16le", scale = 0.1, unit = "ug/m3" },
  { name = "pm10",  at = 4, type = "u16le", scale = 0.1, unit = "ug/m3" },
]
`

func TestSectionsOfTheManual(t *testing.T) {
	var file struct {
		Serial []Config `toml:"serial"`
	}
	meta, err := toml.Decode(manual, &file)
	if err != nil || len(meta.Undecoded()) > 0 || len(file.Serial) != 2 {
		t.Fatalf("%v, unknown %v, %d sections", err, meta.Undecoded(), len(file.Serial))
	}
	for _, c := range file.Serial {
		if got := problemsOf(c); len(got) > 0 {
			t.Errorf("%s: %q", c.Name, got)
		}
	}
	if send := string(mustCompile(t, file.Serial[0]).requests[0].send); send != "\x05" {
		t.Errorf("the scale is asked with %q", send)
	}
	got := decodeStream(t, file.Serial[0], "x\r\nUS,GS,+  1.250kg\r\n")
	if show(got["weight"]) != "1.25" || show(got["stable"]) != "false" {
		t.Errorf("scale: %v", got)
	}
	got = decodeStream(t, file.Serial[1], hexText("AA C0 7B 00 C0 AA 12 34 2B AB"))
	if show(got["pm2_5"]) != "12.3" || show(got["pm10"]) != "4371.2" {
		t.Errorf("dust: %v", got)
	}
}
