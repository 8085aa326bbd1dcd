package drivers

import (
	"time"
)

// Tag is one named value of a device, with all that publishing it needs.
type Tag struct {
	Device  string
	Name    string
	Label   string
	Unit    string
	Kind    string // "", "counter"
	Poll    time.Duration
	Address string     // "h100:int16" or the pick of a sensor, for people
	Write   *WriteRule // nil: read only
	Publish PublishRule
}

// WriteRule limits what may be written to a tag.
type WriteRule struct {
	Min, Max, Step *float64
	Verify         bool
	MinInterval    time.Duration // `rate = "1/5s"`
}

// PublishRule says when a sample of a tag is worth a message.
type PublishRule struct {
	OnPoll     bool    // every poll, not only changes
	Deadband   float64 // absolute, or a share of the last value if Percent
	Percent    bool
	MaxAge     time.Duration // an unchanged value is repeated after this; 0: never
	StaleAfter time.Duration // a value without a fresh read turns bad(stale)
}
