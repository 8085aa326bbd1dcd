package wire

import (
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// socket is a TCP connection that Go's poller watches only while somebody
// waits in it. A watched descriptor wakes a thread at each arrival, also where
// an eye is on it already, and that costs as much as the eye itself.
type socket struct {
	fd   int // used by whoever holds the line
	name string

	mu      sync.Mutex // for a cancel, which comes from elsewhere
	watched *os.File   // a duplicate of fd that the poller knows; nil: none
	closed  bool
}

var _ Conn = (*socket)(nil)

// newSocket takes the connection over; c is closed, whatever comes of it.
func newSocket(c *net.TCPConn) (*socket, error) {
	s := &socket{fd: -1, name: "tcp " + c.RemoteAddr().String()}
	raw, err := c.SyscallConn()
	if err == nil {
		var failed error
		err = raw.Control(func(fd uintptr) { s.fd, failed = duplicate(int(fd)) })
		if err == nil {
			err = failed
		}
	}
	_ = c.Close() // the duplicate keeps the connection
	if err != nil {
		return nil, err
	}
	return s, nil
}

func duplicate(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }

// file is the connection as the poller watches it, from now on if not before.
func (s *socket) file() (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, net.ErrClosed
	}
	if s.watched == nil {
		fd, err := duplicate(s.fd)
		if err != nil {
			return nil, err
		}
		s.watched = os.NewFile(uintptr(fd), s.name) // not blocking, as fd is
	}
	return s.watched, nil
}

// unwatch takes it from the poller, if it is there.
func (s *socket) unwatch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watched != nil {
		_ = s.watched.Close() // a duplicate
		s.watched = nil
	}
}

func (s *socket) Read(b []byte) (int, error) {
	f, err := s.file()
	if err != nil {
		return 0, err
	}
	return f.Read(b)
}

func (s *socket) Write(b []byte) (int, error) {
	f, err := s.file()
	if err != nil {
		return 0, err
	}
	return f.Write(b)
}

func (s *socket) SetReadDeadline(t time.Time) error {
	f, err := s.file()
	if err != nil {
		return err
	}
	return f.SetReadDeadline(t)
}

func (s *socket) SetWriteDeadline(t time.Time) error {
	f, err := s.file()
	if err != nil {
		return err
	}
	return f.SetWriteDeadline(t)
}

// Close is for whoever holds the line.
func (s *socket) Close() error {
	s.unwatch()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	return unix.Close(s.fd)
}
