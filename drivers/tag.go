package drivers

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"fieldgate/configs/conf"
)

// Tag is one named value of a device, with all that publishing it needs.
type Tag struct {
	Device  string
	Name    string
	Label   string
	Unit    string
	Kind    string        // "", "counter"
	Poll    time.Duration // between two reads; 0: it has no interval
	Address string        // "h100:int16" or the pick of a sensor, for people
	Write   *WriteRule    // nil: read only
	Publish PublishRule

	Computed *Computed // nil: the driver reads it
}

// WriteRule limits what may be written to a tag.
type WriteRule struct {
	Min, Max, Step *float64
	Verify         bool
	MinInterval    time.Duration // `rate = "1/5s"`
}

// PublishRule says when a sample of a tag is worth a message.
type PublishRule struct {
	OnPoll     bool          // every good sample
	OnChange   bool          // only changes; with neither set, as [publish] says
	Deadband   float64       // absolute, or a share of the last value if Percent (0.005 for "0.5%")
	Percent    bool          //
	MaxAge     time.Duration // an unchanged value is repeated after this; 0: as [publish] says; negative: never
	StaleAfter time.Duration // a value without a fresh read turns bad(stale); 0: never
}

// maxName bounds the names of devices and tags, which are topic levels.
const maxName = 64

// CheckName says what is wrong with a device or tag name, which becomes a
// topic level: "" means nothing.
func CheckName(name string) string {
	switch {
	case name == "":
		return "name is missing"
	case utf8.RuneCountInString(name) > maxName:
		return fmt.Sprintf("name is longer than %d characters", maxName)
	case strings.ContainsAny(name, "/+#\x00") || !utf8.ValidString(name):
		return fmt.Sprintf("name %q becomes a topic level: it must not hold / + or #", name)
	case strings.TrimSpace(name) != name || strings.ContainsAny(name, "\t\r\n"):
		return fmt.Sprintf("name %q must not begin or end with a space or hold a tab or line break", name)
	}
	return ""
}

// ParseDeadband reads a deadband: a number, or a share of the last value as
// "0.5%". nil is none.
func ParseDeadband(x any) (deadband float64, percent bool, err error) {
	switch x := x.(type) {
	case nil:
		return 0, false, nil
	case int64:
		deadband = float64(x)
	case float64:
		deadband = x
	case string:
		digits, isPercent := strings.CutSuffix(strings.TrimSpace(x), "%")
		f, perr := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		if perr != nil {
			return 0, false, fmt.Errorf(`%q is not a deadband; write 0.2 or "0.5%%"`, x)
		}
		deadband, percent = f, isPercent
		if percent {
			deadband /= 100
		}
	default:
		return 0, false, fmt.Errorf(`%v is not a deadband; write 0.2 or "0.5%%"`, x)
	}
	if !(deadband >= 0) || math.IsInf(deadband, 0) {
		return 0, false, fmt.Errorf("a deadband is not negative")
	}
	return deadband, percent, nil
}

// ParseRate reads how often a tag may be written, "1/5s", as the least time
// between two writes. "" is 0.
func ParseRate(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	bad := fmt.Errorf(`%q is not a rate; write "1/5s" for once in 5 seconds`, text)
	count, per, ok := strings.Cut(text, "/")
	n, err := strconv.Atoi(strings.TrimSpace(count))
	if !ok || err != nil || n < 1 {
		return 0, bad
	}
	per = strings.TrimSpace(per)
	if per == "s" || per == "m" || per == "h" {
		per = "1" + per
	}
	d, err := conf.ParseDuration(per)
	if err != nil || d == 0 {
		return 0, bad
	}
	return d.Std() / time.Duration(n), nil
}
