package wire

import (
	"context"
	"errors"
	"fmt"

	"github.com/goburrow/modbus"
)

// Client lends goburrow's client this line, for one unit and one context: its
// methods for each function, over our transport. Its errors are those of Do.
func (l *Line) Client(ctx context.Context, unit byte) modbus.Client {
	packager := &modbus.RTUClientHandler{} // never connected
	packager.SlaveId = unit
	return modbus.NewClient2(packager, transporter{l, ctx})
}

// transporter is modbus.Transporter, which knows no context, bound to one.
type transporter struct {
	line *Line
	ctx  context.Context
}

var _ modbus.Transporter = transporter{}

// Send takes an RTU frame whatever the line speaks; only its content travels.
func (t transporter) Send(adu []byte) ([]byte, error) {
	if len(adu) < rtuOverhead {
		return nil, fmt.Errorf("%w: a frame of %d bytes", ErrRequest, len(adu))
	}
	req, err := parseRequest(adu[0], adu[1], adu[2:len(adu)-2])
	if err != nil {
		return nil, err
	}
	answer := &modbus.ProtocolDataUnit{FunctionCode: req.Function}
	reply, err := t.line.Do(t.ctx, req)
	var ex *Exception
	switch {
	case errors.As(err, &ex):
		answer.FunctionCode |= 0x80
		answer.Data = []byte{ex.Code}
	case err != nil:
		return nil, err
	case req.counted():
		answer.Data = append([]byte{byte(len(reply.Data))}, reply.Data...)
	default:
		answer.Data = reply.Data
	}
	return (&rtuFramer{}).encode(req.Unit, answer)
}

// counted reports a function whose answer begins with a byte count that
// Reply.Data leaves out.
func (r Request) counted() bool {
	switch r.Function {
	case modbus.FuncCodeReadCoils, modbus.FuncCodeReadDiscreteInputs, modbus.FuncCodeReadHoldingRegisters,
		modbus.FuncCodeReadInputRegisters, modbus.FuncCodeReadWriteMultipleRegisters:
		return true
	}
	return false
}

// parseRequest is the inverse of pdu.
func parseRequest(unit, function byte, data []byte) (Request, error) {
	r := Request{Unit: unit, Function: function, Data: data}
	word := func(at int) uint16 { return uint16(data[at])<<8 | uint16(data[at+1]) }
	short := func(n int) bool { return len(data) < n }
	bad := fmt.Errorf("%w: function %d with %d bytes", ErrRequest, function, len(data))
	switch function {
	case modbus.FuncCodeReadCoils, modbus.FuncCodeReadDiscreteInputs, modbus.FuncCodeReadHoldingRegisters, modbus.FuncCodeReadInputRegisters:
		if len(data) != 4 {
			return r, bad
		}
		r.Address, r.Quantity, r.Data = word(0), word(2), nil
	case modbus.FuncCodeWriteSingleCoil, modbus.FuncCodeWriteSingleRegister, modbus.FuncCodeMaskWriteRegister:
		if short(2) {
			return r, bad
		}
		r.Address, r.Data = word(0), data[2:]
	case modbus.FuncCodeWriteMultipleCoils, modbus.FuncCodeWriteMultipleRegisters:
		if short(5) {
			return r, bad
		}
		r.Address, r.Quantity, r.Data = word(0), word(2), data[5:]
	case modbus.FuncCodeReadWriteMultipleRegisters:
		if short(9) {
			return r, bad
		}
		r.Address, r.Quantity = word(0), word(2)
		r.Data = append(append([]byte{}, data[4:8]...), data[9:]...)
	}
	return r, nil
}
