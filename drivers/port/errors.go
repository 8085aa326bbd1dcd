package port

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// ErrGone is wrapped by the errors of Read and Write once the line has
// vanished: unplugged, or the far end of a pseudo-terminal closed. Close the
// port and open it again when it is back.
var ErrGone = errors.New("port is gone")

// ErrBusy is wrapped by the OpenError of a port that somebody else uses.
var ErrBusy = errors.New("port is in use")

// OpenError says why a port cannot be used and what to do about it.
type OpenError struct {
	Path   string
	Err    error
	Holder *Holder // who has it, where that is known
	Help   string  // the remedy
}

// Error is one sentence with the remedy.
func (e *OpenError) Error() string {
	text := "serial port " + e.Path + ": " + reason(e.Err)
	if e.Holder != nil {
		text += fmt.Sprintf(" by %s", e.Holder)
	}
	if e.Help != "" {
		text += "; " + e.Help
	}
	return text
}

// Unwrap gives the cause.
func (e *OpenError) Unwrap() error { return e.Err }

func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such port"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied"
	case errors.Is(err, unix.ENOTTY):
		return "this is not a serial port"
	case errors.Is(err, unix.EISDIR):
		return "this is a directory, not a serial port"
	}
	return err.Error()
}

// openError explains a failed open. resolved is the node behind the link.
func openError(path, resolved string, err error) *OpenError {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	e := &OpenError{Path: path, Err: err}
	var lib *serial.PortError
	switch {
	case errors.Is(err, unix.EBUSY), errors.Is(err, ErrBusy):
		e.Err, e.Holder = ErrBusy, otherHolder(resolved)
		e.Help = "stop the other program, or give it another port"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EISDIR):
		e.Help = `"fieldgate ports" lists the ports of this machine`
	case errors.Is(err, fs.ErrPermission):
		group := groupOf(resolved)
		e.Help = fmt.Sprintf("add the user to the group %s (usermod -aG %s USER) and log in again", group, group)
	case errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV), errors.Is(err, unix.EIO):
		e.Help = "the adapter behind it is missing or broken"
	case errors.As(err, &lib):
		e.Help = "check baud and mode, and that the path is a serial port"
	}
	return e
}

// groupOf names the group that may open a node; dialout where it cannot be found out.
func groupOf(path string) string {
	if info, err := os.Stat(path); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Gid != 0 {
			if g, err := user.LookupGroupId(strconv.Itoa(int(st.Gid))); err == nil {
				return g.Name
			}
		}
	}
	return "dialout"
}

// lost turns what a vanished tty says into ErrGone. Deadlines and our own
// Close keep their errors.
func lost(path string, err error) error {
	for _, gone := range []error{io.EOF, unix.EIO, unix.ENXIO, unix.ENODEV, unix.EPIPE} {
		if errors.Is(err, gone) {
			return fmt.Errorf("serial port %s: %w (unplugged?)", path, ErrGone)
		}
	}
	return err
}
