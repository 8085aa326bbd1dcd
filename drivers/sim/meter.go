package sim

import (
	"context"
	"fmt"
	"strings"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/drivers/modbus/server"
	"fieldgate/drivers/port/pty"
)

// SDM630 is what a meter shows unless its section says otherwise: the main
// values of an Eastron SDM630, float32 in input registers.
func SDM630() []Point {
	const s = conf.Duration(time.Second)
	return []Point{
		{Name: "l1_voltage", Reg: "i0:float32", Wave: "sine", Min: 226, Max: 234, Period: 30 * s, Unit: "V"},
		{Name: "l2_voltage", Reg: "i2:float32", Wave: "sine", Min: 227, Max: 233, Period: 35 * s, Unit: "V"},
		{Name: "l3_voltage", Reg: "i4:float32", Wave: "sine", Min: 225, Max: 235, Period: 40 * s, Unit: "V"},
		{Name: "l1_current", Reg: "i6:float32", Wave: "sine", Min: 2, Max: 9, Period: 20 * s, Unit: "A"},
		{Name: "l2_current", Reg: "i8:float32", Wave: "sine", Min: 1, Max: 7, Period: 24 * s, Unit: "A"},
		{Name: "l3_current", Reg: "i10:float32", Wave: "sine", Min: 3, Max: 8, Period: 28 * s, Unit: "A"},
		{Name: "total_power", Reg: "i52:float32", Wave: "sine", Min: 1400, Max: 5200, Period: 22 * s, Unit: "W"},
		{Name: "frequency", Reg: "i70:float32", Wave: "sine", Min: 49.97, Max: 50.03, Period: 15 * s, Unit: "Hz"},
		{Name: "import_energy", Reg: "i72:float32", Wave: "counter", Min: 8123, Period: 2 * s, Scale: 1, Unit: "kWh"},
	}
}

// Meter is a unit on a Modbus RTU line, which is a pseudo-terminal that takes
// as long as a line of its speed.
type Meter struct {
	truth
	*disturber
	cfg    MeterConfig
	server *server.Server
	pty    *pty.PTY
}

// NewMeter makes a meter; it opens nothing.
func NewMeter(cfg MeterConfig) (*Meter, error) {
	if cfg.Name == "" {
		cfg.Name = "meter"
	}
	if cfg.Unit == 0 {
		cfg.Unit = 3
	}
	if cfg.Baud == 0 {
		cfg.Baud = DefaultBaud
	}
	if cfg.Points == nil {
		cfg.Points = SDM630()
	}
	m := &Meter{cfg: cfg, disturber: newDisturber(cfg.Faults, cfg.Seed)}
	b, err := newBank(cfg.Name, cfg.Points, &m.truth)
	if err != nil {
		return nil, err
	}
	m.server = &server.Server{
		Units: map[byte]server.Bank{byte(cfg.Unit): b}, Fault: m.modbus, Identity: [3]string{"fieldgate", "simulated meter", "1"},
		Pace: server.Pace{Baud: cfg.Baud, Bits: 10, Turnaround: cfg.Turnaround.Or(5 * time.Millisecond)},
	}
	return m, nil
}

// Name is the device's name.
func (m *Meter) Name() string { return m.cfg.Name }

// Start makes the line; Path is known from then on.
func (m *Meter) Start() (err error) {
	m.pty, err = startLine(m.cfg.Name, m.cfg.Link)
	return err
}

// startLine opens a pseudo-terminal with a link to it.
func startLine(name, link string) (*pty.PTY, error) {
	p, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", name, err)
	}
	if err := makeLink(link, p.Path()); err != nil {
		p.Close()
		return nil, fmt.Errorf("device %s: %w", name, err)
	}
	return p, nil
}

// Path is the port to open: the link, or else the pseudo-terminal itself.
func (m *Meter) Path() string {
	if m.cfg.Link != "" {
		return m.cfg.Link
	}
	return m.pty.Path()
}

// Target is where to reach it, for people.
func (m *Meter) Target() string {
	return fmt.Sprintf("rtu://%s/%d?baud=%d&mode=8N1", m.Path(), m.cfg.Unit, m.cfg.Baud)
}

// Answers is the number of requests received so far.
func (m *Meter) Answers() int { return m.server.Calls() }

// Run serves until ctx ends. It closes what Start opened.
func (m *Meter) Run(ctx context.Context) error {
	defer removeLink(m.cfg.Link, m.pty.Path())
	defer m.pty.Close()
	return m.server.ServeRTU(ctx, m.pty)
}

// TOML is the part of a fieldgate.toml that reads this device.
func (m *Meter) TOML() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[[bus]]\nname = %q\nport = %q\nbaud = %d\nmode = \"8N1\"\n\n", m.cfg.Name+"-line", m.Path(), m.cfg.Baud)
	writeDevice(&b, m.cfg.Name, m.cfg.Name+"-line", m.cfg.Unit, "1s", m.cfg.Points)
	return b.String()
}
