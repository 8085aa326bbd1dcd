package port

import "time"

// DefaultBaud is the speed of a Config that names none.
const DefaultBaud = 9600

// Config says which line to open and how. Only Path is required.
type Config struct {
	Path  string // a device node or a link to one; by-id names survive a re-plug
	Baud  int    // default 9600; any number the driver can divide down to
	Mode  Mode   // default 8N1
	RS485 *RS485 // nil: the adapter turns the line around
	DTR   *bool  // nil: leave the line as opening sets it (high)
	RTS   *bool

	// LowLatency asks the driver to hand bytes over at once: the tty's
	// low-latency flag, and an FTDI chip's latency timer set to 1 ms. Close
	// restores both. Not being permitted is a note, not an error.
	LowLatency bool
}

// RS485 lets the kernel turn the line around with RTS (TIOCSRS485).
type RS485 struct {
	ActiveLow   bool          // RTS is low while sending
	DelayBefore time.Duration // from RTS to the first bit, whole milliseconds
	DelayAfter  time.Duration // from the last bit to RTS, whole milliseconds
}

func (c Config) baud() int {
	if c.Baud == 0 {
		return DefaultBaud
	}
	return c.Baud
}
