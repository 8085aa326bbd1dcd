package modbus

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fieldgate/drivers/modbus/wire"
)

// loadWarning is the share of line time from which `check` warns.
const loadWarning = 0.8

// PlannedRequest is one request of the plan, for `plan` and `check`.
type PlannedRequest struct {
	Bus, Device string
	Unit        int
	Function    int
	Area        Area
	Addr        int
	Count       int // registers or bits
	Poll        Poll
	Tags        []string      // names, in the order of their addresses
	Bytes       int           // both ways
	Time        time.Duration // of line time, with an assumed turn-around
	Load        float64       // share of the line: Time / Poll; 0 where there is no interval
}

// First is the register the request begins with, for its three forms.
func (p PlannedRequest) First() Register {
	return Register{Area: p.Area, Addr: uint16(p.Addr), Bit: -1, Type: typeUint16}
}

// Plan lists the requests that read the devices of a bus. Tags with errors are
// left out; Validate reports them.
func Plan(b Bus, devices []Device) []PlannedRequest {
	var out []PlannedRequest
	cfg := b.lineFor(devices, nil)
	t := tariffOf(b, devices)
	var list []*device
	for i := range devices {
		d := &devices[i]
		if d.Bus != b.Name || d.Disabled {
			continue
		}
		list = append(list, compileDevice(d, t, nil, func(string, error) {}))
	}
	protectFast(list, t)
	for _, dev := range list {
		for _, g := range dev.groups {
			for _, bl := range g.blocks {
				out = append(out, planned(b, cfg, dev, g, bl))
			}
		}
	}
	return out
}

func planned(b Bus, cfg wire.Config, dev *device, g *group, bl *block) PlannedRequest {
	p := PlannedRequest{
		Bus: b.Name, Device: dev.name, Unit: int(dev.unit), Function: int(bl.area.readFunction()), Area: bl.area,
		Addr: bl.addr, Count: bl.count, Poll: g.poll,
	}
	p.Tags = dev.namesOf(&bl.span)
	p.Bytes, p.Time = wire.FrameCost(cfg, bl.request(dev.unit))
	if cfg.Kind == wire.TCP {
		p.Time += assumedTCP
	} else {
		p.Time += assumedSerial
	}
	if every := g.poll.Every(); every > 0 {
		p.Load = p.Time.Seconds() / every.Seconds()
	}
	return p
}

// LoadWarning says that a bus cannot keep up with its polls, or nearly so, and
// what to do. Both are empty where all is well.
func LoadWarning(b Bus, devices []Device) (warning, help string) {
	requests := Plan(b, devices)
	total := 0.0
	var order []string
	perDevice := map[string]float64{}
	for _, r := range requests {
		if _, seen := perDevice[r.Device]; !seen {
			order = append(order, r.Device)
		}
		total += r.Load
		perDevice[r.Device] += r.Load
	}
	if total <= loadWarning {
		return "", ""
	}
	var parts []string
	for i, name := range order {
		if i == 6 {
			parts = append(parts, fmt.Sprintf("%d more", len(order)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%s %.2f", name, perDevice[name]))
	}
	warning = fmt.Sprintf("bus %s needs %.2f s of line time per second (%s)", b.Name, total, strings.Join(parts, ", "))
	options := []string{"poll slower"}
	if b.Port != "" {
		options = append(options, "raise baud")
	}
	if fewer, saves := withAutoGap(b, devices, total); saves {
		options = append(options, fmt.Sprintf("or let max_gap = %q join %d requests into %d", autoGap, len(requests), fewer))
	}
	return warning, strings.Join(options, ", ")
}

// withAutoGap is how many requests max_gap = "auto" would leave, and whether
// the line had less to carry.
func withAutoGap(b Bus, devices []Device, load float64) (requests int, saves bool) {
	other := slices.Clone(devices)
	for i := range other {
		other[i].MaxGap = autoGap
	}
	total := 0.0
	plan := Plan(b, other)
	for _, r := range plan {
		total += r.Load
	}
	return len(plan), len(plan) > 0 && total < load*0.99
}
