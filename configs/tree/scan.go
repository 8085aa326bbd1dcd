package tree

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// scanner reads the smallest pieces of a text.
type scanner struct {
	text string
	pos  int
}

// part is one part of a dotted key.
type part struct {
	text string
	span Span
}

func (s *scanner) eof() bool { return s.pos >= len(s.text) }

// peek is the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.eof() {
		return 0
	}
	return s.text[s.pos]
}

// skipBlank skips spaces and comments, and line ends if lines is set.
func (s *scanner) skipBlank(lines bool) {
	for !s.eof() {
		switch s.text[s.pos] {
		case ' ', '\t', '\r':
			s.pos++
		case '\n':
			if !lines {
				return
			}
			s.pos++
		case '#':
			if end := strings.IndexByte(s.text[s.pos:], '\n'); end >= 0 {
				s.pos += end
			} else {
				s.pos = len(s.text)
			}
		default:
			return
		}
	}
}

// key reads a dotted key and the blanks around it.
func (s *scanner) key() ([]part, error) {
	var parts []part
	for {
		s.skipSpaces()
		start := s.pos
		var text string
		var err error
		if c := s.peek(); c == '"' || c == '\'' {
			text, err = s.quoted(false)
		} else if text = s.bareKey(); text == "" {
			err = s.unexpected("a key")
		}
		if err != nil {
			return nil, err
		}
		if len(parts) == MaxDepth {
			return nil, ErrDepth
		}
		parts = append(parts, part{text, Span{start, s.pos}})
		s.skipSpaces()
		if s.peek() != '.' {
			return parts, nil
		}
		s.pos++
	}
}

func (s *scanner) skipSpaces() {
	for s.peek() == ' ' || s.peek() == '\t' {
		s.pos++
	}
}

// bareKey reads up to what cannot be in a key. Which letters are allowed is the
// library's business.
func (s *scanner) bareKey() string {
	start := s.pos
	for !s.eof() && !strings.ContainsRune(" \t\r\n.=]\"'#[{},", rune(s.text[s.pos])) {
		s.pos++
	}
	return s.text[start:s.pos]
}

// bare reads a number, a boolean or a time. A date and a time of day may have
// one space between them.
func (s *scanner) bare() error {
	start := s.pos
	stop := func() bool { return s.eof() || strings.ContainsRune(" \t\r\n,]}#", rune(s.text[s.pos])) }
	for !stop() {
		s.pos++
	}
	if s.pos == start {
		return s.unexpected("a value")
	}
	const date = len("2006-01-02")
	if s.pos-start == date && s.text[start+4] == '-' && s.peek() == ' ' &&
		s.pos+1 < len(s.text) && s.text[s.pos+1] >= '0' && s.text[s.pos+1] <= '9' {
		for s.pos++; !stop(); {
			s.pos++
		}
	}
	return nil
}

// quoted reads a string of any of the four forms and returns its text; values
// may span lines where multi is set. Only keys need the text.
func (s *scanner) quoted(multi bool) (string, error) {
	quote := s.text[s.pos : s.pos+1]
	if triple := strings.Repeat(quote, 3); multi && strings.HasPrefix(s.text[s.pos:], triple) {
		return "", s.multiline(quote[0])
	}
	s.pos++
	start := s.pos
	for !s.eof() && s.text[s.pos] != '\n' {
		switch c := s.text[s.pos]; {
		case c == quote[0]:
			raw := s.text[start:s.pos]
			s.pos++
			if quote == "'" {
				return raw, nil
			}
			return unescape(raw), nil
		case c == '\\' && quote == `"`:
			s.pos++
		}
		s.pos++
	}
	return "", s.unexpected("the closing " + quote)
}

// multiline reads the rest of a string in three quotes; up to two more quotes
// may stand before the closing ones.
func (s *scanner) multiline(quote byte) error {
	s.pos += 3
	run := 0
	for !s.eof() {
		c := s.text[s.pos]
		switch {
		case c == quote:
			run++
			s.pos++
			if run == 5 {
				return nil
			}
			continue
		case run >= 3:
			return nil
		case c == '\\' && quote == '"':
			s.pos++
		}
		run = 0
		s.pos++
	}
	if run >= 3 {
		return nil
	}
	s.pos = len(s.text)
	return s.unexpected("three closing quotes")
}

// unescape resolves the escapes of a basic string that the library accepted.
func unescape(raw string) string {
	if !strings.Contains(raw, `\`) {
		return raw
	}
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' || i+1 >= len(raw) {
			b.WriteByte(raw[i])
			continue
		}
		i++
		digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[raw[i]]
		if digits > 0 && i+digits < len(raw) {
			n, err := strconv.ParseUint(raw[i+1:i+1+digits], 16, 32)
			if err == nil && utf8.ValidRune(rune(n)) {
				b.WriteRune(rune(n))
			}
			i += digits
			continue
		}
		if at := strings.IndexByte("btnfre", raw[i]); at >= 0 {
			b.WriteByte("\b\t\n\f\r\x1b"[at])
		} else {
			b.WriteByte(raw[i]) // \" and \\
		}
	}
	return b.String()
}
