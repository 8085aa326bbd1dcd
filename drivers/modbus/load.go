package modbus

import (
	"fmt"
	"strings"
	"time"

	"fieldgate/drivers/modbus/wire"
)

// What a unit is assumed to need before it answers, where nothing was measured
// yet: serial meters take 5 to 60 ms, a TCP device a round trip and some
// processing.
const (
	assumedSerial = 20 * time.Millisecond
	assumedTCP    = 5 * time.Millisecond
	loadWarning   = 0.8 // share of line time from which `check` warns
)

// PlannedRequest is one request of the plan, for `plan` and `check`.
type PlannedRequest struct {
	Bus, Device string
	Unit        int
	Function    int
	Area        Area
	Addr        int
	Count       int           // registers or bits
	Poll        time.Duration //
	Tags        []string      // names, in the order of their addresses
	Bytes       int           // both ways
	Time        time.Duration // of line time, with an assumed turn-around
	Load        float64       // share of the line: Time / Poll
}

// First is the register the request begins with, for its three forms.
func (p PlannedRequest) First() Register {
	return Register{Area: p.Area, Addr: uint16(p.Addr), Bit: -1, Type: typeUint16}
}

// Plan lists the requests that read the devices of a bus. Tags with errors are
// left out; Validate reports them.
func Plan(b Bus, devices []Device) []PlannedRequest {
	var out []PlannedRequest
	cfg := b.Line(nil)
	for i := range devices {
		d := &devices[i]
		if d.Bus != b.Name || d.Disabled {
			continue
		}
		dev := compileDevice(d, nil, func(string, error) {})
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
	for _, it := range bl.items {
		if pt := dev.points[it.point]; !pt.hidden {
			p.Tags = append(p.Tags, pt.tag.Name)
		}
	}
	p.Bytes, p.Time = wire.FrameCost(cfg, bl.request(dev.unit))
	if cfg.Kind == wire.TCP {
		p.Time += assumedTCP
	} else {
		p.Time += assumedSerial
	}
	p.Load = p.Time.Seconds() / g.poll.Seconds()
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
	if fewer := withGap(b, devices, 32); fewer < len(requests) {
		options = append(options, fmt.Sprintf("or let max_gap = 32 join %d requests into %d", len(requests), fewer))
	}
	return warning, strings.Join(options, ", ")
}

// withGap is how many requests another max_gap would leave.
func withGap(b Bus, devices []Device, gap int) int {
	var other []Device
	for _, d := range devices {
		if d.MaxGap == nil || *d.MaxGap < gap {
			d.MaxGap = &gap
		}
		other = append(other, d)
	}
	return len(Plan(b, other))
}
