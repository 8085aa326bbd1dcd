package wire

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// Pattern is what bytes begin with. The zero value is empty.
type Pattern struct {
	text  string
	fixed []byte
	re    *regexp.Regexp
}

// ParsePattern reads plain text, "hex:01 02" or "regex:…" (RE2).
func ParsePattern(text string) (Pattern, error) {
	p := Pattern{text: text, fixed: []byte(text)}
	var err error
	if digits, ok := strings.CutPrefix(text, "hex:"); ok {
		p.fixed, err = hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		if err == nil && len(p.fixed) == 0 {
			err = fmt.Errorf("no bytes")
		}
	} else if expression, ok := strings.CutPrefix(text, "regex:"); ok {
		p.fixed = nil
		p.re, err = regexp.Compile(`^(?:` + expression + `)`)
		if err == nil && p.re.Match(nil) {
			err = fmt.Errorf("it matches nothing at all")
		}
	}
	if err != nil {
		return Pattern{}, fmt.Errorf("%q: %w", text, err)
	}
	return p, nil
}

// String is the text it was parsed from.
func (p Pattern) String() string { return p.text }

func (p Pattern) empty() bool { return p.text == "" }

// match is how many bytes at the beginning of buf fit, 0 for none.
func (p Pattern) match(buf []byte) int {
	switch {
	case p.re != nil:
		return len(p.re.Find(buf))
	case len(p.fixed) > 0 && bytes.HasPrefix(buf, p.fixed):
		return len(p.fixed)
	}
	return 0
}

// Covers reports that bytes which q asks for, word for word, begin with what p
// asks for: then a device of q is also one of p.
func (p Pattern) Covers(q Pattern) bool { return len(q.fixed) > 0 && p.match(q.fixed) > 0 }

// ParseHeartbeat reads the bytes a device sends to keep its connection. On
// Modbus TCP they must not look like the beginning of a frame, for they are
// taken out where one may begin.
func ParseHeartbeat(text string, kind Kind) ([]byte, error) {
	p, err := ParsePattern(text)
	switch b := p.fixed; {
	case err != nil:
		return nil, err
	case p.re != nil:
		return nil, fmt.Errorf("%q: a heartbeat is text or hex", text)
	case len(b) > maxHeartbeat:
		return nil, fmt.Errorf("%q: longer than %d bytes", text, maxHeartbeat)
	case kind == TCP && len(b) > 0 && !(len(b) >= 3 && b[2] != 0 || len(b) >= 4 && b[3] != 0):
		return nil, fmt.Errorf("%q could be the beginning of a Modbus TCP frame: use at least three bytes, the third not 00", text)
	}
	return p.fixed, nil
}
