package server

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goburrow/modbus"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unit() *Memory {
	m := &Memory{}
	for n := range 50 {
		m.Set(Holdings, n, uint16(n+1000))
		m.Set(Inputs, n, uint16(n+2000))
		m.Set(Coils, n, uint16(n%2))
		m.Set(Discretes, n, uint16(1-n%2))
	}
	m.Set(Holdings, 60, 2, 7, 8)
	return m
}

func TestServe(t *testing.T) {
	s := &Server{Identity: [3]string{"A", "B", "C"}}
	for name, tc := range map[string]struct {
		function byte
		data     string
		want     string // the answer, or "exception n"
	}{
		"coils":              {1, "0000 000a", "02 aa 02"},
		"discretes":          {2, "0000 0003", "01 05"},
		"holdings":           {3, "0001 0002", "04 03e9 03ea"},
		"inputs":             {4, "0000 0001", "02 07d0"},
		"none":               {3, "0001 0000", "exception 3"},
		"too many":           {3, "0001 007e", "exception 3"},
		"not there":          {3, "0031 0002", "exception 2"},
		"beyond the end":     {3, "ffff 0002", "exception 2"},
		"too short":          {3, "0001", "exception 3"},
		"too long":           {3, "0001 0001 00", "exception 3"},
		"write coil":         {5, "0003 ff00", "0003 ff00"},
		"write coil badly":   {5, "0003 0001", "exception 3"},
		"write register":     {6, "0003 1234", "0003 1234"},
		"write nowhere":      {6, "1003 1234", "exception 2"},
		"write coils":        {15, "0000 0003 01 05", "0000 0003"},
		"write coils badly":  {15, "0000 0009 01 05", "exception 3"},
		"write registers":    {16, "0000 0001 02 0102", "0000 0001"},
		"writes badly":       {16, "0000 0002 02 0102", "exception 3"},
		"writes partly":      {16, "0031 0002 04 0102 0304", "exception 2"},
		"mask":               {0x16, "0002 00f2 0025", "0002 00f2 0025"},
		"read-write":         {0x17, "0000 0001 0000 0001 02 beef", "02 beef"},
		"read-write badly":   {0x17, "0000 0001 0000 0002 02 beef", "exception 3"},
		"status":             {7, "", "00"},
		"diagnostics":        {8, "0000 a537", "0000 a537"},
		"diagnostics, other": {8, "0001 0000", "exception 1"},
		"fifo":               {0x18, "003c", "0006 0002 0007 0008"},
		"fifo too long":      {0x18, "0000", "exception 3"},
		"server id":          {0x11, "", "03 01 42 ff"},
		"identity":           {0x2B, "0e 01 00", "0e 01 01 00 00 03 00 01 41 01 01 42 02 01 43"},
		"identity, other":    {0x2B, "0d 01 00", "exception 1"},
		"no such function":   {0x55, "", "exception 1"},
	} {
		got, err := s.serve(unit(), 1, tc.function, unhex(t, tc.data))
		if err != nil {
			if "modbus "+tc.want != err.Error() {
				t.Errorf("%s: %v, want %s", name, err, tc.want)
			}
			continue
		}
		if strings.HasPrefix(tc.want, "exc") || !bytes.Equal(got, unhex(t, tc.want)) {
			t.Errorf("%s: % x, want %s", name, got, tc.want)
		}
	}
	m := unit()
	s.serve(m, 1, 16, unhex(t, "0031 0002 04 0102 0304"))
	if m.Get(Holdings, 49) != 1049 {
		t.Error("half of a refused write was done")
	}
}

// pipe joins a server to the test.
func pipe(t *testing.T, s *Server, serve func(context.Context, io.ReadWriter) error) net.Conn {
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, far) }()
	t.Cleanup(func() {
		cancel()
		near.Close()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	near.SetDeadline(time.Now().Add(20 * time.Second))
	return near
}

// TestSerialStream splits and joins requests in every way.
func TestSerialStream(t *testing.T) {
	request := func(p modbus.Packager, data string) []byte {
		b, err := p.Encode(&modbus.ProtocolDataUnit{FunctionCode: 3, Data: unhex(t, data)})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	rtu, ascii := &modbus.RTUClientHandler{}, &modbus.ASCIIClientHandler{}
	rtu.SlaveId, ascii.SlaveId = 1, 1
	s := &Server{Units: map[byte]Bank{1: unit()}}
	for name, tc := range map[string]struct {
		serve func(context.Context, io.ReadWriter) error
		p     modbus.Packager
		size  int
	}{"rtu": {s.ServeRTU, rtu, 7}, "ascii": {s.ServeASCII, ascii, 15}} {
		t.Run(name, func(t *testing.T) {
			c := pipe(t, s, tc.serve)
			both := append([]byte{0, 0xFF, 1, 3}, append(request(tc.p, "0001 0001"), request(tc.p, "0002 0001")...)...)
			var wg sync.WaitGroup
			for _, step := range []int{1, 3, len(both)} {
				wg.Go(func() {
					for b := both; len(b) > 0; b = b[min(step, len(b)):] {
						c.Write(b[:min(step, len(b))])
					}
				})
				got := make([]byte, 2*tc.size)
				if _, err := io.ReadFull(c, got); err != nil {
					t.Fatalf("step %d: %v", step, err)
				}
				for n, want := range []uint16{1001, 1002} {
					pdu, err := tc.p.Decode(got[n*tc.size : (n+1)*tc.size])
					if err != nil || pdu.FunctionCode != 3 || uint16(pdu.Data[1])<<8|uint16(pdu.Data[2]) != want {
						t.Errorf("step %d: %+v, %v", step, pdu, err)
					}
				}
				wg.Wait()
			}
		})
	}
}

func TestSilence(t *testing.T) {
	s := &Server{Units: map[byte]Bank{1: unit()}, Gateway: true}
	c := pipe(t, s, s.ServeRTU)
	h := &modbus.RTUClientHandler{}
	for _, unit := range []byte{0, 7} { // a broadcast, and nobody
		h.SlaveId = unit
		b, _ := h.Encode(&modbus.ProtocolDataUnit{FunctionCode: 6, Data: []byte{0, 1, 0, byte(unit + 1)}})
		c.Write(b)
	}
	h.SlaveId = 1
	b, _ := h.Encode(&modbus.ProtocolDataUnit{FunctionCode: 3, Data: []byte{0, 1, 0, 1}})
	c.Write(b)
	got := make([]byte, 7)
	if _, err := io.ReadFull(c, got); err != nil || got[0] != 1 || got[4] != 1 {
		t.Errorf("% x, %v: want only the last answer, with the broadcast's value", got, err)
	}
}

func TestTCPAndItsEnd(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Units: map[byte]Bank{1: unit()}, Gateway: true, MaxClients: 1}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.ServeTCP(ctx, ln) }()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	for request, want := range map[string]string{
		"0007 0000 0006 01 03 0001 0001": "0007 0000 0005 01 03 02 03e9",
		"0008 0000 0006 05 03 0001 0001": "0008 0000 0003 05 83 0b",
	} {
		c.Write(unhex(t, request))
		got := make([]byte, len(unhex(t, want)))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, unhex(t, want)) {
			t.Errorf("%s: % x, %v", request, got, err)
		}
	}
	second, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	second.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := second.Read(make([]byte, 1)); err == nil {
		t.Error("a second client is served")
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("serve: %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection outlives the server")
	}
}

func TestBrokenHeaderEndsTheConnection(t *testing.T) {
	for _, head := range []string{"0001 0001 0006 01", "0001 0000 0001 01", "0001 0000 ffff 01"} {
		if _, _, _, err := readTCP(bytes.NewReader(unhex(t, head+"00000000"))); err == nil {
			t.Errorf("%s is accepted", head)
		}
	}
}

// TestPace: a paced line is never faster than the line it stands for.
func TestPace(t *testing.T) {
	for _, p := range []Pace{{Baud: 9600, Bits: 10}, {Baud: 19200, Chunk: 62, Every: 16 * time.Millisecond}, {Baud: 115200}} {
		var out bytes.Buffer
		start := time.Now()
		if err := p.write(t.Context(), &out, make([]byte, 100)); err != nil || out.Len() != 100 {
			t.Fatalf("%+v: %d bytes, %v", p, out.Len(), err)
		}
		if took, least := time.Since(start), 100*p.CharTime(); took < least {
			t.Errorf("%+v: 100 characters took %v, need %v", p, took, least)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (Pace{Baud: 1}).write(ctx, io.Discard, make([]byte, 100)); err == nil {
		t.Error("a cancelled write ends well")
	}
}

// TestPaceOfAnAdapter: 62 characters at a time, or what is there after 16 ms.
func TestPaceOfAnAdapter(t *testing.T) {
	ftdi := Pace{Baud: 115200, Bits: 10, Chunk: 62, Every: 16 * time.Millisecond}
	char := ftdi.CharTime()
	for n, want := range map[int]time.Duration{7: 16 * time.Millisecond, 62: 62 * char, 63: 62*char + 16*time.Millisecond,
		124: 124 * char, 255: 248*char + 16*time.Millisecond} {
		if got := ftdi.Answer(n); got != want {
			t.Errorf("%d characters take %v, want %v", n, got, want)
		}
	}
	slow := Pace{Baud: 9600, Bits: 10, Chunk: 62, Every: 16 * time.Millisecond} // 15 characters in 16 ms
	if got := slow.Answer(25); got != 32*time.Millisecond {
		t.Errorf("25 characters at 9600 Bd take %v", got)
	}
	for _, baud := range []int{1200, 9600, 115200} { // without an adapter: the line itself
		p := Pace{Baud: baud, Bits: 10}
		if got := p.Answer(25); got != 25*p.CharTime() {
			t.Errorf("%d Bd: %v", baud, got)
		}
	}
	var sizes []int
	w := writerFunc(func(b []byte) (int, error) { sizes = append(sizes, len(b)); return len(b), nil })
	if err := ftdi.write(t.Context(), w, make([]byte, 255)); err != nil || !slices.Equal(sizes, []int{62, 62, 62, 62, 7}) {
		t.Errorf("handed over %v, %v", sizes, err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func FuzzRTURequest(f *testing.F) {
	f.Add(unhex(f, "00 01 03 00 00 00 01 84 0a 01"))
	f.Add(unhex(f, "01 10 00 1e 00 02 04 00 01 00 02 a3 2e"))
	f.Add(unhex(f, "01 42 05 06"))
	f.Fuzz(func(t *testing.T, b []byte) { fuzzFind(t, rtuRequests{}, b) })
}

func FuzzASCIIRequest(f *testing.F) {
	f.Add([]byte(":1103006B00037E\r\n"))
	f.Add([]byte(":::11\n:1103006B00037E\n"))
	f.Fuzz(func(t *testing.T, b []byte) { fuzzFind(t, asciiRequests{}, b) })
}

// fuzzFind: what is found is served without a panic, and its answer can be framed.
func fuzzFind(t *testing.T, r requests, b []byte) {
	s := &Server{Any: unit()}
	unit, function, data, n := r.find(b)
	if n < 0 || n > len(b) {
		t.Fatalf("end %d of %d", n, len(b))
	}
	if n == 0 {
		return
	}
	reply, err := s.serve(s.Any, unit, function, data)
	if err != nil {
		function, reply = function|0x80, []byte{code(err)}
	}
	if len(reply) > 252 {
		return // an echo of a frame that is longer than frames may be
	}
	if _, err := r.frame(Answer{Unit: unit, Function: function, Data: reply}); err != nil {
		t.Error(err)
	}
}

func FuzzTCPRequest(f *testing.F) {
	f.Add(unhex(f, "0007 0000 0006 01 03 0001 0001"))
	f.Add(unhex(f, "0007 0000 00ff 01 03"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, unit, pdu, err := readTCP(bytes.NewReader(b))
		if err != nil {
			return
		}
		s := &Server{Any: &Memory{}}
		_, _ = s.serve(s.Any, unit, pdu[0], pdu[1:]) // must not panic
	})
}
