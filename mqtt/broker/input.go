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
// large buffer: that of the last read went back to the pool, and what was left
// of an unfinished packet moved to a small one. On TLS and WebSocket, where
// nothing tells that a read will not have to wait, it waits with the small one.
type input struct {
	c     *conn
	data  []byte // read and not yet handled; within big or small
	big   *chunk
	small []byte
	drawn bool // the last read of a stream filled its buffer: more is likely to be there
	count uint64
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

// read waits for more bytes of a stream and puts them behind data.
func (in *input) read() error {
	if !in.drawn {
		in.settle()
	}
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
	if in.big == nil || left > restBuffer {
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

// once reads once from a stream: into the small buffer while there is room, so
// that who sends nothing more holds no large one.
func (in *input) once() (int, error) {
	left := len(in.data)
	if in.big == nil && left < restBuffer && !in.drawn {
		if in.small == nil {
			in.small = make([]byte, restBuffer)
		}
		copy(in.small, in.data)
		n, err := in.c.nc.Read(in.small[left:])
		in.data, in.drawn = in.small[:left+max(0, n)], left+n == restBuffer
		return n, err
	}
	space := in.room()
	n, err := in.c.nc.Read(space)
	in.data, in.drawn = in.big.b[:left+max(0, n)], n > restBuffer
	return n, err
}

// receive reads once from a claimed socket, without waiting; n is 0 where
// nothing has come. more: the socket may hold more, or the end of the stream.
func (in *input) receive() (n int, more bool, err error) {
	k := &in.c.sock
	left := len(in.data)
	hup := k.hup.Load() // before reading: what was there when it was set is read now
	space := in.room()
	errno := syscall.EINTR
	for errno == syscall.EINTR {
		n, errno = sockRead(k.fd, space)
	}
	switch {
	case errno == syscall.EAGAIN:
		return 0, false, nil
	case errno != 0:
		return 0, false, os.NewSyscallError("read", errno)
	case n == 0:
		return 0, false, io.EOF
	}
	in.data = in.big.b[:left+n]
	in.count += uint64(n)
	return n, hup || n == len(space), nil
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}
