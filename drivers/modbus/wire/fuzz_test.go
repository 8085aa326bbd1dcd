package wire

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/goburrow/modbus"
)

// unhex reads "01 03 …".
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// answers are good and bad, of most functions.
var answers = []string{
	"01 03 02 03 e8 b8 fa", "00 01 03 02 03 e8 b8 fa 00", "01 83 02 c0 f1", "01 06 00 be 00 01 28 2e",
	"01 11 10 01 02", "01 03 ff", "01 03", "01", "", "01 16 00 04 00 f2 00 25 60 70", "01 18 00 06 00 02 00 07 00 08 00 00",
	"01 2b 0e 01 01 00 00 03 00 04 41 63 6d 65", "01 42 05 06 07 00 00", "ff ff ff ff ff ff", "00 00 00 00 00 00",
}

func FuzzRTU(f *testing.F) {
	for _, a := range answers {
		f.Add(unhex(f, a))
	}
	packager := &modbus.RTUClientHandler{}
	f.Fuzz(func(t *testing.T, b []byte) {
		everything := func(byte, byte) bool { return true }
		checkFound(t, &rtuFramer{}, everything, b, func(frame []byte) error { _, err := packager.Decode(frame); return err })
	})
}

func FuzzASCII(f *testing.F) {
	f.Add([]byte(":010302030AED\r\n"))
	f.Add([]byte(":01:010302030AED\r\n:"))
	f.Add([]byte("::::\n\n\r\n:0\r\n:ZZ\r\n:01830279\n"))
	for _, a := range answers {
		f.Add([]byte(":" + strings.ToUpper(strings.ReplaceAll(a, " ", "")) + "\r\n"))
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkFound(t, &asciiFramer{}, anyFrame, b, nil) })
}

// checkFound: what is found stands in the buffer, is right by another
// implementation too, survives noise around it, and encodes to itself.
func checkFound(t *testing.T, fr framer, want func(byte, byte) bool, b []byte, right func([]byte) error) {
	if len(b) > maxReceive {
		b = b[:maxReceive]
	}
	got := fr.find(b, want)
	if !got.ok {
		return
	}
	if got.start < 0 || got.end > len(b) || got.start >= got.end {
		t.Fatalf("found %d to %d of %d bytes", got.start, got.end, len(b))
	}
	if right != nil {
		if err := right(b[got.start:got.end]); err != nil {
			t.Fatalf("% x: %v", b[got.start:got.end], err)
		}
	}
	adu, err := fr.encode(got.unit, &modbus.ProtocolDataUnit{FunctionCode: got.function, Data: got.data})
	if err != nil {
		t.Fatal(err)
	}
	if right != nil && !bytes.Equal(adu, b[got.start:got.end]) {
		t.Fatalf("found % x, encodes to % x", b[got.start:got.end], adu)
	}
	again := fr.find(adu, want)
	if !again.ok || again.unit != got.unit || again.function != got.function || !bytes.Equal(again.data, got.data) {
		t.Fatalf("% x does not come back: %+v", adu, again)
	}
}

func FuzzTCP(f *testing.F) {
	for _, a := range []string{
		"00 01 00 00 00 05 01 03 02 03 e8", "00 01 00 00 00 03 01 83 02 00", "00 01 00 01 00 05 01 03 02 03 e8",
		"00 01 00 00 ff ff 01 03", "00 01 00 00 00 00", "00 01 00 00 00 fe", "00",
	} {
		f.Add(unhex(f, a))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		f, n, err := splitTCP(b)
		if n > len(b) || n > 0 && (err != nil || n < mbapSize+mbapMinLength || len(f.data) != n-mbapSize-2) {
			t.Fatalf("%+v, %d of %d, %v", f, n, len(b), err)
		}
		// Byte by byte the stream must come to the same end.
		for i := range b {
			g, m, e := splitTCP(b[:i+1])
			if e != nil || m > 0 {
				if m != n || (e == nil) != (err == nil) || g.transaction != f.transaction {
					t.Fatalf("after %d bytes: %d, %v; all at once: %d, %v", i+1, m, e, n, err)
				}
				return
			}
		}
	})
}

// FuzzReply feeds the whole judgement of an answer: nothing may panic, and
// data that is delivered is exactly as long as what was asked for.
func FuzzReply(f *testing.F) {
	for _, a := range answers {
		f.Add(byte(3), uint16(100), uint16(1), unhex(f, a))
		f.Add(byte(6), uint16(190), uint16(1), unhex(f, a))
	}
	f.Add(byte(1), uint16(0), uint16(2000), []byte{1, 1, 250})
	f.Fuzz(func(t *testing.T, function byte, address, quantity uint16, b []byte) {
		req := Request{Unit: 1, Function: function & 0x7F, Address: address, Quantity: quantity}
		if req.Function == modbus.FuncCodeWriteSingleRegister {
			req.Data = []byte{0, 1}
		}
		if _, err := req.pdu(); err != nil {
			return
		}
		var fr rtuFramer
		s := search{req: req, framer: &fr, owed: func(frame) bool { return false }}
		for i := range min(len(b), maxReceive) { // as it arrives
			got, err := s.look(b[:i+1])
			if err != nil {
				return
			}
			if got.ok && !got.quiet {
				if want := req.replySize(); want >= 0 && len(got.data) != want || req.counted() && len(s.data) != want-1 {
					t.Fatalf("%+v: delivered % x", req, s.data)
				}
				return
			}
		}
		if err := s.verdict(b, 0); err == nil {
			t.Fatal("no answer and no error")
		}
	})
}

// FuzzParseRequest: a request that can be packed is read back as it was.
func FuzzParseRequest(f *testing.F) {
	f.Add(byte(3), []byte{0, 1, 0, 2})
	f.Add(byte(16), []byte{0, 1, 0, 1, 2, 9, 9})
	f.Add(byte(0x17), []byte{0, 1, 0, 1, 0, 2, 0, 1, 2, 9, 9})
	f.Add(byte(0x16), []byte{0})
	f.Fuzz(func(t *testing.T, function byte, data []byte) {
		req, err := parseRequest(1, function, data)
		if err != nil {
			return
		}
		pdu, err := req.pdu()
		if err != nil {
			return
		}
		back, err := parseRequest(1, pdu.FunctionCode, pdu.Data)
		if err != nil || back.Address != req.Address || back.Quantity != req.Quantity || !bytes.Equal(back.Data, req.Data) {
			t.Fatalf("%+v came back as %+v, %v", req, back, err)
		}
	})
}
