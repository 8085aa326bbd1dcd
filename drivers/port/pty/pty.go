// Package pty makes pseudo-terminals: serial lines without hardware, for
// simulated devices and tests. A pty carries bytes at once and ignores baud
// rate and parity; who needs line time has to keep it himself.
package pty

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// PTY is the device's end of a line. The other end is opened by Path, like
// any serial port.
type PTY struct {
	master *os.File
	hold   *os.File // keeps the line up while nobody has Path open
	path   string
}

// Open makes a new line in raw mode.
func Open() (*PTY, error) {
	master, err := os.OpenFile("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("new pseudo-terminal: %w", err)
	}
	n, err := prepare(master)
	if err != nil {
		master.Close()
		return nil, fmt.Errorf("new pseudo-terminal: %w", err)
	}
	p := &PTY{master: master, path: "/dev/pts/" + strconv.Itoa(n)}
	if p.hold, err = os.OpenFile(p.path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
		master.Close()
		return nil, fmt.Errorf("new pseudo-terminal: %w", err)
	}
	return p, nil
}

// prepare unlocks the other end, sets raw mode and returns its number.
func prepare(master *os.File) (n int, err error) {
	raw, err := master.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		if failed = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); failed != nil {
			return
		}
		var id uint32
		if id, failed = unix.IoctlGetUint32(int(fd), unix.TIOCGPTN); failed != nil {
			return
		}
		n = int(id)
		failed = rawMode(int(fd))
	})
	return n, errors.Join(err, failed)
}

func rawMode(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag = 0
	t.Oflag = 0
	t.Lflag = 0
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8 | unix.CREAD | unix.CLOCAL
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}

// Path is what a driver opens.
func (p *PTY) Path() string { return p.path }

// Read reads what the driver wrote; io.EOF after Close.
func (p *PTY) Read(b []byte) (int, error) {
	n, err := p.master.Read(b)
	if errors.Is(err, os.ErrClosed) {
		err = io.EOF
	}
	return n, err
}

// Write sends to the driver.
func (p *PTY) Write(b []byte) (int, error) { return p.master.Write(b) }

// Close pulls the plug: the driver's reads end at once, its writes fail.
func (p *PTY) Close() error {
	p.hold.Close()
	return p.master.Close()
}

// SetReadDeadline bounds Read.
func (p *PTY) SetReadDeadline(t time.Time) error { return p.master.SetReadDeadline(t) }
