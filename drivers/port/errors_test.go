package port

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestH43Texts(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want []string
	}{
		"permission": {&fs.PathError{Op: "open", Path: "/dev/ttyUSB0", Err: unix.EACCES}, []string{"/dev/ttyUSB0", "permission denied", "usermod -aG dialout"}},
		"exclusive":  {&fs.PathError{Op: "open", Path: "/dev/ttyUSB0", Err: unix.EBUSY}, []string{"/dev/ttyUSB0", "port is in use", "stop the other program"}},
		"locked":     {ErrBusy, []string{"port is in use"}},
		"no adapter": {unix.ENXIO, []string{"missing or broken"}},
	} {
		err := openError("/dev/ttyUSB0", "/nonexistent", tc.err)
		for _, w := range tc.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", name, err, w)
			}
		}
	}
	if err := openError("x", "x", unix.EACCES); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v is not fs.ErrPermission", err)
	}
	busy := &OpenError{Path: "/dev/ttyUSB0", Err: ErrBusy, Holder: &Holder{PID: 4711, Command: "minicom"}}
	if got, want := busy.Error(), "serial port /dev/ttyUSB0: port is in use by minicom (process 4711)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLost(t *testing.T) {
	for _, err := range []error{unix.EIO, unix.ENODEV, unix.ENXIO, &fs.PathError{Err: unix.EIO}} {
		if got := lost("/dev/x", err); !errors.Is(got, ErrGone) {
			t.Errorf("%v becomes %v", err, got)
		}
	}
	if got := lost("/dev/x", unix.EAGAIN); errors.Is(got, ErrGone) || lost("/dev/x", nil) != nil {
		t.Errorf("got %v", got)
	}
}
