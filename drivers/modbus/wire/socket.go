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
	fd    int // used by whoever holds the line
	name  string
	waits bool // a read of fd waits, for quickWait at most, and needs no second look

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
		if err := s.setWaits(false); err != nil {
			return nil, err
		}
		fd, err := duplicate(s.fd)
		if err != nil {
			return nil, err
		}
		s.watched = os.NewFile(uintptr(fd), s.name) // not blocking, as fd is
	}
	return s.watched, nil
}

// unwatch takes it from the poller, if it is there, and lets reads of fd wait.
func (s *socket) unwatch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watched != nil {
		_ = s.watched.Close() // a duplicate
		s.watched = nil
		_ = s.setWaits(true) // otherwise the eye looks twice
	}
}

// setWaits changes whether reads and writes of fd wait. The setting belongs to
// the connection: it must not be on while the poller watches a duplicate.
func (s *socket) setWaits(on bool) error {
	if s.waits == on {
		return nil
	}
	if on {
		limit := unix.NsecToTimeval(quickWait.Nanoseconds())
		for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
			if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, option, &limit); err != nil {
				return err
			}
		}
	}
	if err := unix.SetNonblock(s.fd, !on); err != nil {
		return err
	}
	s.waits = on
	return nil
}

// interrupt ends reads and writes that wait in the poller. Anybody may call it;
// everything else is for whoever holds the line.
func (s *socket) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watched != nil {
		_ = s.watched.SetDeadline(longAgo) // fails on a closed one, whose reads have ended
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	if s.watched != nil {
		_ = s.watched.Close() // a duplicate
	}
	return unix.Close(s.fd)
}
