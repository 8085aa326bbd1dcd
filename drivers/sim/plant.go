package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"fieldgate/configs/conf"
)

// Device is what all simulated devices can do.
type Device interface {
	Name() string
	Start() error
	Run(ctx context.Context) error
	Target() string
	TOML() string
	Presented() []Presented
	OnPresent(func([]Presented))
	Disturb(on bool)
	SetFaults(Faults)
	FaultCounts() FaultCounts
}

var (
	_ Device = (*PLC)(nil)
	_ Device = (*Meter)(nil)
	_ Device = (*Scale)(nil)
)

// Plant is all devices of a Config.
type Plant struct{ devices []Device }

// New makes the devices; it opens nothing.
func New(c Config) (*Plant, error) {
	var first error
	c.Validate(func(p conf.Problem) {
		if first == nil {
			first = fmt.Errorf("%s: %s; %s", p.Key, p.Text, p.Help)
		}
	})
	if first != nil {
		return nil, first
	}
	p := &Plant{}
	add := func(d Device, err error) {
		first = errors.Join(first, err)
		p.devices = append(p.devices, d)
	}
	for _, cfg := range c.PLC {
		d, err := NewPLC(cfg)
		add(d, err)
	}
	for _, cfg := range c.Meter {
		d, err := NewMeter(cfg)
		add(d, err)
	}
	for _, cfg := range c.Scale {
		d, err := NewScale(cfg)
		add(d, err)
	}
	if first != nil {
		return nil, first
	}
	return p, nil
}

// Devices lists the devices in the order of the file: PLCs, meters, scales.
func (p *Plant) Devices() []Device { return p.devices }

// Run starts all devices, calls ready once every target is known, and serves
// until ctx ends or a device fails.
func (p *Plant) Run(ctx context.Context, ready func()) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	errs := make([]error, len(p.devices))
	for i, d := range p.devices {
		if err := d.Start(); err != nil {
			stop() // those that have started end, and close what they opened
			wg.Wait()
			return err
		}
		wg.Go(func() {
			defer stop()
			errs[i] = d.Run(ctx)
		})
	}
	if ready != nil {
		ready()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// TOML is a fieldgate.toml that reads all devices. Call it after Run is ready.
func (p *Plant) TOML() string {
	parts := make([]string, len(p.devices))
	for i, d := range p.devices {
		parts[i] = d.TOML()
	}
	return strings.Join(parts, "\n")
}
