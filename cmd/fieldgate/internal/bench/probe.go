package bench

import (
	"context"
	"net"
	"sync"
	"time"

	"fieldgate/drivers/modbus/server"
)

// probe is a simulated unit that knows when it was asked: a Modbus TCP device
// in this process whose registers hold the number of its last change.
type probe struct {
	address string

	mu      sync.Mutex
	first   time.Time // of the first request
	number  uint16
	changed map[uint16]time.Time // when the number was set
	told    map[uint16]time.Time // when it was first told to a reader
}

// startProbe serves a probe until ctx ends; wait for wg afterwards.
func startProbe(ctx context.Context, wg *sync.WaitGroup, address string) (*probe, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	p := &probe{address: ln.Addr().String(), changed: map[uint16]time.Time{}, told: map[uint16]time.Time{}}
	s := &server.Server{Any: p}
	wg.Go(func() {
		_ = s.ServeTCP(ctx, ln) // ends with ctx; a failure shows as values that do not come
	})
	return p, nil
}

var _ server.Bank = (*probe)(nil)

// ReadRegisters tells the number in each register.
func (p *probe) ReadRegisters(_ server.Area, _, quantity int) ([]uint16, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.first.IsZero() {
		p.first = now
	}
	if _, ok := p.told[p.number]; !ok {
		p.told[p.number] = now
	}
	out := make([]uint16, quantity)
	for i := range out {
		out[i] = p.number
	}
	return out, nil
}

// ReadBits and the others refuse: a probe has registers only.
func (p *probe) ReadBits(server.Area, int, int) ([]bool, error) { return nil, server.IllegalFunction }

// WriteCoils refuses.
func (p *probe) WriteCoils(int, []bool) error { return server.IllegalFunction }

// WriteHoldings refuses.
func (p *probe) WriteHoldings(int, []uint16) error { return server.IllegalFunction }

// change sets the next number and returns it.
func (p *probe) change() uint16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.number++
	p.changed[p.number] = time.Now()
	return p.number
}

// firstRequest is zero while nobody has asked.
func (p *probe) firstRequest() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.first
}

// times says when a number was set and when it was first told.
func (p *probe) times(number uint16) (changed, told time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed[number], p.told[number]
}
