package wire

import (
	"encoding/binary"
	"fmt"
)

const (
	mbapSize      = 6   // transaction, protocol, length; the unit counts as body here
	mbapMinLength = 3   // unit, function, one byte
	mbapMaxLength = 254 // unit and the largest PDU
)

// tcpFrame is a frame with its transaction number.
type tcpFrame struct {
	frame
	transaction uint16
}

// appendTCP packs a valid request (Modbus messaging on TCP/IP V1.0b §3.1.3).
func appendTCP(b []byte, transaction uint16, req Request) []byte {
	at := len(b)
	b = binary.BigEndian.AppendUint16(b, transaction)
	b = append(b, 0, 0, 0, 0, req.Unit, req.Function)
	b = req.appendData(b)
	binary.BigEndian.PutUint16(b[at+4:], uint16(len(b)-at-mbapSize))
	return b
}

// splitTCP takes the first frame off a stream. n is 0 while it is incomplete;
// the error means that the stream cannot be followed any further.
func splitTCP(buf []byte) (f tcpFrame, n int, err error) {
	if len(buf) < mbapSize {
		return f, 0, nil
	}
	if protocol := binary.BigEndian.Uint16(buf[2:]); protocol != 0 {
		return f, 0, fmt.Errorf("broken header: protocol %d instead of 0; is this a Modbus TCP port?", protocol)
	}
	length := int(binary.BigEndian.Uint16(buf[4:]))
	if length < mbapMinLength || length > mbapMaxLength {
		return f, 0, fmt.Errorf("broken header: length %d is not within %d to %d", length, mbapMinLength, mbapMaxLength)
	}
	n = mbapSize + length
	if len(buf) < n {
		return f, 0, nil
	}
	f.transaction = binary.BigEndian.Uint16(buf)
	f.frame = frame{unit: buf[6], function: buf[7], data: buf[8:n]}
	return f, n, nil
}

// mayBegin reports that a frame may begin with b, or that b is empty. What is
// left of a frame whose beginning was taken for the end of another looks
// different.
func mayBegin(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	if len(b) < 3 || b[2] != 0 || len(b) > 3 && b[3] != 0 {
		return false
	}
	_, _, err := splitTCP(b)
	return err == nil
}
