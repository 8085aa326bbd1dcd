package sim

import (
	"fmt"
	"sync"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/drivers/modbus/server"
)

// bank is the memory of a simulated unit: points that move by themselves. All
// cells of one answer show one moment, and no value is torn.
type bank struct {
	device string
	truth  *truth
	start  time.Time

	mu     sync.Mutex
	points []*point
}

var _ server.Bank = (*bank)(nil)

func newBank(device string, points []Point, t *truth) (*bank, error) {
	b := &bank{device: device, truth: t, start: time.Now()}
	taken := map[[2]int]string{}
	for i, p := range points {
		pt, err := newPoint(p)
		if err != nil {
			return nil, fmt.Errorf("device %s: points[%d].%w", device, i, err)
		}
		for a := pt.reg.address; a < pt.end(); a++ {
			cell := [2]int{int(pt.reg.area), a}
			if other, ok := taken[cell]; ok {
				return nil, fmt.Errorf("device %s: points %s and %s overlap at address %d", device, other, p.Name, a)
			}
			taken[cell] = p.Name
		}
		b.points = append(b.points, pt)
	}
	return b, nil
}

// ReadRegisters implements server.Bank.
func (b *bank) ReadRegisters(area server.Area, address, quantity int) ([]uint16, error) {
	if address+quantity > addressCount {
		return nil, server.IllegalAddress
	}
	out, told := b.read(area, address, quantity)
	b.truth.add(told)
	return out, nil
}

func (b *bank) read(area server.Area, address, quantity int) (out []uint16, told []Presented) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t, now := time.Since(b.start), clock.Now()
	out = make([]uint16, quantity)
	for _, p := range b.points {
		if p.reg.area != area || p.end() <= address || p.reg.address >= address+quantity {
			continue
		}
		whole := p.reg.address >= address && p.end() <= address+quantity
		if whole {
			p.reads++
		}
		cells := p.cells(t)
		for i, c := range cells {
			if at := p.reg.address + i - address; at >= 0 && at < quantity {
				out[at] = c
			}
		}
		if whole {
			raw := p.reg.decode(cells)
			f, _ := raw.Float()
			told = append(told, Presented{Device: b.device, Tag: p.Name, Raw: raw, Value: f * p.Scale, At: now})
		}
	}
	return out, told
}

// ReadBits implements server.Bank.
func (b *bank) ReadBits(area server.Area, address, quantity int) ([]bool, error) {
	cells, err := b.ReadRegisters(area, address, quantity)
	if err != nil {
		return nil, err
	}
	out := make([]bool, len(cells))
	for i, c := range cells {
		out[i] = c != 0
	}
	return out, nil
}

// WriteCoils implements server.Bank.
func (b *bank) WriteCoils(address int, values []bool) error {
	cells := make([]uint16, len(values))
	for i, v := range values {
		if v {
			cells[i] = 1
		}
	}
	return b.write(server.Coils, address, cells)
}

// WriteHoldings implements server.Bank.
func (b *bank) WriteHoldings(address int, values []uint16) error {
	return b.write(server.Holdings, address, values)
}

// write takes whole points that may be written, or nothing.
func (b *bank) write(area server.Area, address int, values []uint16) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var hit []*point
	covered := 0
	for _, p := range b.points {
		if p.reg.area == area && p.Write && p.reg.address >= address && p.end() <= address+len(values) {
			hit = append(hit, p)
			covered += words[p.reg.typ]
		}
	}
	if covered != len(values) {
		return server.IllegalAddress
	}
	for _, p := range hit {
		at := p.reg.address - address
		p.written = append([]uint16(nil), values[at:at+words[p.reg.typ]]...)
	}
	return nil
}
