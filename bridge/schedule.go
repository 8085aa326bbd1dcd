package bridge

import (
	"fmt"
	"strings"
	"time"
)

// schedule is when a bridge connects, in the time zone of the gateway. None:
// always.
type schedule []slot

// slot is a part of some days, in minutes since midnight. One that ends before
// it begins goes over midnight and belongs to the day it begins on.
type slot struct {
	days     [7]bool // by time.Weekday
	from, to int
}

const dayMinutes = 24 * 60

var dayNames = map[string]time.Weekday{"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}

// parseSchedule reads lines like "02:00-04:30", "mon-fri 22:00-06:00" and
// "sat,sun 00:00-24:00".
func parseSchedule(lines []string) (schedule, error) {
	var s schedule
	for _, line := range lines {
		p, err := parseSlot(line)
		if err != nil {
			return nil, fmt.Errorf(`%q %w; write for example "02:00-04:30" or "mon-fri 22:00-06:00"`, line, err)
		}
		s = append(s, p)
	}
	return s, nil
}

func parseSlot(line string) (slot, error) {
	fields := strings.Fields(strings.ToLower(line))
	s := slot{days: [7]bool{true, true, true, true, true, true, true}}
	if len(fields) == 2 {
		days, err := parseDays(fields[0])
		if err != nil {
			return s, err
		}
		s.days, fields = days, fields[1:]
	}
	if len(fields) != 1 {
		return s, fmt.Errorf("is not a time of the day")
	}
	from, to, ok := strings.Cut(fields[0], "-")
	var good1, good2 bool
	s.from, good1 = parseMinute(from)
	s.to, good2 = parseMinute(to)
	if !ok || !good1 || !good2 || s.from == s.to || s.from == dayMinutes {
		return s, fmt.Errorf("is not a time of the day")
	}
	return s, nil
}

// parseDays reads "mon-fri", "sat,sun", "mon".
func parseDays(text string) (days [7]bool, err error) {
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		a, ok1 := dayNames[first]
		b, ok2 := dayNames[last]
		if !ok1 || !ok2 {
			return days, fmt.Errorf("names a day that is none of mon tue wed thu fri sat sun")
		}
		for d := a; ; d = (d + 1) % 7 {
			days[d] = true
			if d == b {
				break
			}
		}
	}
	return days, nil
}

// parseMinute reads "02:30" as minutes since midnight; "24:00" is the end of
// the day.
func parseMinute(text string) (minute int, ok bool) {
	if text == "24:00" {
		return dayMinutes, true
	}
	t, err := time.Parse("15:04", text)
	return t.Hour()*60 + t.Minute(), err == nil && len(text) == 5
}

// open reports whether t is inside of the schedule.
func (s schedule) open(t time.Time) bool {
	if len(s) == 0 {
		return true
	}
	minute, day := t.Hour()*60+t.Minute(), t.Weekday()
	yesterday := (day + 6) % 7
	for _, w := range s {
		switch {
		case w.from < w.to:
			if w.days[day] && minute >= w.from && minute < w.to {
				return true
			}
		case w.days[day] && minute >= w.from, w.days[yesterday] && minute < w.to:
			return true
		}
	}
	return false
}

// next is the first minute after t at which the schedule is open.
func (s schedule) next(t time.Time) time.Time {
	t = t.Truncate(time.Minute)
	for range 8 * dayMinutes {
		if t = t.Add(time.Minute); s.open(t) {
			break
		}
	}
	return t
}
