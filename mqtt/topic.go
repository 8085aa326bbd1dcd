package mqtt

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// MaxTopicLevels bounds the depth of topics and filters, and so the work and
// memory that one packet can ask for.
const MaxTopicLevels = 128

// What can be wrong with a topic name or a filter.
var (
	ErrTopicEmpty    = errors.New("topic is empty")
	ErrTopicLong     = errors.New("topic is longer than 65535 bytes")
	ErrTopicLevels   = errors.New("topic has more than 128 levels")
	ErrTopicUTF8     = errors.New("topic is not valid UTF-8 or holds a NUL")
	ErrTopicWildcard = errors.New("topic name holds a wildcard + or #")
	ErrFilter        = errors.New("+ must fill a whole level, # must fill the last one")
	ErrShare         = errors.New("shared subscription must read $share/NAME/FILTER")
)

func checkText(s string) error {
	switch {
	case s == "":
		return ErrTopicEmpty
	case len(s) > 65535:
		return ErrTopicLong
	case !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0:
		return ErrTopicUTF8
	case strings.Count(s, "/") >= MaxTopicLevels:
		return ErrTopicLevels
	}
	return nil
}

// CheckTopic reports what is wrong with a topic name [MQTT-4.7.1-1, -4.7.3-1].
func CheckTopic(topic string) error {
	if err := checkText(topic); err != nil {
		return err
	}
	if strings.ContainsAny(topic, "+#") {
		return ErrTopicWildcard
	}
	return nil
}

// CheckFilter reports what is wrong with a topic filter [MQTT-4.7.1-2, -4.7.1-3].
// It does not look into $share.
func CheckFilter(filter string) error {
	if err := checkText(filter); err != nil {
		return err
	}
	rest := filter
	for {
		level, tail, more := strings.Cut(rest, "/")
		if strings.ContainsAny(level, "+#") && len(level) != 1 || level == "#" && more {
			return ErrFilter
		}
		if !more {
			return nil
		}
		rest = tail
	}
}

// SplitShare takes "$share/NAME/FILTER" apart. For any other filter the name
// is empty and the filter is returned as it came [MQTT-4.8.2-1].
func SplitShare(filter string) (name, rest string, err error) {
	tail, ok := strings.CutPrefix(filter, "$share/")
	if !ok {
		return "", filter, nil
	}
	name, rest, ok = strings.Cut(tail, "/")
	if !ok || name == "" || rest == "" || strings.ContainsAny(name, "+#") {
		return "", "", ErrShare
	}
	return name, rest, nil
}

// Match reports whether a topic name falls under a filter. Filters that begin
// with a wildcard do not match topics that begin with $ [MQTT-4.7.2-1].
func Match(filter, topic string) bool {
	if topic != "" && topic[0] == '$' && filter != "" && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	for {
		f, frest, fmore := strings.Cut(filter, "/")
		if f == "#" {
			return true
		}
		t, trest, tmore := strings.Cut(topic, "/")
		if f != "+" && f != t {
			return false
		}
		if !fmore && !tmore {
			return true
		}
		if !tmore {
			return frest == "#" // "a/#" matches "a" too
		}
		if !fmore {
			return false
		}
		filter, topic = frest, trest
	}
}
