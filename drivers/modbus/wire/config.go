package wire

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"fieldgate/drivers/port"
)

// Kind is how frames travel.
type Kind uint8

// The kinds of lines.
const (
	RTU        Kind = iota // binary frames on a serial line
	ASCII                  // ':' frames on a serial line
	TCP                    // Modbus TCP
	RTUOverTCP             // RTU frames in a TCP stream, through a serial server
	RTUOverUDP             // RTU frames in datagrams, through a serial server
)

var kindNames = [...]string{"rtu", "ascii", "tcp", "rtu+tcp", "rtu+udp"}

// String is the word in targets and statistics.
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return "?"
	}
	return kindNames[k]
}

// serial reports a kind that opens a port of this machine.
func (k Kind) serial() bool { return k == RTU || k == ASCII }

// Echo says whether the adapter returns what we send.
type Echo uint8

// The echo settings.
const (
	EchoAuto Echo = iota // found out from the first read; a write waits for that
	EchoOn
	EchoOff
)

// ParseEcho reads auto, on or off; an empty text is auto.
func ParseEcho(text string) (Echo, error) {
	switch text {
	case "", "auto":
		return EchoAuto, nil
	case "on":
		return EchoOn, nil
	case "off":
		return EchoOff, nil
	}
	return 0, fmt.Errorf("echo %q: write auto, on or off", text)
}

// The defaults of a Config, and bounds that no setting moves.
const (
	DefaultTimeout        = time.Second
	DefaultConnectTimeout = 5 * time.Second
	DefaultIdleClose      = 60 * time.Second
	DefaultListenIdle     = 120 * time.Second // a device that dialled in; DTUs send heartbeats more often
	DefaultReconnectMin   = 500 * time.Millisecond
	DefaultReconnectMax   = 30 * time.Second
	DefaultPortRetryMax   = 2 * time.Second // a missing port costs next to nothing to look for
	DefaultBusyPause      = 200 * time.Millisecond
	DefaultPort           = "502"
	DefaultTLSPort        = "802" // Modbus/TCP Security V21 §8.1

	defaultLateGuardMax = 250 * time.Millisecond
	busyRetries         = 3                      // repeats of a request that met exception 5 or 6
	deafTimeouts        = 2                      // TCP: time-outs in a row that end the connection
	keepAlive           = 15 * time.Second       // TCP: finds a peer that vanished without a word
	broadcastDelay      = 100 * time.Millisecond // Modbus serial line V1.02 §2.4.1: turnaround delay
	quietEnd            = 100 * time.Millisecond // longest pause inside a frame; after a bad frame it ends the wait
	noiseLimit          = 2 * time.Second        // a line that does not fall silent for so long is reported
	noiseBytes          = 64                     // of which at least so many bytes come
	minWrite            = time.Second            // a line that takes no bytes for so long is dead
	suspectFor          = 5 * time.Second        // an answer that late is not expected any more
	maxWaiting          = 256                    // callers in the queue
	maxReceive          = 1024                   // bytes without a good frame; an echo and an ASCII frame fit twice
)

// Conn is an open wire: *port.Port, net.Conn.
type Conn interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Config describes a Line. Port (RTU, ASCII) or Address (the others) is
// required; the zero value of everything else is its default.
type Config struct {
	Name string // of the bus, for messages
	Kind Kind

	Port  string
	Baud  int       // default 9600; on RTUOverTCP and RTUOverUDP the speed behind the serial server, 0: unknown
	Mode  port.Mode // default 8N1
	RS485 *port.RS485
	Echo  Echo

	Address string // host or host:port, default port 502, with TLS 802
	TLS     *TLS   // Modbus/TCP over TLS; nil: in the clear

	// Listen makes a TCP or RTUOverTCP line wait for its device, which dials in,
	// instead of connecting to Address. IdleClose then defaults to 120 s, and is
	// how long the device may send nothing.
	Listen *Listen

	// Timeout is how long a unit may think: from the end of the request to the
	// answer, without the time both need on the wire. Default 1 s.
	Timeout         time.Duration
	ConnectTimeout  time.Duration          // default 5 s
	FrameGap        time.Duration          // silence before a request; default 3.5 characters, 1.75 ms above 19200 Bd
	Gap             time.Duration          // more of it, for slow units
	UnitGaps        map[byte]time.Duration // Gap of units that need a longer one
	UnitSwitchPause time.Duration          // more of it, where the unit is another than last time
	LateGuard       time.Duration          // silence that ends the quarantine after a failure; default min(Timeout, 250 ms)
	ConnectDelay    time.Duration          // pause after connecting, for devices that need it
	IdleClose       time.Duration          // TCP: close after so long without a request; default 60 s, negative: never
	BusyPause       time.Duration          // before the repeat that follows exception 5 or 6; default 200 ms
	ReconnectMin    time.Duration          // default 0.5 s, doubled at each failure
	ReconnectMax    time.Duration          // default 30 s, 2 s for a serial port

	// MaxInFlight is how many requests Stream keeps under way on a Modbus TCP
	// connection, 1 to 8; default 1.
	MaxInFlight int

	IgnoreTID  bool // TCP gateways that do not return the transaction number
	IgnoreUnit bool // TCP devices that answer as unit 0 or 255
	Retries    int  // repeats of a read that failed; 0: none. Writes are not repeated

	Log *slog.Logger // changes of state only; default: nowhere

	// Open replaces the opening of Port or Address, in tests.
	Open func(ctx context.Context) (Conn, error)
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	def(&c.Timeout, DefaultTimeout)
	def(&c.ConnectTimeout, DefaultConnectTimeout)
	def(&c.LateGuard, min(c.Timeout, defaultLateGuardMax))
	if c.Listen != nil {
		def(&c.IdleClose, DefaultListenIdle)
		def(&c.ReconnectMax, DefaultPortRetryMax)
	}
	def(&c.IdleClose, DefaultIdleClose)
	def(&c.BusyPause, DefaultBusyPause)
	def(&c.ReconnectMin, DefaultReconnectMin)
	def(&c.ReconnectMax, DefaultReconnectMax)
	if c.Kind.serial() {
		if c.ReconnectMax == DefaultReconnectMax {
			c.ReconnectMax = DefaultPortRetryMax
		}
		if c.Baud == 0 {
			c.Baud = port.DefaultBaud
		}
	}
	def(&c.FrameGap, c.silence())
	c.MaxInFlight = min(max(c.MaxInFlight, 1), maxInFlight)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// gap is the silence that a unit needs before a request, on top of FrameGap.
func (c *Config) gap(unit byte) time.Duration { return max(c.Gap, c.UnitGaps[unit]) }

// silence is t3.5 (Modbus serial line V1.02 §2.5.1.1).
func (c Config) silence() time.Duration {
	if c.Kind == TCP {
		return 0
	}
	if c.Baud == 0 || c.Baud > 19200 {
		return 1750 * time.Microsecond
	}
	return c.Mode.CharTime(c.Baud) * 7 / 2
}

// onWire is how long n characters occupy the line; 0 where that is unknown.
func (c Config) onWire(n int) time.Duration {
	if c.Kind == TCP || c.Baud == 0 {
		return 0
	}
	return time.Duration(n) * c.Mode.CharTime(c.Baud)
}

// address is Address with its port.
func (c Config) address() string {
	if _, _, err := net.SplitHostPort(c.Address); err != nil {
		if c.TLS != nil {
			return net.JoinHostPort(c.Address, DefaultTLSPort)
		}
		return net.JoinHostPort(c.Address, DefaultPort)
	}
	return c.Address
}

// Target names the wire for people: "/dev/ttyUSB0 9600 8E1", "10.0.0.7:502".
func (c Config) Target() string {
	if c.Kind.serial() {
		baud := c.Baud
		if baud == 0 {
			baud = port.DefaultBaud
		}
		return fmt.Sprintf("%s %d %s", c.Port, baud, c.Mode)
	}
	if c.Listen != nil {
		return strings.TrimSpace("listen " + c.Listen.Address + " " + c.Listen.Registration.String())
	}
	return c.address()
}
