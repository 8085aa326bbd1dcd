package port

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// Port is an open serial line. One goroutine may read while another writes;
// Close may be called at any time, from any goroutine, and ends both.
type Port struct {
	cfg     Config
	host    host
	node    string // the device node behind cfg.Path when it was opened
	file    *os.File
	restore []func() // nil entries have nothing to put back
	notes   []string

	mu     sync.Mutex // guards lib and closed: the library would use a closed descriptor's number
	lib    serial.Port
	closed bool
}

// Path is the path the port was opened with.
func (p *Port) Path() string { return p.cfg.Path }

// Node is the device node behind it, "/dev/ttyUSB0".
func (p *Port) Node() string { return p.node }

// Notes are things that did not work and do not matter enough to fail.
func (p *Port) Notes() []string { return p.notes }

// Latency is the adapter's latency timer in milliseconds, 0 where it has none.
func (p *Port) Latency() int {
	return readLatency(latencyFile(p.host.sys, filepath.Base(p.node)))
}

// Read returns as soon as there are bytes. After the deadline the error is
// os.ErrDeadlineExceeded, after Close os.ErrClosed, after an unplug it wraps ErrGone.
func (p *Port) Read(b []byte) (int, error) {
	n, err := p.file.Read(b)
	return n, lost(p.cfg.Path, err)
}

// Write hands the bytes to the kernel; they leave at line speed. A line that
// takes none ends in os.ErrDeadlineExceeded.
func (p *Port) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	return n, lost(p.cfg.Path, err)
}

// SetReadDeadline bounds reads; the zero time means none.
func (p *Port) SetReadDeadline(t time.Time) error { return p.file.SetReadDeadline(t) }

// SetWriteDeadline bounds writes.
func (p *Port) SetWriteDeadline(t time.Time) error { return p.file.SetWriteDeadline(t) }

// FlushInput drops what the kernel holds now. Bytes that are still on the
// wire arrive later: this is not a resynchronisation.
func (p *Port) FlushInput() error { return flushQueues(p.file, unix.TCIFLUSH) }

// SetMode changes speed and format, for dialogues that do so (IEC 62056-21).
func (p *Port) SetMode(baud int, m Mode) error {
	return p.withLibrary(func(lib serial.Port) error { return lib.SetMode(m.library(baud)) })
}

// SetDTR sets the modem line; ptys and some adapters have none.
func (p *Port) SetDTR(on bool) error {
	return p.withLibrary(func(lib serial.Port) error { return lib.SetDTR(on) })
}

// Drain waits until the last bit has left. It cannot be cancelled.
func (p *Port) Drain() error {
	return p.withLibrary(serial.Port.Drain)
}

func (p *Port) withLibrary(do func(serial.Port) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("serial port %s: %w", p.cfg.Path, os.ErrClosed)
	}
	return lost(p.cfg.Path, do(p.lib))
}

// Close gives the line back. Unsent bytes are dropped, for waiting for a dead
// adapter to take them could last half a minute.
func (p *Port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	_ = flushQueues(p.file, unix.TCOFLUSH) // fails on a line that is gone, which has nothing to flush
	for _, restore := range p.restore {
		if restore != nil {
			restore()
		}
	}
	err := p.file.Close() // ours first: it ends a blocked Read
	if e := p.lib.Close(); err == nil {
		err = e
	}
	return err
}

func (p *Port) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// SyscallConn gives the descriptor to who must look without waiting.
func (p *Port) SyscallConn() (syscall.RawConn, error) { return p.file.SyscallConn() }
