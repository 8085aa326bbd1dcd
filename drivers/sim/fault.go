package sim

import (
	"math/rand/v2"
	"sync"
	"time"

	"fieldgate/drivers/modbus/server"
)

// disturber decides what goes wrong with an answer.
type disturber struct {
	mu     sync.Mutex
	faults Faults
	on     bool
	rng    *rand.Rand
	counts FaultCounts
}

// FaultCounts is how often a device was disturbed.
type FaultCounts struct{ Late, Drop, Noise, Exception uint64 }

func newDisturber(f Faults, seed uint64) *disturber {
	if seed == 0 {
		seed = 1
	}
	return &disturber{faults: f, on: !f.Off, rng: rand.New(rand.NewPCG(seed, seed))}
}

// Disturb switches the faults on or off.
func (d *disturber) Disturb(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.on = on
}

// SetFaults replaces the faults and switches them on.
func (d *disturber) SetFaults(f Faults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults, d.on = f, !f.Off
}

// FaultCounts is how often something went wrong on purpose so far.
func (d *disturber) FaultCounts() FaultCounts {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts
}

// fault is what happens to one answer.
type fault struct {
	drop, exception bool
	delay           time.Duration
	noise           []byte
}

func (d *disturber) draw() (f fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.on {
		return f
	}
	hit := func(p float64, count *uint64) bool {
		if p <= 0 || d.rng.Float64() >= p {
			return false
		}
		*count++
		return true
	}
	if hit(d.faults.Drop, &d.counts.Drop) {
		return fault{drop: true}
	}
	if hit(d.faults.Exception, &d.counts.Exception) {
		f.exception = true
	}
	if hit(d.faults.Late, &d.counts.Late) {
		f.delay = d.faults.LateBy.Or(DefaultLateBy)
	}
	if hit(d.faults.Noise, &d.counts.Noise) {
		f.noise = make([]byte, 1+d.rng.IntN(4))
		for i := range f.noise {
			f.noise[i] = byte(d.rng.Uint32())
		}
	}
	return f
}

// modbus is the next fault in the words of the Modbus server.
func (d *disturber) modbus(server.Call) server.Fault {
	f := d.draw()
	out := server.Fault{Drop: f.drop, Delay: f.delay, Before: f.noise}
	if f.exception {
		out.Exception = byte(server.DeviceFailure)
	}
	return out
}
