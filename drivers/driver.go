package drivers

import (
	"context"
	"time"
)

// Driver polls or listens on one wire. New touches no hardware; the wire
// opens in Run, where failure is normal.
type Driver interface {
	// Name is the bus or sensor name in the file.
	Name() string
	// Tags lists everything the driver may report, in file order.
	Tags() []Tag
	// Run blocks until ctx ends. It reopens a lost wire by itself and returns
	// an error only for what a restart may cure. report must not be called
	// after Run has returned; it does not block on a network or a device, and
	// does not keep the slice.
	Run(ctx context.Context, report func([]Sample)) error
}

// Writer is a driver that can set tags.
type Writer interface {
	// Write sets a tag between two polls, reads it back and reports the fresh
	// sample. It returns when the device has answered or ctx ends.
	Write(ctx context.Context, device, tag string, v Value) (WriteResult, error)
}

// Reader is a driver that can read tags out of turn, for `cmd/request/read`.
type Reader interface {
	// Read reads tags of a device now (none named: all), reports the samples as
	// after a poll and returns them.
	Read(ctx context.Context, device string, tags ...string) ([]Sample, error)
}

// DeviceInfo is what the supervisor tells about a device in its info topic.
type DeviceInfo struct {
	Name     string
	Label    string
	Bus      string // bus or sensor name
	Unit     int    // Modbus unit; 0: none
	Poll     string // how often: "1s", "once"; "" for instruments that talk by themselves
	Disabled bool
}

// WriteResult is what a device said to a write.
type WriteResult struct {
	Value    Value         // as written, after rounding to the raw type
	ReadBack Value         // what the device shows now; Null where verify is off
	Took     time.Duration // from the request to the read-back
}

// Statser is a driver that counts what happens on its wire.
type Statser interface{ Stats() BusStats }

// BusStats counts since the start of the process.
type BusStats struct {
	Bus        string
	Kind       string // "rtu", "ascii", "tcp", "rtu+tcp", "udp", "tls", "serial"
	Target     string // port path or host:port, with line settings
	Open       bool
	Error      string // why it is not open
	Requests   uint64
	Errors     map[string]uint64 // by reason: "timeout", "crc", "exception:2", "port", …
	Retries    uint64
	Late       uint64 // replies that came after their time-out
	BytesIn    uint64
	BytesOut   uint64
	Reconnects uint64
	Busy       time.Duration // time with a request outstanding
	Devices    []DeviceStats
	Hints      []string // plain words: "CRC errors on every unit: wiring, termination or baud"
}

// DeviceStats is the health of one device.
type DeviceStats struct {
	Device        string
	Unit          int
	State         string // "unknown", "online", "degraded", "offline", "disabled"
	Since         time.Time
	Reason        string // of the last failure
	LastOK        time.Time
	Polls         uint64
	Failures      uint64
	Overruns      uint64 // poll slots missed
	Writes        uint64
	NextTry       time.Time     // when a device that is offline is probed next
	P50, P95, Max time.Duration // turn-around

	DelayP50, DelayP99 time.Duration // of its last polls, behind their slots
}
