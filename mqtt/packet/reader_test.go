package packet

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"fieldgate/mqtt"
)

func TestVarint(t *testing.T) {
	// MQTT 5.0 table 1-1.
	for n, wire := range map[int]string{
		0: "\x00", 127: "\x7F", 128: "\x80\x01", 16_383: "\xFF\x7F", 16_384: "\x80\x80\x01",
		2_097_151: "\xFF\xFF\x7F", 2_097_152: "\x80\x80\x80\x01", MaxVarint: "\xFF\xFF\xFF\x7F",
	} {
		if got := string(appendVarint(nil, n)); got != wire {
			t.Errorf("%d: %q, want %q", n, got, wire)
		}
		if got, size := readVarint([]byte(wire + "\x55")); got != n || size != len(wire) || varintSize(n) != size {
			t.Errorf("%q: %d in %d bytes, want %d", wire, got, size, n)
		}
		for i := range len(wire) {
			if _, size := readVarint([]byte(wire[:i])); size != 0 {
				t.Errorf("%q: size %d before its end", wire[:i], size)
			}
		}
	}
	for _, wire := range []string{"\x80\x00", "\xFF\x80\x00", "\x80\x80\x80\x00", "\x80\x80\x80\x80", "\xFF\xFF\xFF\xFF\x01", "\x80\x80\x80\x80\x00"} {
		if _, size := readVarint([]byte(wire)); size != -1 {
			t.Errorf("%q: size %d", wire, size)
		}
	}
}

func TestSplit(t *testing.T) {
	wire := []byte("\x30\x05\x00\x01thi\xC0\x00")
	for n := range 7 {
		if _, _, size, err := Split(wire[:n], 0); size != 0 || err != nil {
			t.Errorf("%d bytes: %d, %v", n, size, err)
		}
	}
	header, body, n, err := Split(wire, 7)
	if header != 0x30 || string(body) != "\x00\x01thi" || n != 7 || err != nil {
		t.Errorf("%#x %q %d %v", header, body, n, err)
	}
	if cap(body) != len(body) {
		t.Error("an append to the body would overwrite the next packet")
	}
	if _, _, _, err := Split(wire[:2], 6); !errors.Is(err, mqtt.PacketTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if _, _, _, err := Split([]byte("\x30\xFF\xFF\xFF\xFF"), 0); !errors.Is(err, mqtt.MalformedPacket) {
		t.Errorf("five bytes of length: %v", err)
	}
}

// stream is many packets of all sizes around the sizes of the buffer.
func stream(t testing.TB) (wire []byte, bodies [][]byte) {
	for _, n := range []int{0, 1, 5, 100, 5000, readerSize - 5, readerSize - 4, readerSize - 3, readerSize, 3 * readerSize, 200_000, 1, 70_000, 2, 0} {
		p := Publish{Topic: "t", Payload: bytes.Repeat([]byte{byte(n)}, n)}
		before := len(wire)
		var err error
		if wire, err = p.Append(wire, mqtt.V311); err != nil {
			t.Fatal(err)
		}
		_, body, _, _ := Split(wire[before:], 0)
		bodies = append(bodies, body)
	}
	return wire, bodies
}

func TestReader(t *testing.T) {
	wire, bodies := stream(t)
	for name, src := range map[string]io.Reader{
		"whole": bytes.NewReader(wire), "byte by byte": iotest.OneByteReader(bytes.NewReader(wire)),
		"halves": iotest.HalfReader(bytes.NewReader(wire)), "error with data": iotest.DataErrReader(bytes.NewReader(wire)),
	} {
		r := NewReader(src, 0)
		for i, want := range bodies {
			header, body, err := r.Next()
			if err != nil || header != 0x30 || !bytes.Equal(body, want) {
				t.Fatalf("%s: packet %d: %#x, %d bytes of %d, %v", name, i, header, len(body), len(want), err)
			}
		}
		if _, _, err := r.Next(); err != io.EOF {
			t.Errorf("%s: at the end: %v", name, err)
		}
		if len(r.buf) > 4*readerSize {
			t.Errorf("%s: keeps %d bytes", name, len(r.buf))
		}
	}
}

func TestReaderErrors(t *testing.T) {
	r := NewReader(bytes.NewReader([]byte("\x30\x05\x00")), 0)
	if _, _, err := r.Next(); err != io.ErrUnexpectedEOF {
		t.Errorf("cut: %v", err)
	}
	r = NewReader(bytes.NewReader([]byte("\xC0\x00\x30\x7F")), 16)
	if _, _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if !r.Buffered() {
		t.Error("an error that is known needs no reading")
	}
	if _, _, err := r.Next(); !errors.Is(err, mqtt.PacketTooLarge) {
		t.Errorf("too large: %v", err)
	}
	r.SetMax(200)
	if r.Buffered() {
		t.Error("the rest is still to come")
	}
	if _, _, err := r.Next(); err != io.ErrUnexpectedEOF {
		t.Errorf("after SetMax: %v", err)
	}
	r = NewReader(emptyReader{}, 0)
	if _, _, err := r.Next(); err != io.ErrNoProgress {
		t.Errorf("a source that gives nothing: %v", err)
	}
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

// A length of 256 MiB costs nothing until the bytes come.
func TestReaderMemory(t *testing.T) {
	src := io.MultiReader(bytes.NewReader([]byte("\x30\xFF\xFF\xFF\x7F")), bytes.NewReader(make([]byte, 100_000)))
	r := NewReader(src, 0)
	if _, _, err := r.Next(); err != io.ErrUnexpectedEOF {
		t.Fatal(err)
	}
	if len(r.buf) > 4*100_000 {
		t.Errorf("buffer of %d bytes for 100000 that came", len(r.buf))
	}
}

// However the bytes arrive, Reader and Split see the same packets.
func FuzzReader(f *testing.F) {
	wire, _ := stream(f)
	f.Add(wire[:6000], uint16(7), uint16(0))
	for _, s := range samples {
		f.Add([]byte(s.wire+s.wire), uint16(1), uint16(100))
	}
	f.Fuzz(func(t *testing.T, wire []byte, chunk, limit uint16) {
		r := NewReader(&chunkReader{wire, int(chunk)%64 + 1}, int(limit))
		for rest := wire; ; {
			header, body, n, wantErr := Split(rest, int(limit))
			gotHeader, gotBody, err := r.Next()
			switch {
			case n == 0 && wantErr == nil:
				if want := map[bool]error{true: io.EOF, false: io.ErrUnexpectedEOF}[len(rest) == 0]; err != want {
					t.Fatalf("at the end: %v, want %v", err, want)
				}
				return
			case wantErr != nil:
				if err == nil || err.Error() != wantErr.Error() {
					t.Fatalf("%v, want %v", err, wantErr)
				}
				return
			case err != nil || header != gotHeader || !bytes.Equal(body, gotBody):
				t.Fatalf("%#x %q %v, want %#x %q", gotHeader, gotBody, err, header, body)
			}
			rest = rest[n:]
		}
	})
}

type chunkReader struct {
	b []byte
	n int
}

func (c *chunkReader) Read(p []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.n)], c.b)
	c.b = c.b[n:]
	return n, nil
}
