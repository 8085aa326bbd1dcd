package main

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"

	"fieldgate/configs"
	"fieldgate/drivers"
	"fieldgate/drivers/modbus"
	"fieldgate/drivers/serial"
)

// busSetup is all that makes a driver: a bus with its devices, or one serial
// instrument. Two setups that are DeepEqual make the same driver.
type busSetup struct {
	bus     *modbus.Bus
	devices []modbus.Device
	serial  *serial.Config
}

// setups lists the drivers of a file by name.
func setups(file *configs.File) map[string]busSetup {
	all := map[string]busSetup{}
	for i := range file.Bus {
		s := busSetup{bus: &file.Bus[i]}
		for _, d := range file.Device {
			if d.Bus == s.bus.Name {
				s.devices = append(s.devices, d)
			}
		}
		all[s.bus.Name] = s
	}
	for i := range file.Serial {
		all[file.Serial[i].Name] = busSetup{serial: &file.Serial[i]}
	}
	return all
}

// openDrivers makes the supervisor and every driver; no line is opened.
func (g *gateway) openDrivers() (err error) {
	g.super, err = drivers.NewSupervisor(drivers.Options{
		Broker: g.broker, Gateway: g.file.Gateway, Publish: g.file.Publish, Log: g.log,
	})
	if err != nil {
		return err
	}
	g.events.publishBy(g.super)
	all := setups(g.file)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := g.addDriver(name, all[name]); err != nil {
			return err
		}
	}
	return nil
}

// nextPhase spreads the buses over the second in which they begin: steps of the
// golden section leave no two close together, however many follow.
func (g *gateway) nextPhase() float64 {
	_, phase := math.Modf(float64(g.begun) * (math.Sqrt(5) - 1) / 2)
	g.begun++
	return phase
}

func (g *gateway) addDriver(name string, s busSetup) error {
	driver, devices, err := g.newDriver(s)
	if err == nil {
		err = g.super.Add(driver, devices)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	g.mu.Lock()
	g.buses[name] = s
	g.mu.Unlock()
	return nil
}

func (g *gateway) newDriver(s busSetup) (drivers.Driver, []drivers.DeviceInfo, error) {
	if s.serial != nil {
		d, err := serial.New(*s.serial)
		if err != nil {
			return nil, nil, err
		}
		d.Log = g.log
		return d, []drivers.DeviceInfo{{Name: s.serial.Name, Label: s.serial.Label, Bus: s.serial.Name}}, nil
	}
	zone, err := zoneOf(g.file.Gateway.Timezone)
	if err != nil {
		return nil, nil, err
	}
	d, err := modbus.New(*s.bus, s.devices, modbus.Options{Log: g.log, Event: g.super.Event, Memory: g.buffer, Phase: g.nextPhase(), Zone: zone})
	if err != nil {
		return nil, nil, err
	}
	return d, d.Devices(), nil
}

// reloadDrivers replaces the drivers whose setup changed; the others keep
// their cadence. What it returns failed alone and leaves the others running.
// The caller holds change.
func (g *gateway) reloadDrivers(file *configs.File) error {
	next := setups(file)
	var failed []error
	for name, old := range maps.Clone(g.buses) { // only who holds change writes it
		s, stays := next[name]
		if stays && reflect.DeepEqual(s, old) {
			continue
		}
		g.mu.Lock()
		delete(g.buses, name)
		g.mu.Unlock()
		if err := g.super.Remove(name, !stays); err != nil {
			failed = append(failed, err)
			continue
		}
		g.log.Info("stopped for the new configuration", "bus", name)
	}
	for name, s := range next {
		if _, runs := g.buses[name]; runs {
			continue
		}
		if err := g.addDriver(name, s); err != nil {
			failed = append(failed, err)
			continue
		}
		g.log.Info("started by the new configuration", "bus", name)
	}
	return errors.Join(failed...)
}
