package server

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"time"

	"github.com/goburrow/modbus"
)

// maxRequest bounds what is kept of a line without requests in it.
const maxRequest = 1024

// requests finds requests on a line and frames answers.
type requests interface {
	// find returns the first whole request; n is its end, 0 where there is none yet.
	find(buf []byte) (unit, function byte, data []byte, n int)
	frame(Answer) ([]byte, error)
}

// talkSerial serves one line. A real unit sleeps while it is late, and so does this.
func (s *Server) talkSerial(ctx context.Context, rw io.ReadWriter, r requests) error {
	var buf []byte
	chunk := make([]byte, 256)
	for {
		n, err := rw.Read(chunk)
		if err != nil {
			return err
		}
		came := time.Now()
		if s.Echo {
			if _, err := rw.Write(chunk[:n]); err != nil {
				return err
			}
		}
		buf = append(buf, chunk[:n]...)
		for {
			unit, function, data, n := r.find(buf)
			if n == 0 {
				break
			}
			if err := s.reply(ctx, came, rw, r, unit, function, bytes.Clone(data), n); err != nil {
				return err
			}
			buf = append(buf[:0], buf[n:]...)
			came = time.Now() // of the next one: a line carries one at a time
		}
		if len(buf) > maxRequest {
			buf = append(buf[:0], buf[len(buf)-maxRequest/2:]...)
		}
	}
}

func (s *Server) reply(ctx context.Context, came time.Time, w io.Writer, r requests, unit, function byte, data []byte, n int) error {
	if err := s.Pace.request(ctx, came, n); err != nil {
		return err
	}
	a, f, ok, err := s.answer(ctx, unit, function, data, true)
	if err != nil || !ok {
		return err
	}
	if f.Edit != nil {
		f.Edit(&a)
	}
	frame, err := r.frame(a)
	if err != nil {
		return err
	}
	return f.send(ctx, w, frame, s.Pace)
}

// send applies the faults of the wire.
func (f Fault) send(ctx context.Context, w io.Writer, frame []byte, pace Pace) error {
	if f.Frame != nil {
		frame = f.Frame(frame)
	}
	all := append(append(bytes.Clone(f.Before), frame...), f.After...)
	if f.Twice {
		all = append(all, frame...)
	}
	var err error
	if f.Chunk > 0 {
		err = inPieces(ctx, w, all, f.Chunk, f.Pause)
	} else {
		err = pace.write(ctx, w, all)
	}
	if err == nil && f.Hangup {
		err = errHangUp
	}
	return err
}

// rtuRequests frames by content, like the master: a request's length follows
// from its function.
type rtuRequests struct{}

func (rtuRequests) frame(a Answer) ([]byte, error) {
	h := &modbus.RTUClientHandler{}
	h.SlaveId = a.Unit
	return h.Encode(&modbus.ProtocolDataUnit{FunctionCode: a.Function, Data: a.Data})
}

func (rtuRequests) find(buf []byte) (unit, function byte, data []byte, n int) {
	check := &modbus.RTUClientHandler{}
	for i := 0; i+4 <= len(buf); i++ {
		size := rtuRequestSize(buf[i:])
		if size < 4 || size > len(buf)-i {
			continue
		}
		if pdu, err := check.Decode(buf[i : i+size]); err == nil {
			return buf[i], pdu.FunctionCode, pdu.Data, i + size
		}
	}
	return 0, 0, nil, 0
}

// rtuRequestSize is 0 while the byte that tells has not come, and for what is
// no function. A user-defined function (Modbus V1.1b3 §5: 65 to 72, 100 to
// 110) has no known length and is taken for everything that has come.
func rtuRequestSize(b []byte) int {
	counted := func(at, more int) int {
		if len(b) <= at {
			return 0
		}
		return int(b[at]) + more
	}
	switch b[1] {
	case readCoils, readDiscretes, readHoldings, readInputs, writeCoil, writeRegister, diagnostics:
		return 8
	case deviceIdentity:
		return 7
	case exceptionStatus, 0x0B, 0x0C, serverID:
		return 4
	case writeCoils, writeRegisters:
		return counted(6, 9)
	case maskWriteRegister:
		return 10
	case readWriteRegisters:
		return counted(10, 13)
	case readFIFO:
		return 6
	case 0x14, 0x15:
		return counted(2, 5)
	}
	if f := b[1]; f >= 65 && f <= 72 || f >= 100 && f <= 110 {
		return len(b)
	}
	return 0
}

// asciiRequests reads ':' frames.
type asciiRequests struct{}

func (asciiRequests) frame(a Answer) ([]byte, error) {
	h := &modbus.ASCIIClientHandler{}
	h.SlaveId = a.Unit
	return h.Encode(&modbus.ProtocolDataUnit{FunctionCode: a.Function, Data: a.Data})
}

func (asciiRequests) find(buf []byte) (unit, function byte, data []byte, n int) {
	for from := 0; ; {
		end := bytes.IndexByte(buf[from:], '\n')
		if end < 0 {
			return 0, 0, nil, 0
		}
		end += from
		from = end + 1
		start := bytes.LastIndexByte(buf[:end], ':')
		if start < 0 {
			continue
		}
		b, err := hex.DecodeString(string(bytes.TrimSpace(buf[start+1 : end])))
		if err != nil || len(b) < 3 {
			continue
		}
		var sum byte
		for _, c := range b {
			sum += c
		}
		if sum == 0 {
			return b[0], b[1], b[2 : len(b)-1], end + 1
		}
	}
}
