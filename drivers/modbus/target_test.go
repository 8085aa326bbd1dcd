package modbus

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"boiler", "device boiler "},
		{"boiler/temp", "device boiler temp"},
		{"tcp://10.0.0.1", "tcp 10.0.0.1 1"},
		{"tcp://10.0.0.1:1502/7", "tcp 10.0.0.1:1502 7"},
		{"tcp://[::1]:502/7?timeout=2s", "tcp [::1]:502 7 2s"},
		{"rtu+tcp://10.0.0.1:4001/3", "rtu+tcp 10.0.0.1:4001 3"},
		{"rtu+udp://10.0.0.1:4002/3", "rtu+udp 10.0.0.1:4002 3"},
		{"rtu:///dev/ttyUSB0/3?baud=19200&mode=8E1", "rtu /dev/ttyUSB0 3 19200 8E1"},
		{"rtu://dev/ttyUSB0", "rtu /dev/ttyUSB0 1"},
		{"ascii:///dev/serial/by-id/usb-FTDI-if00-port0/12", "ascii /dev/serial/by-id/usb-FTDI-if00-port0 12"},
		{"rtu:///dev/pts/3", "rtu /dev/pts/3 1"},
		{"rtu:///dev/pts/3/9", "rtu /dev/pts/3 9"},
		{"rtu:///dev/pts/3?unit=4", "rtu /dev/pts/3 4"},
		{"", "error: is not a target"},
		{"a/b/c", "error: is not a target"},
		{"tcp://", "error: has no wire"},
		{"tcp://h/999", `error: unit "999"`},
		{"http://h", `error: unknown scheme "http"`},
		{"rtu:///dev/x?speed=9600", "error: speed=9600: unknown option"},
		{"rtu:///dev/x?mode=8Q1", "error: mode"},
		{"rtu:///dev/x?baud=fast", "error: baud=fast"},
	} {
		target, err := ParseTarget(c.text)
		if want, isError := strings.CutPrefix(c.want, "error: "); isError {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %q", c.text, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		got := fmt.Sprintf("device %s %s", target.Device, target.Tag)
		if b := target.Bus; b != nil {
			cfg := b.Line(nil)
			got = fmt.Sprintf("%s %s%s %d", cfg.Kind, cfg.Port, cfg.Address, target.Unit)
			if b.Timeout != 0 {
				got += " " + b.Timeout.String()
			}
			if b.Baud != 0 {
				got += fmt.Sprintf(" %d %s", b.Baud, b.Mode)
			}
		}
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}
