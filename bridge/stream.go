package bridge

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// stream reads and writes a TCP socket without telling Go's scheduler of each
// call, see sockRead. It waits, and keeps deadlines, as net.TCPConn does.
type stream struct {
	tcp *net.TCPConn
	raw syscall.RawConn

	in, out struct {
		sync.Mutex
		try   func(fd uintptr) bool // made once: a function for each call would be an object
		buf   []byte
		n     int
		errno syscall.Errno
	}
}

func newStream(tcp *net.TCPConn) (*stream, error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &stream{tcp: tcp, raw: raw}
	s.in.try = func(fd uintptr) bool {
		s.in.n, s.in.errno = again(sockRead, fd, s.in.buf)
		return s.in.errno != syscall.EAGAIN
	}
	s.out.try = func(fd uintptr) bool {
		s.out.n, s.out.errno = again(sockWrite, fd, s.out.buf)
		return s.out.errno != syscall.EAGAIN
	}
	return s, nil
}

// again makes a call that a signal interrupts once more.
func again(call func(uintptr, []byte) (int, syscall.Errno), fd uintptr, b []byte) (n int, errno syscall.Errno) {
	for {
		if n, errno = call(fd, b); errno != syscall.EINTR {
			return max(0, n), errno
		}
	}
}

// maxOnce bounds one call, which holds a scheduler's slot while it runs.
const maxOnce = 64 << 10

// Read implements net.Conn.
func (s *stream) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	s.in.Lock()
	defer s.in.Unlock()
	s.in.buf = b[:min(len(b), maxOnce)]
	err := s.raw.Read(s.in.try)
	s.in.buf = nil
	switch {
	case err != nil:
		return 0, s.failed("read", err)
	case s.in.errno != 0:
		return 0, s.failed("read", os.NewSyscallError("read", s.in.errno))
	case s.in.n == 0:
		return 0, io.EOF
	}
	return s.in.n, nil
}

// Write implements net.Conn.
func (s *stream) Write(b []byte) (done int, err error) {
	s.out.Lock()
	defer s.out.Unlock()
	for done < len(b) {
		s.out.buf = b[done:min(len(b), done+maxOnce)]
		err := s.raw.Write(s.out.try)
		s.out.buf = nil
		switch {
		case err != nil:
			return done, s.failed("write", err)
		case s.out.errno != 0:
			return done, s.failed("write", os.NewSyscallError("write", s.out.errno))
		}
		done += s.out.n
	}
	return done, nil
}

// failed makes the error that net.TCPConn would give.
func (s *stream) failed(op string, err error) error {
	if raw := (*net.OpError)(nil); errors.As(err, &raw) {
		err = raw.Err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: s.tcp.LocalAddr(), Addr: s.tcp.RemoteAddr(), Err: err}
}
