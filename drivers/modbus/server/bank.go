package server

import (
	"fmt"
	"sync"
)

// Exception is an error that a Bank returns to refuse a request with a code.
// Any other error refuses with 4, device failure.
type Exception byte

// Error gives the code.
func (e Exception) Error() string { return fmt.Sprintf("modbus exception %d", byte(e)) }

// The codes that the package itself uses.
const (
	IllegalFunction Exception = 1
	IllegalAddress  Exception = 2
	IllegalValue    Exception = 3
	DeviceFailure   Exception = 4
	NoAnswer        Exception = 11 // of a gateway, for a unit that is not there
)

// Area is one of the four address spaces of a unit.
type Area byte

// The areas.
const (
	Coils Area = iota
	Discretes
	Inputs
	Holdings
)

// Bank is the memory of one unit. Its methods may be called from several
// connections at once; addresses are those of the wire.
type Bank interface {
	ReadBits(area Area, address, quantity int) ([]bool, error)
	ReadRegisters(area Area, address, quantity int) ([]uint16, error)
	WriteCoils(address int, values []bool) error
	WriteHoldings(address int, values []uint16) error
}

// Memory is a Bank that holds what was set. An address that was never set
// does not exist: exception 2. The zero value is an empty unit.
type Memory struct {
	mu    sync.Mutex
	cells [4]map[int]uint16
}

var _ Bank = (*Memory)(nil)

// Set defines cells of an area from an address on. Bits are 0 and 1.
func (m *Memory) Set(area Area, address int, values ...uint16) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cells[area] == nil {
		m.cells[area] = map[int]uint16{}
	}
	for i, v := range values {
		m.cells[area][address+i] = v
	}
}

// Get returns one cell, 0 where there is none.
func (m *Memory) Get(area Area, address int) uint16 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cells[area][address]
}

// ReadRegisters implements Bank.
func (m *Memory) ReadRegisters(area Area, address, quantity int) ([]uint16, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]uint16, quantity)
	for i := range out {
		v, ok := m.cells[area][address+i]
		if !ok {
			return nil, IllegalAddress
		}
		out[i] = v
	}
	return out, nil
}

// ReadBits implements Bank.
func (m *Memory) ReadBits(area Area, address, quantity int) ([]bool, error) {
	cells, err := m.ReadRegisters(area, address, quantity)
	if err != nil {
		return nil, err
	}
	out := make([]bool, quantity)
	for i, v := range cells {
		out[i] = v != 0
	}
	return out, nil
}

// WriteHoldings implements Bank.
func (m *Memory) WriteHoldings(address int, values []uint16) error {
	return m.write(Holdings, address, values)
}

// WriteCoils implements Bank.
func (m *Memory) WriteCoils(address int, values []bool) error {
	cells := make([]uint16, len(values))
	for i, v := range values {
		if v {
			cells[i] = 1
		}
	}
	return m.write(Coils, address, cells)
}

// write changes all cells or none.
func (m *Memory) write(area Area, address int, values []uint16) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range values {
		if _, ok := m.cells[area][address+i]; !ok {
			return IllegalAddress
		}
	}
	for i, v := range values {
		m.cells[area][address+i] = v
	}
	return nil
}
