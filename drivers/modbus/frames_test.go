package modbus

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"fieldgate/buffer/clock"
	"fieldgate/drivers"
)

// TestFrames: what the frames of the wire's tests say, in values. That the wire
// finds the answer in what comes is tested there; here its data is cut out by
// hand.
func TestFrames(t *testing.T) {
	b, err := os.ReadFile("wire/testdata/frames.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Frames []struct {
			ID, Protocol, Request, Response string
			Clean                           string `json:"clean_frame"`
			Decode                          []struct {
				Reg   string
				Scale *float64
				Value any
			}
		}
	}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	values := 0
	for _, f := range all.Frames {
		for _, d := range f.Decode {
			if d.Reg == "" {
				continue
			}
			values++
			p, err := compilePoint(&Device{Name: "x"}, &Tag{Name: "v", Reg: d.Reg, Scale: d.Scale}, Order{})
			if err != nil {
				t.Errorf("%s: %v", f.ID, err)
				continue
			}
			data := body(t, f.Protocol, cmp.Or(f.Clean, f.Response))[1:] // behind the count of bytes
			s := &span{area: p.reg.Area, addr: int(p.reg.Addr), count: p.reg.count()}
			if f.Request != "" {
				asked := body(t, f.Protocol, f.Request)
				s.addr, s.count = int(binary.BigEndian.Uint16(asked)), int(binary.BigEndian.Uint16(asked[2:]))
			}
			got, keep := p.pipe.Apply(extract(p.reg, s, data), clock.Now())
			if !keep || got.Quality != drivers.Good || got.Value.String() != d.Value {
				t.Errorf("%s: %s is %v (%v), want %v", f.ID, d.Reg, got.Value, got.Quality, d.Value)
			}
		}
	}
	if values < 25 {
		t.Errorf("only %d values are in the frames", values)
	}
}

// body is what a frame holds behind unit and function.
func body(t *testing.T, protocol, frame string) []byte {
	t.Helper()
	switch protocol {
	case "modbus-ascii":
		b := hexBytes(t, strings.TrimPrefix(strings.TrimSpace(frame), ":"))
		return b[2 : len(b)-1]
	case "modbus-tcp":
		return hexBytes(t, strings.ReplaceAll(frame, " ", ""))[8:]
	}
	b := hexBytes(t, strings.ReplaceAll(frame, " ", ""))
	return b[2 : len(b)-2]
}
