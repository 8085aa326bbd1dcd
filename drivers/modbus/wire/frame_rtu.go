package wire

import (
	"encoding/binary"

	"github.com/goburrow/modbus"
)

const (
	rtuOverhead = 4   // unit, function, check sum
	rtuMax      = 256 // Modbus serial line V1.02 §2.5.1
)

// rtuFramer packs with goburrow's packager, which has no state but the unit.
type rtuFramer struct{ packager modbus.RTUClientHandler }

func (f *rtuFramer) encode(unit byte, pdu *modbus.ProtocolDataUnit) ([]byte, error) {
	f.packager.SlaveId = unit
	return f.packager.Encode(pdu)
}

func (*rtuFramer) size(data int) int { return rtuOverhead + data }

func (*rtuFramer) find(buf []byte, want func(unit, function byte) bool) (r found) {
	for i := 0; i+2 <= len(buf); i++ {
		rest := buf[i:]
		if !want(rest[0], rest[1]) {
			continue
		}
		n, known := rtuReplyLength(rest)
		if !known {
			if n = longestFrame(rest); n > 0 {
				r.set(buf, i, n)
				r.quiet = true
				return r
			}
			continue
		}
		switch {
		case n > rtuMax:
			// noise, or a byte count that cannot be
		case n == 0 || n > len(rest):
			if len(rest) > r.partial {
				r.partial, r.need = len(rest), n
			}
		case crc16(rest[:n]) == 0:
			r.set(buf, i, n)
			return r
		default:
			r.broken = n
		}
	}
	return r
}

func (r *found) set(buf []byte, start, n int) {
	b := buf[start : start+n]
	r.frame = frame{unit: b[0], function: b[1], data: b[2 : n-2]}
	r.ok, r.start, r.end = true, start, start+n
}

// rtuReplyLength takes a reply's length from the reply itself. known is false
// for functions whose reply has no length; n is 0 while the byte that tells
// has not come.
func rtuReplyLength(b []byte) (n int, known bool) {
	if b[1]&0x80 != 0 {
		return 5, true
	}
	counted := func(at, more int) (int, bool) {
		if len(b) <= at {
			return 0, true
		}
		return int(b[at]) + more, true
	}
	switch b[1] {
	case modbus.FuncCodeReadCoils, modbus.FuncCodeReadDiscreteInputs, modbus.FuncCodeReadHoldingRegisters,
		modbus.FuncCodeReadInputRegisters, modbus.FuncCodeReadWriteMultipleRegisters,
		FuncCommEventLog, FuncReportServerID, FuncReadFileRecord, FuncWriteFileRecord:
		return counted(2, 5)
	case modbus.FuncCodeWriteSingleCoil, modbus.FuncCodeWriteSingleRegister,
		modbus.FuncCodeWriteMultipleCoils, modbus.FuncCodeWriteMultipleRegisters, FuncCommEventCounter:
		return 8, true
	case FuncReadExceptionStatus:
		return 5, true
	case modbus.FuncCodeMaskWriteRegister:
		return 10, true
	case modbus.FuncCodeReadFIFOQueue:
		if len(b) < 4 {
			return 0, true
		}
		return 6 + int(binary.BigEndian.Uint16(b[2:])), true
	case FuncDeviceIdentity:
		return identityLength(b)
	}
	return 0, false
}

// identityLength walks the objects of a reply to 0x2B/0x0E
// (Modbus V1.1b3 §6.21): unit, 2B, 0E, code, conformity, more, next, count, objects.
func identityLength(b []byte) (int, bool) {
	if len(b) >= 3 && b[2] != 0x0E {
		return 0, false // CANopen (0x0D) and others have no length
	}
	if len(b) < 8 {
		return 0, true
	}
	at := 8
	for range b[7] {
		if len(b) < at+2 {
			return 0, true
		}
		at += 2 + int(b[at+1])
	}
	return at + 2, true
}

// longestFrame is the longest beginning of b with a right check sum. A shorter
// one may be right by chance, the longest is what the unit sent.
func longestFrame(b []byte) (n int) {
	crc := uint16(0xFFFF)
	for i, c := range b[:min(len(b), rtuMax)] {
		if crc = crcAdd(crc, c); crc == 0 && i+1 >= rtuOverhead {
			n = i + 1
		}
	}
	return n
}
