package wire

import (
	"io"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// eye looks at a wire's descriptor past Go's poller: without waiting, or for
// an answer that is expected within some hundred microseconds, which a thread
// in ppoll meets sooner and with less work than the poller and the scheduler.
// Its methods are called by whoever holds the line.
type eye struct {
	raw      syscall.RawConn // nil: sock's descriptor is looked at
	sock     *socket
	datagram bool // an empty read is a datagram, not the end

	look, send func(fd uintptr) // bound once: a closure for each look would be garbage

	// Arguments and results of look and send, which run while the descriptor
	// cannot be closed.
	buf   []byte
	until time.Time // zero: look once
	n     int
	err   error
}

// newEye is nil where a wire has no descriptor to look at: in tests, and over
// TLS, where a readable socket says nothing about the stream inside.
func newEye(c Conn) *eye {
	if s, ok := c.(*socket); ok {
		return &eye{sock: s}
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil // closed already; the next read says so
	}
	_, datagram := c.(*udpConn)
	e := &eye{raw: raw, datagram: datagram}
	e.look, e.send = e.readFD, e.writeFD
	return e
}

// read waits for bytes until the given moment, or not at all where that has
// passed, and returns what is there. (0, nil) means nothing.
func (e *eye) read(buf []byte, until time.Time) (int, error) {
	e.buf, e.until = buf, until
	if e.raw == nil {
		e.readFD(uintptr(e.sock.fd))
	} else if err := e.raw.Control(e.look); err != nil {
		return 0, err
	}
	return e.n, e.err
}

// write hands over what the kernel takes at once.
func (e *eye) write(buf []byte) (int, error) {
	e.buf = buf
	if e.raw == nil {
		e.writeFD(uintptr(e.sock.fd))
	} else if err := e.raw.Control(e.send); err != nil {
		return 0, err
	}
	return e.n, e.err
}

func (e *eye) readFD(fd uintptr) {
	once := e.until.IsZero()
	waits := e.sock != nil && e.sock.waits
	for {
		// A read that waits must not where one look is meant, and the other way round.
		if waits == once && !waitInput(int(fd), e.until) {
			e.n, e.err = 0, nil
			return
		}
		n, err := unix.Read(int(fd), e.buf)
		switch {
		case err == unix.EINTR && (once || !waits || time.Now().Before(e.until)):
			continue // the scheduler's signal
		case err == unix.EAGAIN && !once && !waits:
			continue // woken for nothing
		case err == unix.EINTR || err == unix.EAGAIN:
			n, err = 0, nil
		case err == nil && n == 0 && !e.datagram:
			err = io.EOF
		}
		e.n, e.err = max(n, 0), err
		return
	}
}

func (e *eye) writeFD(fd uintptr) {
	for {
		n, err := unix.Write(int(fd), e.buf)
		switch err {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			err = nil
		}
		e.n, e.err = max(n, 0), err
		return
	}
}

// waitInput waits until the given moment, if that is still to come, and
// reports whether a read would bring something: bytes, or the end.
func waitInput(fd int, until time.Time) bool {
	for {
		left := unix.NsecToTimespec(max(0, time.Until(until).Nanoseconds()))
		fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Ppoll(fds[:], &left, nil)
		if err == unix.EINTR {
			continue // the scheduler's signal
		}
		return n > 0 || err != nil
	}
}
