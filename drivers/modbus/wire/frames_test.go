package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/goburrow/modbus"
)

// vector is a request, what a line brought back, and what that means.
type vector struct {
	ID, Protocol      string
	Request, Response string // hex; text for ASCII
	Clean             string `json:"clean_frame"` // the answer alone, where the response holds more
	Valid             bool   // false: refused, or dug out
	Decode            []struct {
		Transaction uint16
		Exception   byte
		Values      []uint16
		Set         []int // bits that are on
	}
}

func TestFrames(t *testing.T) { checkVectors(t, "testdata/frames.json") }

func checkVectors(t *testing.T, file string) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Frames []vector }
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, v := range all.Frames {
		check := map[string]func(*testing.T, vector){"modbus-rtu": checkRTU, "modbus-ascii": checkASCII, "modbus-tcp": checkTCP}[v.Protocol]
		if check == nil || v.Response == "" {
			continue
		}
		checked++
		t.Run(v.ID, func(t *testing.T) { check(t, v) })
	}
	if checked == 0 {
		t.Errorf("%s holds no frames", file)
	}
}

func checkRTU(t *testing.T, v vector) {
	adu := unhex(t, v.Request)
	if v.Request == "" {
		adu = []byte{1, 4, 0, 0, 0, 2, 0, 0} // the vector is about the answer
	}
	checkStream(t, v, &rtuFramer{}, adu[0], adu[1], adu[2:len(adu)-2], adu, unhex(t, v.Response), unhex(t, v.Clean))
}

func checkASCII(t *testing.T, v vector) {
	f := (&asciiFramer{}).find([]byte(v.Request), anyFrame)
	if !f.ok {
		t.Fatalf("the request %q is not a frame", v.Request)
	}
	checkStream(t, v, &asciiFramer{}, f.unit, f.function, f.data, []byte(v.Request), []byte(v.Response), nil)
}

// checkStream encodes the request and looks for the answer as it comes in,
// byte by byte.
func checkStream(t *testing.T, v vector, fr framer, unit, function byte, data, adu, response, clean []byte) {
	req, err := parseRequest(unit, function, data)
	if err != nil {
		t.Fatal(err)
	}
	pdu, err := req.pdu()
	if err != nil {
		t.Fatal(err)
	}
	tx, err := fr.encode(req.Unit, pdu)
	if err != nil || v.Request != "" && string(tx) != string(adu) {
		t.Fatalf("encodes to % x, %v", tx, err)
	}
	echo := echoState{mode: EchoAuto}
	s := search{req: req, framer: fr, strip: echo.stripper(req, tx), owed: func(frame) bool { return false }}
	for i := range response {
		f, err := s.look(response[:i+1])
		if err == nil && !f.ok {
			continue
		}
		if !v.Valid && len(clean) == 0 {
			t.Fatalf("took % x for an answer", response[:i+1])
		}
		if len(clean) > 0 && f.ok && string(response[f.start:f.end]) != string(clean) {
			t.Fatalf("found % x, want % x", response[f.start:f.end], clean)
		}
		v.judge(t, req.Function, 0, s.data, err)
		return
	}
	if v.Valid || len(clean) > 0 {
		t.Fatalf("not found: %v", s.verdict(response, 0))
	}
}

func (v vector) judge(t *testing.T, function byte, n int, data []byte, err error) {
	t.Helper()
	if n >= len(v.Decode) {
		return
	}
	want := v.Decode[n]
	var ex *Exception
	switch {
	case want.Exception != 0:
		if !errors.As(err, &ex) || ex.Code != want.Exception || ex.Function != function {
			t.Errorf("got % x, %v; want exception %d", data, err, want.Exception)
		}
	case err != nil:
		t.Error(err)
	case want.Set != nil:
		for i := range 8 * len(data) {
			if on := data[i/8]>>(i%8)&1 != 0; on != slices.Contains(want.Set, i) {
				t.Errorf("bit %d is %v", i, on)
			}
		}
	case want.Values != nil && function <= modbus.FuncCodeReadInputRegisters:
		if len(data) != 2*len(want.Values) {
			t.Fatalf("% x, want %v", data, want.Values)
		}
		for i, w := range want.Values {
			if got := binary.BigEndian.Uint16(data[2*i:]); got != w {
				t.Errorf("value %d is %d, want %d", i, got, w)
			}
		}
	}
}

// checkTCP takes the frames off the stream, which may hold several.
func checkTCP(t *testing.T, v vector) {
	stream := unhex(t, v.Response)
	req := Request{Unit: 1, Function: modbus.FuncCodeReadHoldingRegisters, Quantity: 1}
	id := -1
	if v.Request != "" {
		f, n, err := splitTCP(unhex(t, v.Request))
		if err != nil || n == 0 {
			t.Fatal(err)
		}
		if req, err = parseRequest(f.unit, f.function, f.data); err != nil {
			t.Fatal(err)
		}
		id = int(f.transaction)
	}
	found := 0
	for len(stream) > 0 {
		f, n, err := splitTCP(stream)
		if err != nil || n == 0 {
			t.Fatalf("% x: %v", stream, err)
		}
		stream = stream[n:]
		if id >= 0 && int(f.transaction) != id {
			continue
		}
		if id < 0 && f.transaction != v.Decode[found].Transaction {
			t.Errorf("transaction %d, want %d", f.transaction, v.Decode[found].Transaction)
		}
		var o outcome
		err = New(Config{Kind: TCP}).judgeTCP(req, f.frame, &o)
		v.judge(t, req.Function, found, o.data, err)
		found++
	}
	if (found > 0) != v.Valid {
		t.Errorf("%d answers, valid is %v", found, v.Valid)
	}
}
