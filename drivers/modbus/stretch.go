package modbus

import (
	"strconv"
	"strings"
)

// parseStretch reads an entry of no_read: "h100", "h100..h109", "h100..109",
// "40101..40110". The error is a *RegError.
func parseStretch(text string) (stretch, error) {
	first, last, several := strings.Cut(text, "..")
	area, from, err := parsePlace(strings.TrimSpace(first))
	if err != nil {
		return stretch{}, err
	}
	s := stretch{area: area, from: int(from), to: int(from)}
	if !several {
		return s, nil
	}
	last = strings.TrimSpace(last)
	endArea, end, err := parsePlace(last)
	if err != nil { // a plain number is an address of the same area
		n, numErr := strconv.ParseUint(last, 0, 16)
		if numErr != nil {
			return stretch{}, err
		}
		endArea, end = area, uint16(n)
	}
	switch {
	case endArea != area:
		return stretch{}, regErrorf("E0347", text, "", "no_read %s begins with a %s and ends with a %s", text, area, endArea)
	case end < from:
		return stretch{}, regErrorf("E0347", text, "", "no_read %s ends before it begins", text)
	}
	s.to = int(end)
	return s, nil
}
