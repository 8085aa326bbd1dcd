package wire

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/goburrow/modbus"

	"fieldgate/buffer/clock"
)

// Functions that goburrow/modbus has no name for.
const (
	FuncReadExceptionStatus = 0x07
	FuncDiagnostics         = 0x08
	FuncCommEventCounter    = 0x0B
	FuncCommEventLog        = 0x0C
	FuncReportServerID      = 0x11
	FuncReadFileRecord      = 0x14
	FuncWriteFileRecord     = 0x15
	FuncDeviceIdentity      = 0x2B
)

// Request is one question to one unit.
//
//	function        Address, Quantity            Data
//	1, 2, 3, 4      of the read                  none
//	5, 6            Address                      2 bytes: the value (FF00 or 0000; the register)
//	15, 16          of the write                 the packed bits; 2 bytes a register
//	0x16            Address                      4 bytes: AND mask, OR mask
//	0x17            of the read                  write address, write quantity (2 bytes each), 2 bytes a register
//	any other       not used                     everything after the function code
//
// Unit 0 is a broadcast on serial lines: only writes, and nobody answers.
type Request struct {
	Unit     byte
	Function byte
	Address  uint16
	Quantity uint16
	Data     []byte

	Timeout    time.Duration // 0: the line's
	NoRetry    bool          // for probes: one try, whatever Config.Retries says
	Idempotent bool          // a write that may be repeated when its fate is unknown
	Counts     *Counts       // nil: nobody wants to know
}

// Counts is what the line counts for who asks the same again and again, beyond
// what its replies and errors tell.
type Counts struct {
	Late    atomic.Uint64 // answers that came after their time
	Retries atomic.Uint64
}

func (c *Counts) late() {
	if c != nil {
		c.Late.Add(1)
	}
}

// Reply is the answer to a Request.
type Reply struct {
	// Data of functions 1 to 4 and 0x17 is the values, exactly as many as asked
	// for; of all others what follows the function code. It is the caller's.
	Data []byte
	At   clock.Stamp   // when its last byte arrived
	Took time.Duration // from the request's first byte to the answer's last
}

// The limits of Modbus V1.1b3 §6.
const (
	maxReadBits       = 2000
	maxReadRegisters  = 125
	maxWriteBits      = 1968
	maxWriteRegisters = 123
	maxRWRegisters    = 121 // written by 0x17
	maxPDUData        = 252
)

// reads reports a function that changes nothing and may be repeated.
func reads(function byte) bool {
	switch function {
	case modbus.FuncCodeReadCoils, modbus.FuncCodeReadDiscreteInputs, modbus.FuncCodeReadHoldingRegisters,
		modbus.FuncCodeReadInputRegisters, modbus.FuncCodeReadFIFOQueue, FuncReadExceptionStatus,
		FuncCommEventCounter, FuncCommEventLog, FuncReportServerID, FuncReadFileRecord, FuncDeviceIdentity:
		return true
	}
	return false
}

// valid says why there can be no such request, or nothing.
func (r Request) valid() error {
	impossible := func(format string, args ...any) error {
		return fmt.Errorf("%w: function %d: "+format, append([]any{ErrRequest, r.Function}, args...)...)
	}
	if r.Function == 0 || r.Function >= 0x80 {
		return impossible("function codes are 1 to 127")
	}
	limit, need := r.limits()
	switch {
	case limit > 0 && (r.Quantity < 1 || int(r.Quantity) > limit):
		return impossible("quantity %d is not within 1 to %d", r.Quantity, limit)
	case limit > 0 && int(r.Address)+int(r.Quantity) > 0x10000:
		return impossible("%d values from address %d reach beyond 65535", r.Quantity, r.Address)
	case need >= 0 && len(r.Data) != need:
		return impossible("%d bytes of data, need %d", len(r.Data), need)
	case len(r.Data) > maxPDUData:
		return impossible("%d bytes do not fit into a frame", len(r.Data))
	}
	if r.Function == modbus.FuncCodeReadWriteMultipleRegisters {
		if n := len(r.Data) - 4; n < 2 || n%2 != 0 || n/2 > maxRWRegisters || int(binary.BigEndian.Uint16(r.Data[2:])) != n/2 {
			return impossible("the write part does not match its quantity")
		}
	}
	return nil
}

// limits gives a function's limit on Quantity (0: it has none) and the length
// its Data must have (-1: any).
func (r Request) limits() (limit, need int) {
	switch r.Function {
	case modbus.FuncCodeReadCoils, modbus.FuncCodeReadDiscreteInputs:
		return maxReadBits, 0
	case modbus.FuncCodeReadHoldingRegisters, modbus.FuncCodeReadInputRegisters:
		return maxReadRegisters, 0
	case modbus.FuncCodeWriteSingleCoil, modbus.FuncCodeWriteSingleRegister:
		return 0, 2
	case modbus.FuncCodeWriteMultipleCoils:
		return maxWriteBits, bitBytes(r.Quantity)
	case modbus.FuncCodeWriteMultipleRegisters:
		return maxWriteRegisters, 2 * int(r.Quantity)
	case modbus.FuncCodeMaskWriteRegister:
		return 0, 4
	case modbus.FuncCodeReadWriteMultipleRegisters:
		return maxReadRegisters, -1
	}
	return 0, -1
}

// appendData appends a valid request's PDU without the function code.
func (r Request) appendData(b []byte) []byte {
	switch r.Function {
	case modbus.FuncCodeReadCoils, modbus.FuncCodeReadDiscreteInputs,
		modbus.FuncCodeReadHoldingRegisters, modbus.FuncCodeReadInputRegisters:
		b = binary.BigEndian.AppendUint16(b, r.Address)
		return binary.BigEndian.AppendUint16(b, r.Quantity)
	case modbus.FuncCodeWriteSingleCoil, modbus.FuncCodeWriteSingleRegister, modbus.FuncCodeMaskWriteRegister:
		b = binary.BigEndian.AppendUint16(b, r.Address)
	case modbus.FuncCodeWriteMultipleCoils, modbus.FuncCodeWriteMultipleRegisters:
		b = binary.BigEndian.AppendUint16(b, r.Address)
		b = binary.BigEndian.AppendUint16(b, r.Quantity)
		b = append(b, byte(len(r.Data)))
	case modbus.FuncCodeReadWriteMultipleRegisters:
		b = binary.BigEndian.AppendUint16(b, r.Address)
		b = binary.BigEndian.AppendUint16(b, r.Quantity)
		b = append(b, r.Data[:4]...)
		b = append(b, byte(len(r.Data)-4))
		return append(b, r.Data[4:]...)
	}
	return append(b, r.Data...)
}

// pdu packs the request, or says why there can be no such request.
func (r Request) pdu() (*modbus.ProtocolDataUnit, error) {
	if err := r.valid(); err != nil {
		return nil, err
	}
	return &modbus.ProtocolDataUnit{FunctionCode: r.Function, Data: r.appendData(nil)}, nil
}

func bitBytes(quantity uint16) int { return (int(quantity) + 7) / 8 }

// replySize is the length of the PDU data of a good answer, -1 where only the
// answer can tell.
func (r Request) replySize() int {
	switch r.Function {
	case modbus.FuncCodeReadCoils, modbus.FuncCodeReadDiscreteInputs:
		return 1 + bitBytes(r.Quantity)
	case modbus.FuncCodeReadHoldingRegisters, modbus.FuncCodeReadInputRegisters, modbus.FuncCodeReadWriteMultipleRegisters:
		return 1 + 2*int(r.Quantity)
	case modbus.FuncCodeWriteSingleCoil, modbus.FuncCodeWriteSingleRegister,
		modbus.FuncCodeWriteMultipleCoils, modbus.FuncCodeWriteMultipleRegisters, FuncCommEventCounter:
		return 4
	case modbus.FuncCodeMaskWriteRegister:
		return 6
	case FuncReadExceptionStatus:
		return 1
	case FuncDiagnostics:
		return len(r.Data)
	}
	return -1
}

// check compares the answer's PDU data with the request and returns what Reply
// carries. Modbus V1.1b3 §6 says for each function what must come back.
func (r Request) check(data []byte) ([]byte, *ReplyError) {
	if want := r.replySize(); want >= 0 && len(data) != want {
		return nil, replyErrorf("%d bytes to function %d, asked for %d", len(data), r.Function, want)
	}
	switch r.Function {
	case modbus.FuncCodeReadCoils, modbus.FuncCodeReadDiscreteInputs, modbus.FuncCodeReadHoldingRegisters,
		modbus.FuncCodeReadInputRegisters, modbus.FuncCodeReadWriteMultipleRegisters:
		if int(data[0]) != len(data)-1 {
			return nil, replyErrorf("it announces %d bytes and has %d", data[0], len(data)-1)
		}
		return data[1:], nil
	case modbus.FuncCodeWriteSingleCoil, modbus.FuncCodeWriteSingleRegister, modbus.FuncCodeMaskWriteRegister:
		return data, r.checkEcho(data, r.Data)
	case modbus.FuncCodeWriteMultipleCoils, modbus.FuncCodeWriteMultipleRegisters:
		return data, r.checkEcho(data, []byte{byte(r.Quantity >> 8), byte(r.Quantity)})
	}
	return data, nil
}

// checkEcho compares the address and what follows it.
func (r Request) checkEcho(data, want []byte) *ReplyError {
	if got := binary.BigEndian.Uint16(data); got != r.Address {
		return replyErrorf("written was address %d, the answer says %d", r.Address, got)
	}
	if got := data[2:]; string(got) != string(want) {
		e := replyErrorf("written was % x, the device shows % x", want, got)
		if r.Function == modbus.FuncCodeWriteSingleCoil || r.Function == modbus.FuncCodeWriteSingleRegister {
			e.Shown = got
		}
		return e
	}
	return nil
}
