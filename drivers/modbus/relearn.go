package modbus

import (
	"context"
	"time"

	"fieldgate/drivers"
)

// Relearn forgets what was found out about a device: blocks that it refused,
// registers that it does not have, functions that it does not know. All of it is
// tried again at once. It is for a device that was changed, or that refused
// things while it was not well.
func (d *Driver) Relearn(ctx context.Context, device string) error {
	dev, _, err := d.find(device, "")
	if dev == nil {
		return err
	}
	var failed error
	err = d.submit(ctx, d.jobs, func(_ context.Context, p *poller) { failed = p.relearn(dev) })
	if err != nil {
		return err
	}
	return failed
}

func (p *poller) relearn(dev *device) error {
	dev.limits.breaks = map[Area][]int{}
	dev.multiRegisters, dev.multiCoils = false, false
	for _, pt := range dev.points {
		pt.strikes, pt.disabled = 0, time.Time{}
	}
	for _, g := range dev.groups {
		g.abort()
		g.blocks = nil // with what is known of them
		g.plan()
		g.wanted(time.Now())
	}
	p.d.log.Info("what was learnt of the device is forgotten", "device", dev.name)
	if p.d.opt.Memory == nil {
		return nil
	}
	if err := p.d.opt.Memory.Put(memoryKey(p.d.bus.Name, dev.name), []byte("{}")); err != nil {
		return drivers.Refuse(drivers.CodeUnavailable, "forget what was learnt of %s: %v", dev.name, err)
	}
	return nil
}
