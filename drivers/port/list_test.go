package port

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// machine builds a /sys, /dev and /proc with the given ports.
type machine struct {
	t    *testing.T
	root string
}

func (m machine) file(path, text string) {
	m.t.Helper()
	full := filepath.Join(m.root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m machine) link(path, to string) {
	m.t.Helper()
	full := filepath.Join(m.root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Symlink(to, full); err != nil {
		m.t.Fatal(err)
	}
}

// usb plugs an adapter into a socket.
func (m machine) usb(tty, socket, driver, product, serial, latency string) {
	dev := "sys/devices/usb1/" + socket
	m.file(dev+"/product", product+"\n")
	if serial != "" {
		m.file(dev+"/serial", serial+"\n")
	}
	iface := dev + "/" + socket + ":1.0/" + tty
	m.file("sys/bus/usb-serial/drivers/"+driver+"/module", "")
	m.file(iface+"/port_number", "0")
	m.link(iface+"/driver", filepath.Join(m.root, "sys/bus/usb-serial/drivers", driver))
	if latency != "" {
		m.file(iface+"/latency_timer", latency)
	}
	m.link("sys/class/tty/"+tty+"/device", filepath.Join(m.root, iface))
	m.file("dev/"+tty, "")
	m.link("dev/serial/by-path/platform-usb-"+socket+"-port0", "../../"+tty)
}

func TestList(t *testing.T) {
	m := machine{t, t.TempDir()}
	m.usb("ttyUSB0", "1-1", "ftdi_sio", "USB-RS485 Cable", "FT4ABCDE", "16\n")
	m.link("dev/serial/by-id/usb-FTDI_FT4ABCDE-if00-port0", "../../ttyUSB0")
	m.usb("ttyUSB1", "1-2", "ch341-uart", "USB Serial", "", "")
	m.usb("ttyUSB2", "1-3", "ch341-uart", "USB Serial", "", "")
	m.link("dev/serial/by-id/usb-1a86_USB_Serial-if00-port0", "../../ttyUSB2")
	m.file("sys/class/tty/ttyS4/type", "0\n") // a placeholder
	m.file("sys/class/tty/ttyS4/device/x", "")
	m.file("sys/class/tty/tty1/dev", "4:1") // a console
	m.file("proc/4711/comm", "minicom\n")
	m.link("proc/4711/fd/3", filepath.Join(m.root, "dev/ttyUSB0"))
	m.link("proc/4711/fd/4", filepath.Join(m.root, "dev/ttyUSB0"))

	got, err := list(m.root)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 {
		t.Fatalf("%d ports: %+v", len(got), got)
	}
	ftdi := got[0]
	if ftdi.Path != filepath.Join(m.root, "dev/serial/by-id/usb-FTDI_FT4ABCDE-if00-port0") || ftdi.Driver != "ftdi_sio" ||
		ftdi.Product != "USB-RS485 Cable" || ftdi.Serial != "FT4ABCDE" || ftdi.Latency != 16 || ftdi.Access != "" {
		t.Errorf("ttyUSB0: %+v", ftdi)
	}
	if len(ftdi.Holders) != 1 || ftdi.Holders[0].String() != "minicom (process 4711)" {
		t.Errorf("holders %v", ftdi.Holders)
	}
	for i, socket := range []string{"1-2", "1-3"} {
		twin := got[i+1]
		if !strings.HasSuffix(twin.Path, "by-path/platform-usb-"+socket+"-port0") || twin.Warning == "" {
			t.Errorf("twin %s: %+v", socket, twin)
		}
	}
}

func TestListOfThisMachine(t *testing.T) {
	if _, err := List(); err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
}

func TestLowerLatency(t *testing.T) {
	file := filepath.Join(t.TempDir(), "latency_timer")
	os.WriteFile(file, []byte("16\n"), 0o644)
	restore, note := lowerLatency(file)
	if note != "" || readLatency(file) != 1 {
		t.Fatalf("timer %d, note %q", readLatency(file), note)
	}
	restore()
	if readLatency(file) != 16 {
		t.Errorf("restored to %d", readLatency(file))
	}
	if restore, note := lowerLatency(file + "-missing"); restore != nil || note != "" {
		t.Error("an adapter without a timer is not a problem")
	}
}

func TestHolderWithoutAName(t *testing.T) {
	m := machine{t, t.TempDir()}
	m.link("proc/12/fd/0", "/dev/ttyX")
	got := holders(filepath.Join(m.root, "proc"), "/dev/ttyX")["/dev/ttyX"]
	if len(got) != 1 || got[0].PID != 12 || got[0].Command != "a program" {
		t.Errorf("got %v", got)
	}
	if self := (Holder{PID: os.Getpid()}).String(); strings.Contains(self, strconv.Itoa(os.Getpid())) {
		t.Errorf("our own process reads %q", self)
	}
}
