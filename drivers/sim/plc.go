package sim

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/drivers/modbus/server"
)

// Boiler is what a PLC shows unless its section says otherwise: a boiler with
// a dozen points of all sorts.
func Boiler() []Point {
	const s = conf.Duration(time.Second)
	return []Point{
		{Name: "water_temp", Reg: "h100:int16", Wave: "sine", Min: 62, Max: 78, Period: 40 * s, Scale: 0.1, Unit: "°C"},
		{Name: "setpoint", Reg: "h101:int16", Min: 75, Scale: 0.1, Unit: "°C", Write: true},
		{Name: "pressure", Reg: "h102:float32", Wave: "sine", Min: 1.8, Max: 2.4, Period: 25 * s, Unit: "bar"},
		{Name: "flow_total", Reg: "h110:uint32@CDAB", Wave: "counter", Min: 1200, Period: s / 10, Scale: 0.001, Unit: "m³"},
		{Name: "answers", Reg: "h112:uint32@CDAB", Wave: "reads"},
		{Name: "faults", Reg: "h120:uint16", Wave: "square", Max: 8, Period: 30 * s},
		{Name: "state", Reg: "h121:uint16", Wave: "ramp", Max: 3, Period: 60 * s},
		{Name: "pump", Reg: "c0", Min: 1, Write: true},
		{Name: "alarm", Reg: "c1", Wave: "square", Max: 1, Period: 45 * s},
		{Name: "burner_on", Reg: "d4", Wave: "square", Max: 1, Period: 20 * s},
		{Name: "outside_temp", Reg: "i10:int16", Wave: "sine", Min: -6, Max: 14, Period: 90 * s, Scale: 0.1, Unit: "°C"},
		{Name: "runtime", Reg: "i12:uint32", Wave: "counter", Period: s, Unit: "s"},
	}
}

// PLC is a unit on Modbus TCP.
type PLC struct {
	truth
	*disturber
	cfg    PLCConfig
	server *server.Server
	ln     net.Listener
}

// NewPLC makes a PLC; it opens nothing.
func NewPLC(cfg PLCConfig) (*PLC, error) {
	if cfg.Name == "" {
		cfg.Name = "plc"
	}
	if cfg.Bind == "" {
		cfg.Bind = DefaultBind
	}
	if cfg.Unit == 0 {
		cfg.Unit = 1
	}
	if cfg.Points == nil {
		cfg.Points = Boiler()
	}
	p := &PLC{cfg: cfg, disturber: newDisturber(cfg.Faults, cfg.Seed)}
	b, err := newBank(cfg.Name, cfg.Points, &p.truth)
	if err != nil {
		return nil, err
	}
	p.server = &server.Server{Units: map[byte]server.Bank{byte(cfg.Unit): b}, Gateway: true, Fault: p.modbus, Identity: [3]string{"fieldgate", "simulated PLC", "1"}}
	return p, nil
}

// Name is the device's name.
func (p *PLC) Name() string { return p.cfg.Name }

// Start binds the listener; Addr is known from then on.
func (p *PLC) Start() error {
	ln, err := net.Listen("tcp", p.cfg.Bind)
	if err != nil {
		return fmt.Errorf("device %s: %w; choose another bind", p.cfg.Name, err)
	}
	p.ln = ln
	return nil
}

// Addr is host:port.
func (p *PLC) Addr() string { return p.ln.Addr().String() }

// Target is where to reach it, for people.
func (p *PLC) Target() string { return fmt.Sprintf("tcp://%s/%d", p.Addr(), p.cfg.Unit) }

// Answers is the number of requests received so far.
func (p *PLC) Answers() int { return p.server.Calls() }

// Run serves until ctx ends. It closes what Start opened.
func (p *PLC) Run(ctx context.Context) error { return p.server.ServeTCP(ctx, p.ln) }

// TOML is the part of a fieldgate.toml that reads this device.
func (p *PLC) TOML() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[[bus]]\nname = %q\ntcp  = %q\n\n", p.cfg.Name+"-net", p.Addr())
	writeDevice(&b, p.cfg.Name, p.cfg.Name+"-net", p.cfg.Unit, "500ms", p.cfg.Points)
	return b.String()
}

// writeDevice writes a [[device]] section for points.
func writeDevice(b *strings.Builder, name, bus string, unit int, poll string, points []Point) {
	fmt.Fprintf(b, "[[device]]\nname = %q\nbus  = %q\nunit = %d\npoll = %q\ntags = [\n", name, bus, unit, poll)
	for _, p := range points {
		fmt.Fprintf(b, "  { name = %q, reg = %q", p.Name, p.Reg)
		if p.Scale != 0 && p.Scale != 1 {
			fmt.Fprintf(b, ", scale = %v", p.Scale)
		}
		if p.Unit != "" {
			fmt.Fprintf(b, ", unit = %q", p.Unit)
		}
		if p.Wave == "counter" || p.Wave == "reads" {
			b.WriteString(`, kind = "counter"`)
		}
		if p.Write {
			b.WriteString(", write = { verify = true }")
		}
		b.WriteString(" },\n")
	}
	b.WriteString("]\n")
}
