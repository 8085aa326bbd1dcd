package drivers

import "fieldgate/buffer/clock"

// Quality says how far a sample can be trusted.
type Quality uint8

// The qualities.
const (
	Good Quality = iota
	Uncertain
	Bad
)

// String is the word in payloads.
func (q Quality) String() string {
	switch q {
	case Good:
		return "good"
	case Uncertain:
		return "uncertain"
	default:
		return "bad"
	}
}

// The reasons a sample is not good, as in payloads. An exception carries its
// code: ExceptionReason(2) is "exception:2".
const (
	ReasonTimeout  = "timeout"
	ReasonCRC      = "crc"
	ReasonPort     = "port"
	ReasonRange    = "range"
	ReasonInvalid  = "invalid"
	ReasonStale    = "stale"
	ReasonClock    = "clock"
	ReasonDisabled = "disabled"
	ReasonParse    = "parse"
	ReasonConfig   = "config"
	ReasonOffline  = "offline"
	ReasonNotRead  = "not_read"
)

// Sample is a tag's value with the time it was read and its quality. A bad
// sample has a Null value.
type Sample struct {
	Device, Tag string
	Value       Value
	Quality     Quality
	Reason      string      // why it is not good
	Time        clock.Stamp // when the last byte of the answer arrived
}
