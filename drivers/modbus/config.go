package modbus

import (
	"log/slog"
	"strings"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/drivers/modbus/wire"
	"fieldgate/drivers/port"
)

// The defaults of [[bus]] and [[device]].
const (
	DefaultTimeout    = time.Second
	DefaultPoll       = time.Second
	DefaultRetries    = 1
	DefaultAfter      = 3
	DefaultBackoffMax = 60 * time.Second
	MinPoll           = 50 * time.Millisecond
	MaxPoll           = 24 * time.Hour
	stalePolls        = 3 // stale_after in polls, but at least staleLeast
	staleLeast        = 3 * time.Second
)

// Bus is a [[bus]] section: one wire or one endpoint of a network. Exactly one
// of Port, TCP, TLS, RTUOverTCP, UDP and Listen is set.
type Bus struct {
	Name string `toml:"name"` // REQUIRED

	Port     string `toml:"port"`     // serial line
	Baud     int    `toml:"baud"`     // default 9600
	Mode     string `toml:"mode"`     // "8E1"; default "8N1"
	Protocol string `toml:"protocol"` // rtu|ascii (serial line), rtu|tcp (listen), default rtu
	RS485    RS485  `toml:"rs485"`
	Echo     string `toml:"echo"` // auto|on|off, default auto

	TCP        string `toml:"tcp"`     // host[:502], Modbus TCP
	TLS        string `toml:"tls"`     // host[:802], Modbus TCP over TLS
	RTUOverTCP string `toml:"rtu_tcp"` // host:port, RTU frames in a TCP stream
	UDP        string `toml:"udp"`     // host:port, RTU frames in datagrams

	Listen       string `toml:"listen"`       // host:port or :port, a device that dials in
	Registration string `toml:"registration"` // listen: its first bytes: text, "hex:…", "regex:…"
	Heartbeat    string `toml:"heartbeat"`    // listen: bytes it sends now and then: text, "hex:…"

	CAFile     string `toml:"ca_file"`   // tls: default the system's
	CertFile   string `toml:"cert_file"` // tls: ours, where the device asks for one
	KeyFile    string `toml:"key_file"`
	ServerName string `toml:"server_name"` // tls: in the device's certificate; default the host

	Timeout         conf.Duration `toml:"timeout"`   // default 1s
	FrameGap        conf.Duration `toml:"frame_gap"` // silence around frames; default 3.5 characters
	Gap             conf.Duration `toml:"gap"`       // extra silence between requests, for slow slaves
	UnitSwitchPause conf.Duration `toml:"unit_switch_pause"`
	LateGuard       conf.Duration `toml:"late_guard"`    // quarantine after a time-out
	ConnectDelay    conf.Duration `toml:"connect_delay"` // pause after a TCP connect
	IdleClose       conf.Duration `toml:"idle_close"`    // default 60s; listen: 120s
	Retries         *int          `toml:"retries"`       // default 1
	MaxInFlight     int           `toml:"max_in_flight"` // default 1
	IgnoreTID       bool          `toml:"ignore_tid"`    // gateways that do not echo the transaction number
	IgnoreUnit      bool          `toml:"ignore_unit"`   // TCP answers with unit 0 or 255
}

// RS485 says who turns the line around.
type RS485 struct {
	RTS         string        `toml:"rts"` // driver (default): the adapter; ioctl: the kernel
	ActiveLow   bool          `toml:"active_low"`
	DelayBefore conf.Duration `toml:"delay_before"`
	DelayAfter  conf.Duration `toml:"delay_after"`
}

// Device is a [[device]] section: one Modbus unit on a bus.
type Device struct {
	Name     string        `toml:"name"` // REQUIRED
	Label    string        `toml:"label"`
	Bus      string        `toml:"bus"`   // REQUIRED
	Unit     int           `toml:"unit"`  // default 1
	Poll     Poll          `toml:"poll"`  // default 1s; "once" or "on_demand"
	Align    bool          `toml:"align"` // polls fall on marks of the clock on the wall
	Order    string        `toml:"order"` // ABCD|CDAB|BADC|DCBA
	Offline  Offline       `toml:"offline"`
	Gap      conf.Duration `toml:"gap"` // silence before its requests; that of the bus where it is longer
	Disabled bool          `toml:"disabled"`

	MaxGap           any        `toml:"max_gap"`             // "auto" (default), or a number: read holes of up to this many registers along
	MaxRegisters     int        `toml:"max_registers"`       // per request; default 125
	NoRead           []string   `toml:"no_read"`             // "h100..h109": no request touches these
	OneRequestPerTag bool       `toml:"one_request_per_tag"` // for devices that give one value at a time
	Atomic           [][]string `toml:"atomic"`              // groups of tags that come from one request each
	CoilsFromZero    bool       `toml:"coils_from_zero"`     // coils are read from address 0 on

	Tags []Tag `toml:"tags"` // short form
	Tag  []Tag `toml:"tag"`  // long form

	Computed []Computed `toml:"computed"` // values that follow from others
}

// Offline says when a silent unit counts as offline and how it is probed.
type Offline struct {
	After      int           `toml:"after"`       // failures in a row; default 3
	BackoffMax conf.Duration `toml:"backoff_max"` // default 60s
}

// Tag is one value of a device.
type Tag struct {
	Name       string         `toml:"name"` // REQUIRED
	Label      string         `toml:"label"`
	Reg        string         `toml:"reg"` // REQUIRED, the register grammar
	Scale      *float64       `toml:"scale"`
	Offset     float64        `toml:"offset"`
	ScaleTag   string         `toml:"scale_tag"` // power of ten from another tag or register
	Unit       string         `toml:"unit"`
	Bits       string         `toml:"bits"` // "4..7"
	Enum       map[string]any `toml:"enum"`
	Invalid    any            `toml:"invalid"`    // list of raw values, or "sunspec", "ff", "7fff"
	OnInvalid  string         `toml:"on_invalid"` // bad|drop|hold
	Range      []float64      `toml:"range"`
	Kind       string         `toml:"kind"`     // counter
	MaxRate    float64        `toml:"max_rate"` // of a counter, per second
	Round      *int           `toml:"round"`
	Deadband   any            `toml:"deadband"` // 0.2 or "0.5%"
	Report     string         `toml:"report"`   // change|poll
	MaxAge     conf.Duration  `toml:"max_age"`
	StaleAfter conf.Duration  `toml:"stale_after"` // default 3 polls, at least 3s
	Poll       Poll           `toml:"poll"`
	Write      *Write         `toml:"write"`
}

// Write allows writes to a tag and limits them.
type Write struct {
	Min    *float64 `toml:"min"`
	Max    *float64 `toml:"max"`
	Step   *float64 `toml:"step"`
	Verify *bool    `toml:"verify"` // default true
	Rate   string   `toml:"rate"`   // "1/5s"
}

// all is both forms of tags with the key of each.
func (d *Device) all() (tags []*Tag, keys []string) {
	for i := range d.Tags {
		tags, keys = append(tags, &d.Tags[i]), append(keys, index("tags", i))
	}
	for i := range d.Tag {
		tags, keys = append(tags, &d.Tag[i]), append(keys, index("tag", i))
	}
	return tags, keys
}

func (d *Device) unit() byte {
	if d.Unit == 0 {
		return 1
	}
	return byte(d.Unit)
}

// limits are those of the file; prices are the caller's to add, where auto.
func (d *Device) limits() limits {
	l := limits{maxRegisters: maxRegisters, single: d.OneRequestPerTag}
	l.maxGap, _, _ = d.gap()
	if d.MaxRegisters > 0 {
		l.maxRegisters = min(d.MaxRegisters, maxRegisters)
	}
	for _, text := range d.NoRead {
		if s, err := parseStretch(text); err == nil {
			l.noRead = append(l.noRead, s)
		}
	}
	return l
}

// lineFor is Line with what the devices of the bus need of it.
func (b *Bus) lineFor(devices []Device, log *slog.Logger) wire.Config {
	c := b.Line(log)
	for i := range devices {
		d := &devices[i]
		if d.Bus != b.Name || d.Gap.Std() <= c.Gap {
			continue
		}
		if c.UnitGaps == nil {
			c.UnitGaps = map[byte]time.Duration{}
		}
		c.UnitGaps[d.unit()] = max(c.UnitGaps[d.unit()], d.Gap.Std())
	}
	return c
}

// Line is the wire's configuration. The bus must have passed Validate.
func (b *Bus) Line(log *slog.Logger) wire.Config {
	mode, _ := port.ParseMode(b.Mode)
	echo, _ := wire.ParseEcho(b.Echo)
	c := wire.Config{
		Name: b.Name, Port: b.Port, Baud: b.Baud, Mode: mode, Echo: echo, Log: log,
		Timeout: b.Timeout.Or(DefaultTimeout), FrameGap: b.FrameGap.Std(), Gap: b.Gap.Std(),
		UnitSwitchPause: b.UnitSwitchPause.Std(), LateGuard: b.LateGuard.Std(), ConnectDelay: b.ConnectDelay.Std(),
		IdleClose: b.IdleClose.Std(), IgnoreTID: b.IgnoreTID, IgnoreUnit: b.IgnoreUnit, Retries: DefaultRetries, MaxInFlight: b.MaxInFlight,
	}
	if b.Retries != nil {
		c.Retries = *b.Retries
	}
	switch {
	case b.TCP != "":
		c.Kind, c.Address = wire.TCP, b.TCP
	case b.TLS != "":
		c.Kind, c.Address = wire.TCP, b.TLS
		c.TLS = &wire.TLS{CAFile: b.CAFile, CertFile: b.CertFile, KeyFile: b.KeyFile, ServerName: b.ServerName}
	case b.Listen != "":
		if c.Kind = wire.RTUOverTCP; strings.EqualFold(b.Protocol, "tcp") {
			c.Kind = wire.TCP
		}
		c.Listen = &wire.Listen{Address: b.Listen}
		c.Listen.Registration, _ = wire.ParsePattern(b.Registration)
		c.Listen.Heartbeat, _ = wire.ParseHeartbeat(b.Heartbeat, c.Kind)
	case b.UDP != "":
		c.Kind, c.Address = wire.RTUOverUDP, b.UDP
	case b.RTUOverTCP != "":
		c.Kind, c.Address = wire.RTUOverTCP, b.RTUOverTCP
	case strings.EqualFold(b.Protocol, "ascii"):
		c.Kind = wire.ASCII
	}
	if b.RS485.RTS == "ioctl" {
		c.RS485 = &port.RS485{ActiveLow: b.RS485.ActiveLow, DelayBefore: b.RS485.DelayBefore.Std(), DelayAfter: b.RS485.DelayAfter.Std()}
	}
	return c
}
