package broker

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

const (
	inBuffer   = 64 << 10
	restBuffer = 512
)

// chunk is a byte buffer of a pool.
type chunk struct{ b []byte }

var (
	inPool  = sync.Pool{New: func() any { return &chunk{make([]byte, inBuffer)} }}
	outPool = sync.Pool{New: func() any { return &chunk{make([]byte, 0, 4<<10)} }}
)

// maxPooled is the largest out-buffer that goes back to the pool.
const maxPooled = 256 << 10

func putOut(b *chunk) {
	if cap(b.b) <= maxPooled {
		b.b = b.b[:0]
		outPool.Put(b)
	}
}

// input is the reading side of a connection. While nothing comes it holds no
// buffer: that of the last read went back to the pool, and what was left of an
// unfinished packet moved to a small one. It waits on plain sockets by asking
// the poller; on TLS and WebSocket, where that is not possible, with a small
// read.
type input struct {
	c     *conn
	data  []byte // read and not yet handled; within big or small
	big   *chunk
	small []byte
	drawn bool // the last read filled its buffer: more is likely to be there
	count uint64

	// For the callback of RawConn.Read, made once so that reading allocates nothing.
	n    int
	err  error
	call func(fd uintptr) bool
}

func (in *input) init(c *conn) {
	in.c = c
	in.call = in.readRaw
}

// takeCount returns the bytes read since the last call.
func (in *input) takeCount() uint64 {
	n := in.count
	in.count = 0
	return n
}

// release gives buffers back.
func (in *input) release() {
	if in.big != nil && cap(in.big.b) == inBuffer {
		inPool.Put(in.big)
	}
	in.big, in.data, in.small = nil, nil, nil
}

// read waits for more bytes and puts them behind data.
func (in *input) read() error {
	in.settle()
	n, err := in.once()
	in.count += uint64(max(0, n))
	switch {
	case n > 0:
		return nil
	case err == nil:
		return io.ErrNoProgress
	}
	return err
}

// settle gives the large buffer back if what is left fits into the small one.
func (in *input) settle() {
	left := len(in.data)
	if in.big == nil || left > restBuffer || in.drawn && in.c.raw == nil {
		return
	}
	if left == 0 {
		in.data = nil
	} else {
		if in.small == nil {
			in.small = make([]byte, restBuffer)
		}
		in.data = in.small[:copy(in.small, in.data)]
	}
	if cap(in.big.b) == inBuffer {
		inPool.Put(in.big)
	}
	in.big = nil
}

// room makes space behind data in the large buffer: by moving data to its
// front, or by a larger buffer for a packet that does not fit. What a length
// promises is not allocated before it comes.
func (in *input) room() []byte {
	left := len(in.data)
	switch {
	case in.big == nil:
		in.big = inPool.Get().(*chunk)
		copy(in.big.b, in.data)
	case left == len(in.big.b):
		larger := &chunk{make([]byte, 2*left)}
		copy(larger.b, in.data)
		if cap(in.big.b) == inBuffer {
			inPool.Put(in.big)
		}
		in.big = larger
	default:
		copy(in.big.b, in.data)
	}
	in.data = in.big.b[:left]
	return in.big.b[left:]
}

func (in *input) once() (int, error) {
	if in.c.raw != nil {
		if err := in.c.raw.Read(in.call); err != nil {
			return 0, err
		}
		return in.n, in.err
	}
	if in.big == nil && len(in.data) == 0 {
		if in.small == nil {
			in.small = make([]byte, restBuffer)
		}
		n, err := in.c.nc.Read(in.small)
		in.data, in.drawn = in.small[:max(0, n)], n == len(in.small)
		return n, err
	}
	left := len(in.data)
	space := in.room()
	n, err := in.c.nc.Read(space)
	in.data, in.drawn = in.big.b[:left+max(0, n)], n > restBuffer
	return n, err
}

// readRaw is called by the poller, first at once and then when the socket is
// readable. false means: nothing there yet.
func (in *input) readRaw(fd uintptr) bool {
	left := len(in.data)
	small := in.big == nil
	space := in.room()
	for {
		in.n, in.err = syscall.Read(int(fd), space)
		if in.err != syscall.EINTR {
			break
		}
	}
	if in.err == syscall.EAGAIN {
		if small {
			in.settle()
		}
		return false
	}
	if in.n == 0 && in.err == nil {
		in.err = io.EOF
	}
	in.data = in.big.b[:left+max(0, in.n)]
	return true
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}
