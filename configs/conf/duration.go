package conf

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time written "250ms", "5s", "10m", "24h" or "14d".
// Negative lengths and lengths beyond a hundred years are refused.
type Duration time.Duration

// MaxDuration is the longest Duration the file may name.
const MaxDuration = Duration(100 * 365 * 24 * time.Hour)

// ParseDuration reads the text of a Duration. A day is 24 hours.
func ParseDuration(text string) (Duration, error) {
	bad := fmt.Errorf(`%q is not a length of time; write for example "250ms", "5s", "10m", "24h" or "14d"`, text)
	rest := text
	var total time.Duration
	if head, tail, ok := strings.Cut(text, "d"); ok {
		days, err := strconv.ParseUint(head, 10, 16)
		if err != nil || days > uint64(MaxDuration)/uint64(24*time.Hour) {
			return 0, bad
		}
		total, rest = time.Duration(days)*24*time.Hour, tail
	}
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 || d > time.Duration(MaxDuration) {
			return 0, bad
		}
		total += d
	} else if total == 0 && !strings.HasSuffix(text, "d") {
		return 0, bad
	}
	if total > time.Duration(MaxDuration) {
		return 0, bad
	}
	return Duration(total), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String is the text ParseDuration reads back: whole days as "14d", whole
// minutes and hours without their empty smaller units.
func (d Duration) String() string {
	const day = 24 * time.Hour
	t := time.Duration(d)
	if t >= day && t%day == 0 {
		return strconv.FormatInt(int64(t/day), 10) + "d"
	}
	s := t.String()
	if t >= time.Minute && strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if t >= time.Hour && strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Std is the Duration as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Or is d, or the default where d is zero.
func (d Duration) Or(def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return time.Duration(d)
}
