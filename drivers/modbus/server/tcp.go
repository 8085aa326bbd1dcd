package server

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
)

// talkTCP serves one connection, one request after the other.
func (s *Server) talkTCP(ctx context.Context, rw io.ReadWriter) error {
	r := bufio.NewReader(rw)
	for {
		id, unit, pdu, err := readTCP(r)
		if err != nil {
			return err
		}
		a, f, ok, err := s.answer(ctx, unit, pdu[0], pdu[1:], false)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		a.Transaction = id
		if f.Edit != nil {
			f.Edit(&a)
		}
		if err := s.sendTCP(ctx, rw, a, f); err != nil {
			return err
		}
	}
}

// readTCP reads one request; its PDU has at least the function code.
func readTCP(r io.Reader) (id uint16, unit byte, pdu []byte, err error) {
	var head [7]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, nil, err
	}
	length := int(binary.BigEndian.Uint16(head[4:]))
	if binary.BigEndian.Uint16(head[2:]) != 0 || length < 2 || length > 254 {
		return 0, 0, nil, fmt.Errorf("not a Modbus TCP header: % x", head)
	}
	pdu = make([]byte, length-1)
	_, err = io.ReadFull(r, pdu)
	return binary.BigEndian.Uint16(head[:]), head[6], pdu, err
}

func (s *Server) sendTCP(ctx context.Context, w io.Writer, a Answer, f Fault) error {
	frame := binary.BigEndian.AppendUint16(nil, a.Transaction)
	frame = append(frame, 0, 0)
	frame = binary.BigEndian.AppendUint16(frame, uint16(len(a.Data)+2))
	frame = append(frame, a.Unit, a.Function)
	frame = append(frame, a.Data...)
	return f.send(ctx, w, frame, Pace{}) // TCP has no line speed of its own
}
