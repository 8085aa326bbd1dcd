package modbus

import (
	"fmt"
	"time"

	"fieldgate/configs/conf"
)

// Poll is how often something is read: an interval, or one of the words below.
// The zero value means "as the section above says".
type Poll time.Duration

// What stands in the file instead of an interval.
const (
	// Once is read after the start, until that has gone well, and again after
	// every outage of device or line: it may be another device by then.
	Once Poll = -1
	// OnDemand is read when somebody asks for it: `fieldgate read`, `fieldgate
	// poll`, a request over MQTT, the read-back of a write.
	OnDemand Poll = -2
)

var pollWords = map[Poll]string{Once: "once", OnDemand: "on_demand"}

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Poll) UnmarshalText(text []byte) error {
	for word, name := range pollWords {
		if string(text) == name {
			*p = word
			return nil
		}
	}
	d, err := conf.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf(`%q is not a length of time; write for example "500ms", "5s", "1h", or one of the words "once" and "on_demand"`, text)
	}
	*p = Poll(d)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (p Poll) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// String is the text UnmarshalText reads back.
func (p Poll) String() string {
	if word, ok := pollWords[p]; ok {
		return word
	}
	return conf.Duration(p).String()
}

// Or is p, or the default where p is not set.
func (p Poll) Or(def Poll) Poll {
	if p == 0 {
		return def
	}
	return p
}

// Every is the interval; 0 where there is none.
func (p Poll) Every() time.Duration { return max(time.Duration(p), 0) }

// poll is how often the device's tags are read that do not say it themselves.
func (d *Device) poll() Poll { return d.Poll.Or(Poll(DefaultPoll)) }

// pollOf is how often a tag is read.
func (d *Device) pollOf(t *Tag) Poll { return t.Poll.Or(d.poll()) }
