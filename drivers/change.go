package drivers

import (
	"math"

	"fieldgate/buffer/clock"
)

// change is report by exception for one tag: it says which samples are worth a
// message. Its owner locks.
//
//   - A change of quality is reported once; while a tag stays bad, nothing more.
//   - A good value is reported when it left the deadband around the last
//     reported one, when MaxAge has passed since, or with every poll if so asked.
//   - The reason of a bad value may change without a message: a dead unit's
//     "timeout" becomes "offline", and that is no news.
type change struct {
	rule    PublishRule
	sent    bool // something has been reported
	value   Value
	quality Quality
	at      clock.Stamp // the time of the reported sample
}

// wants reports whether a sample is worth a message, and remembers it if so.
func (c *change) wants(s Sample) bool {
	if !c.due(s) {
		return false
	}
	c.sent, c.value, c.quality, c.at = true, s.Value, s.Quality, s.Time
	return true
}

func (c *change) due(s Sample) bool {
	switch {
	case !c.sent, s.Quality != c.quality:
		return true
	case s.Quality == Bad:
		return false
	case !c.at.Before(s.Time): // held or repeated: nothing was read since
		return false
	case c.rule.OnPoll:
		return true
	case c.rule.MaxAge > 0 && s.Time.Sub(c.at) >= c.rule.MaxAge:
		return true
	}
	return c.moved(s.Value)
}

// moved reports a value outside of the deadband. A step of exactly the
// deadband stays inside, whatever the last bit of the float says.
func (c *change) moved(v Value) bool {
	if v == c.value {
		return false
	}
	now, ok1 := v.Float()
	then, ok2 := c.value.Float()
	if !ok1 || !ok2 || c.rule.Deadband == 0 {
		return true
	}
	band := c.rule.Deadband
	if c.rule.Percent {
		band *= math.Abs(then)
	}
	return math.Abs(now-then) > band*(1+1e-9)
}
