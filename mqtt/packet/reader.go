package packet

import (
	"fmt"
	"io"

	"fieldgate/mqtt"
)

// MaxPacket is the largest packet that the standard allows, in bytes, fixed
// header included.
const MaxPacket = 5 + MaxVarint

// Split looks for a whole packet at the front of buf. n is its length, fixed
// header included, and body a view of buf; n is 0 while more bytes must come.
// A packet larger than max bytes (0: MaxPacket) is refused with PacketTooLarge
// as soon as its length is known, before its body has come.
func Split(buf []byte, max int) (header byte, body []byte, n int, err error) {
	size, total, err := frame(buf, max)
	if err != nil || total == 0 || len(buf) < total {
		return 0, nil, 0, err
	}
	return buf[0], buf[size:total:total], total, nil
}

// frame reads the fixed header. total is the length of the packet, 0 while
// the header is incomplete; head is the length of the fixed header.
func frame(buf []byte, max int) (head, total int, err error) {
	if len(buf) < 2 {
		return 0, 0, nil
	}
	t := TypeOf(buf[0])
	n, size := readVarint(buf[1:])
	switch {
	case size < 0:
		return 0, 0, &Error{mqtt.MalformedPacket, t, "length is not a minimal number of at most four bytes"}
	case size == 0:
		return 0, 0, nil
	}
	total = 1 + size + n
	if max > 0 && total > max {
		return 0, 0, &Error{mqtt.PacketTooLarge, t, fmt.Sprintf("%d bytes, the most is %d", total, max)}
	}
	return 1 + size, total, nil
}

// A Reader frames the packets of a connection. Its memory follows what has
// arrived, not what a length promises: at most twice as much, and at least
// readerSize bytes. It is for one goroutine.
type Reader struct {
	src        io.Reader
	max        int
	buf        []byte
	start, end int // what has come and has not been returned
}

const readerSize = 16 << 10

// NewReader reads from src packets of at most max bytes (0: MaxPacket).
func NewReader(src io.Reader, max int) *Reader { return &Reader{src: src, max: max} }

// SetMax changes the largest packet, as after a CONNECT.
func (r *Reader) SetMax(max int) { r.max = max }

// Buffered reports whether Next has a packet, or an error, without reading.
func (r *Reader) Buffered() bool {
	_, total, err := frame(r.buf[r.start:r.end], r.max)
	return err != nil || total > 0 && total <= r.end-r.start
}

// Next returns the next packet. body is valid until the next call. The end of
// the stream between two packets is io.EOF, within one io.ErrUnexpectedEOF;
// a length that is wrong or too large is an *Error.
func (r *Reader) Next() (header byte, body []byte, err error) {
	for {
		header, body, n, err := Split(r.buf[r.start:r.end], r.max)
		if err != nil {
			return 0, nil, err
		}
		if n > 0 {
			r.start += n
			return header, body, nil
		}
		if err := r.fill(); err != nil {
			if err == io.EOF && r.end > r.start {
				err = io.ErrUnexpectedEOF
			}
			return 0, nil, err
		}
	}
}

// fill reads once, after making room.
func (r *Reader) fill() error {
	if r.start > 0 || r.buf == nil {
		r.compact()
	}
	if r.end == len(r.buf) {
		larger := make([]byte, 2*len(r.buf))
		copy(larger, r.buf)
		r.buf = larger
	}
	for range 100 { // as bufio: a source that gives nothing again and again is broken
		n, err := r.src.Read(r.buf[r.end:])
		r.end += n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// compact moves what is left to the front, and does not keep for good what one
// large packet took.
func (r *Reader) compact() {
	rest := r.buf[r.start:r.end]
	if r.buf == nil || len(rest) == 0 && len(r.buf) > 4*readerSize {
		r.buf = make([]byte, readerSize)
	}
	r.start, r.end = 0, copy(r.buf, rest)
}
