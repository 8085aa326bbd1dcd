package server

import (
	"encoding/binary"
)

// The function codes with a meaning here (Modbus V1.1b3 §6).
const (
	readCoils          = 0x01
	readDiscretes      = 0x02
	readHoldings       = 0x03
	readInputs         = 0x04
	writeCoil          = 0x05
	writeRegister      = 0x06
	exceptionStatus    = 0x07
	diagnostics        = 0x08
	writeCoils         = 0x0F
	writeRegisters     = 0x10
	serverID           = 0x11
	maskWriteRegister  = 0x16
	readWriteRegisters = 0x17
	readFIFO           = 0x18
	deviceIdentity     = 0x2B
)

// serve executes one request on a bank.
func (s *Server) serve(b Bank, unit, function byte, data []byte) ([]byte, error) {
	s.execs.Add(1)
	r := request{b, data}
	switch function {
	case readCoils:
		return r.readBits(Coils)
	case readDiscretes:
		return r.readBits(Discretes)
	case readHoldings:
		return r.readRegisters(Holdings)
	case readInputs:
		return r.readRegisters(Inputs)
	case writeCoil:
		return r.writeCoil()
	case writeRegister:
		return r.writeRegister()
	case writeCoils:
		return r.writeCoils()
	case writeRegisters:
		return r.writeRegisters()
	case maskWriteRegister:
		return r.maskWrite()
	case readWriteRegisters:
		return r.readWrite()
	case exceptionStatus:
		return []byte{0}, nil
	case diagnostics:
		if len(data) < 2 || data[0] != 0 || data[1] != 0 {
			return nil, IllegalFunction // only sub-function 0, return query data
		}
		return data, nil
	case readFIFO:
		return r.readFIFO()
	case serverID:
		return append([]byte{byte(len(s.Identity[1]) + 2), unit}, append([]byte(s.Identity[1]), 0xFF)...), nil
	case deviceIdentity:
		return s.identity(data)
	}
	return nil, IllegalFunction
}

type request struct {
	bank Bank
	data []byte
}

// word is a big-endian number of the request.
func (r request) word(at int) int { return int(binary.BigEndian.Uint16(r.data[at:])) }

// span checks address and quantity at the front of a request.
func (r request) span(limit, size int) (address, quantity int, err error) {
	if len(r.data) < 4 || size >= 0 && len(r.data) != size {
		return 0, 0, IllegalValue
	}
	address, quantity = r.word(0), r.word(2)
	switch {
	case quantity < 1 || quantity > limit:
		return 0, 0, IllegalValue
	case address+quantity > 0x10000:
		return 0, 0, IllegalAddress
	}
	return address, quantity, nil
}

func (r request) readBits(area Area) ([]byte, error) {
	address, quantity, err := r.span(2000, 4)
	if err != nil {
		return nil, err
	}
	bits, err := r.bank.ReadBits(area, address, quantity)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 1+(quantity+7)/8)
	out[0] = byte(len(out) - 1)
	for i, on := range bits {
		if on {
			out[1+i/8] |= 1 << (i % 8)
		}
	}
	return out, nil
}

func (r request) readRegisters(area Area) ([]byte, error) {
	address, quantity, err := r.span(125, 4)
	if err != nil {
		return nil, err
	}
	return registers(r.bank.ReadRegisters(area, address, quantity))
}

func registers(values []uint16, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	out := []byte{byte(2 * len(values))}
	for _, v := range values {
		out = binary.BigEndian.AppendUint16(out, v)
	}
	return out, nil
}

func (r request) writeCoil() ([]byte, error) {
	if len(r.data) != 4 {
		return nil, IllegalValue
	}
	value := r.word(2)
	if value != 0 && value != 0xFF00 {
		return nil, IllegalValue
	}
	return r.data, r.bank.WriteCoils(r.word(0), []bool{value != 0})
}

func (r request) writeRegister() ([]byte, error) {
	if len(r.data) != 4 {
		return nil, IllegalValue
	}
	return r.data, r.bank.WriteHoldings(r.word(0), []uint16{uint16(r.word(2))})
}

func (r request) writeCoils() ([]byte, error) {
	address, quantity, err := r.span(1968, -1)
	if err != nil {
		return nil, err
	}
	if n := (quantity + 7) / 8; len(r.data) != 5+n || int(r.data[4]) != n {
		return nil, IllegalValue
	}
	values := make([]bool, quantity)
	for i := range values {
		values[i] = r.data[5+i/8]>>(i%8)&1 != 0
	}
	return r.data[:4], r.bank.WriteCoils(address, values)
}

func (r request) writeRegisters() ([]byte, error) {
	address, quantity, err := r.span(123, -1)
	if err != nil {
		return nil, err
	}
	values, err := r.values(4, quantity)
	if err != nil {
		return nil, err
	}
	return r.data[:4], r.bank.WriteHoldings(address, values)
}

// values reads a byte count and that many bytes of registers, to the end.
func (r request) values(at, quantity int) ([]uint16, error) {
	if len(r.data) != at+1+2*quantity || int(r.data[at]) != 2*quantity {
		return nil, IllegalValue
	}
	values := make([]uint16, quantity)
	for i := range values {
		values[i] = uint16(r.word(at + 1 + 2*i))
	}
	return values, nil
}

func (r request) maskWrite() ([]byte, error) {
	if len(r.data) != 6 {
		return nil, IllegalValue
	}
	address, and, or := r.word(0), uint16(r.word(2)), uint16(r.word(4))
	old, err := r.bank.ReadRegisters(Holdings, address, 1)
	if err != nil {
		return nil, err
	}
	return r.data, r.bank.WriteHoldings(address, []uint16{old[0]&and | or&^and})
}

func (r request) readWrite() ([]byte, error) {
	address, quantity, err := r.span(125, -1)
	if err != nil {
		return nil, err
	}
	if len(r.data) < 9 || r.word(6) < 1 || r.word(6) > 121 {
		return nil, IllegalValue
	}
	values, err := r.values(8, r.word(6))
	if err != nil {
		return nil, err
	}
	if err := r.bank.WriteHoldings(r.word(4), values); err != nil {
		return nil, err
	}
	return registers(r.bank.ReadRegisters(Holdings, address, quantity))
}

// readFIFO takes the register at the address for the length of a queue that
// follows it.
func (r request) readFIFO() ([]byte, error) {
	if len(r.data) != 2 {
		return nil, IllegalValue
	}
	head, err := r.bank.ReadRegisters(Holdings, r.word(0), 1)
	if err != nil {
		return nil, err
	}
	n := int(head[0])
	if n > 31 {
		return nil, IllegalValue
	}
	out := binary.BigEndian.AppendUint16(nil, uint16(2+2*n))
	out = binary.BigEndian.AppendUint16(out, uint16(n))
	values, err := r.bank.ReadRegisters(Holdings, r.word(0)+1, n)
	for _, v := range values {
		out = binary.BigEndian.AppendUint16(out, v)
	}
	return out, err
}

// identity answers 0x2B/0x0E with the three basic objects in one piece.
func (s *Server) identity(data []byte) ([]byte, error) {
	if len(data) != 3 || data[0] != 0x0E {
		return nil, IllegalFunction
	}
	out := []byte{0x0E, data[1], 0x01, 0x00, 0x00, byte(len(s.Identity))}
	for i, text := range s.Identity {
		out = append(out, byte(i), byte(len(text)))
		out = append(out, text...)
	}
	return out, nil
}
