package port

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"fieldgate/drivers/port/pty"
)

// uart is a serial driver as its users see it: the settings that ioctls reach,
// and how far it goes along with them. The bytes go through a pseudo-terminal.
type uart struct {
	rs485    func(w *[8]uint32) error // nil: it has no such mode
	flags    uint32                   // of struct serial_struct
	noFlags  error                    // TIOCGSERIAL fails with it
	readOnly error                    // TIOCSSERIAL fails with it
	baud     uint32                   // a field that nobody may change

	log []string
}

func (u *uart) ioctl(f *os.File, request uint, arg unsafe.Pointer) error {
	switch request {
	case 0x542F: // TIOCSRS485
		u.log = append(u.log, fmt.Sprintf("rs485 %v at %s", *(*[8]uint32)(arg), speedOf(f)))
		if u.rs485 == nil {
			return unix.ENOTTY
		}
		return u.rs485((*[8]uint32)(arg))
	case 0x541E: // TIOCGSERIAL
		if u.noFlags != nil {
			return u.noFlags
		}
		words := (*[18]uint32)(arg) // type, line, port, irq, flags, …, baud_base at 7
		words[4], words[7] = u.flags, u.baud
		return nil
	case 0x541F: // TIOCSSERIAL
		words := (*[18]uint32)(arg)
		if u.readOnly != nil {
			return u.readOnly
		}
		u.log = append(u.log, fmt.Sprintf("flags %x baud %d", words[4], words[7]))
		u.flags = words[4]
		return nil
	}
	return fmt.Errorf("ioctl %#x is not one of a serial driver", request)
}

// speedOf is the speed that the line has at the moment.
func speedOf(f *os.File) (speed string) {
	err := control(f, func(fd int) {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
		if err != nil {
			speed = err.Error()
			return
		}
		speed = fmt.Sprint(t.Ospeed)
	})
	if err != nil {
		return err.Error()
	}
	return speed
}

// openOn opens a new line whose driver is u. Its sysfs has a latency timer
// where one is given.
func openOn(t *testing.T, u *uart, cfg Config, timer string) (p *Port, timerFile string, err error) {
	t.Helper()
	line, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.Close() })
	sys := t.TempDir()
	timerFile = filepath.Join(sys, "class/tty", filepath.Base(line.Path()), "device/latency_timer")
	if timer != "" {
		m := machine{t, sys}
		m.file(strings.TrimPrefix(timerFile, sys), timer)
	}
	cfg.Path = line.Path()
	p, err = open(cfg, host{sys, u.ioctl})
	if err == nil {
		t.Cleanup(func() { p.Close() })
	}
	return p, timerFile, err
}

// TestKernelRS485 is the mode in which the kernel turns the line around: what
// the driver is told, when, and what becomes of a driver that does otherwise.
func TestKernelRS485(t *testing.T) {
	took := func(*[8]uint32) error { return nil }
	for _, c := range []struct {
		name    string
		mode    RS485
		driver  func(*[8]uint32) error
		told    string // before the speed was touched
		problem string // that Open fails with
		note    string
	}{
		{name: "RTS high while sending", driver: took, told: "[3 0 0 0 0 0 0 0]"},
		{name: "RTS low while sending", mode: RS485{ActiveLow: true}, driver: took, told: "[5 0 0 0 0 0 0 0]"},
		{name: "delays", mode: RS485{DelayBefore: 2 * time.Millisecond, DelayAfter: 15 * time.Millisecond}, driver: took, told: "[3 2 15 0 0 0 0 0]"},
		{name: "delays that it does not have", mode: RS485{DelayBefore: 2 * time.Millisecond, DelayAfter: 15 * time.Millisecond},
			driver: func(w *[8]uint32) error { w[2] = 0; return nil }, told: "[3 2 15 0 0 0 0 0]", note: "keeps 0 ms for rs485.delay_after, not 15 ms"},
		{name: "a polarity that it does not have", mode: RS485{ActiveLow: true},
			driver: func(w *[8]uint32) error { w[0] = 3; return nil }, told: "[5 0 0 0 0 0 0 0]", problem: "RTS low while sending: try rs485.active_low = false"},
		{name: "the other polarity", driver: func(w *[8]uint32) error { w[0] = 5; return nil }, told: "[3 0 0 0 0 0 0 0]", problem: "RTS high while sending: try rs485.active_low = true"},
		{name: "ignored", driver: func(w *[8]uint32) error { w[0] = 0; return nil }, told: "[3 0 0 0 0 0 0 0]", problem: `rs485.rts = "driver"`},
		{name: "no such mode", told: "[3 0 0 0 0 0 0 0]", problem: `rs485.rts = "driver"`},
		{name: "it fails", driver: func(*[8]uint32) error { return unix.ENOMEM }, told: "[3 0 0 0 0 0 0 0]", problem: "set RS-485 mode: cannot allocate memory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := &uart{rs485: c.driver}
			p, _, err := openOn(t, u, Config{Baud: 19200, RS485: &c.mode}, "")
			// A new pseudo-terminal has 38400: the library has not set ours yet.
			if len(u.log) == 0 || u.log[0] != "rs485 "+c.told+" at 38400" {
				t.Errorf("the driver was told %q", u.log)
			}
			if c.problem != "" {
				if err == nil || !strings.Contains(err.Error(), c.problem) {
					t.Errorf("got %v, want %q", err, c.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := speedOf(p.file); got != "19200" {
				t.Errorf("the line has %s", got)
			}
			if notes := strings.Join(p.Notes(), "; "); c.note == "" && notes != "" || !strings.Contains(notes, c.note) {
				t.Errorf("notes %q", notes)
			}
			if err := p.Close(); err != nil || len(u.log) != 1 {
				t.Errorf("close: %v; the driver was told %q", err, u.log)
			}
		})
	}
}

// TestNoRS485ByItself: a line whose adapter turns it around is not told to.
func TestNoRS485ByItself(t *testing.T) {
	u := &uart{rs485: func(*[8]uint32) error { return nil }}
	if _, _, err := openOn(t, u, Config{}, ""); err != nil || len(u.log) != 0 {
		t.Errorf("%v; the driver was told %q", err, u.log)
	}
}

// TestLowLatency: flag and timer are set where they can be, put back at the end,
// and nothing else is touched.
func TestLowLatency(t *testing.T) {
	const others = 1<<6 | 1<<12 // flags that are somebody else's
	for _, c := range []struct {
		name  string
		u     uart
		timer string

		told    []string // with the port open, and at its end
		ended   []string
		latency int
		note    string
	}{
		{name: "flag and timer", u: uart{flags: others, baud: 115200}, timer: "16\n", latency: 1,
			told: []string{"flags 3040 baud 115200"}, ended: []string{"flags 1040 baud 115200"}},
		{name: "the flag was set", u: uart{flags: others | 1<<13}, timer: "1\n", latency: 1},
		{name: "a timer without a flag", u: uart{noFlags: unix.ENOTTY}, timer: "16\n", latency: 1},
		{name: "neither", u: uart{noFlags: unix.EINVAL}},
		{name: "not permitted", u: uart{readOnly: unix.EPERM}, note: "low-latency flag may not be set: operation not permitted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := c.u.flags
			p, file, err := openOn(t, &c.u, Config{LowLatency: true}, c.timer)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(c.u.log, c.told) || p.Latency() != c.latency || readLatency(file) != c.latency {
				t.Errorf("the driver was told %q, the timer is %d ms", c.u.log, p.Latency())
			}
			if notes := strings.Join(p.Notes(), "; "); c.note == "" && notes != "" || !strings.Contains(notes, c.note) {
				t.Errorf("notes %q", notes)
			}
			c.u.log = nil
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if !slices.Equal(c.u.log, c.ended) || c.u.flags != before {
				t.Errorf("at the end the driver was told %q; flags %x, were %x", c.u.log, c.u.flags, before)
			}
			if was := strings.TrimSpace(c.timer); was != "" && fmt.Sprint(readLatency(file)) != was {
				t.Errorf("the timer is %d ms, was %s", readLatency(file), was)
			}
		})
	}
}

// TestTimerThatMayNotBeSet: it says what to do about it.
func TestTimerThatMayNotBeSet(t *testing.T) {
	file := filepath.Join(t.TempDir(), "latency_timer")
	if err := os.Symlink("/proc/sys/kernel/random/entropy_avail", file); err != nil { // a number that nobody may write, root neither
		t.Fatal(err)
	}
	restore, note := lowerLatency(file)
	if restore != nil || !strings.Contains(note, "holds bytes back") || !strings.Contains(note, `ATTR{latency_timer}="1"`) {
		t.Errorf("note %q", note)
	}
}

// TestAdapterPulledOutIsNotRestored: the end of a port whose driver is gone.
func TestAdapterPulledOutIsNotRestored(t *testing.T) {
	u := &uart{}
	p, file, err := openOn(t, u, Config{LowLatency: true}, "16")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Dir(file)); err != nil {
		t.Fatal(err)
	}
	u.noFlags = unix.EIO
	if err := p.Close(); err != nil && !errors.Is(err, unix.EIO) {
		t.Error(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a file was made where the adapter was")
	}
}
