package conformance

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Bytes are written like this, to send as well as to expect:
//
//	0a 003c     bytes in hexadecimal
//	'text'      a text with two bytes of length before it
//	"text"      a text as it is
//	( ... )     the length of what is inside, as a variable byte integer, and then that
//	< ... >     two bytes of length of what is inside, and then that
//	{ ... }     the same as ( ... ) in MQTT 5.0, nothing in 3.1.1: properties
//	VV          the protocol level, 04 or 05
//	~70000      so many bytes "a"
//	$x          two bytes, a packet id: kept where they are expected first, the same from then on
//	??          expected: any byte
//	[00 10]     expected: one of these bytes
//	*           expected: anything up to the end of the brackets
//
// In texts and words % stands for a name that no other run of a script has.
type expr []node

type node struct {
	kind  byte // 'b' bytes, '(' and '<' groups, '$' variable, '?' any byte, '[' one of, '*' rest
	bytes []byte
	name  string
	inner expr
}

// env is what the meaning of an expression depends on.
type env struct {
	v5     bool
	unique string
	vars   map[string]uint16
}

func (e *env) level() byte {
	if e.v5 {
		return 5
	}
	return 4
}

func (e *env) word(s string) string { return strings.ReplaceAll(s, "%", e.unique) }

// parse reads an expression.
func (e *env) parse(text string) (expr, error) {
	x, rest, err := e.sequence(text, 0)
	if err == nil && rest != "" {
		err = fmt.Errorf("unexpected %q", rest)
	}
	return x, err
}

func (e *env) sequence(s string, end byte) (x expr, rest string, err error) {
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" {
			if end != 0 {
				return nil, "", fmt.Errorf("%c is missing", end)
			}
			return x, "", nil
		}
		if s[0] == end {
			return x, s[1:], nil
		}
		var n *node
		if n, s, err = e.one(s); err != nil {
			return nil, "", err
		}
		if n != nil {
			x = append(x, *n)
		}
	}
}

func (e *env) one(s string) (n *node, rest string, err error) {
	switch s[0] {
	case '(', '{', '<':
		inner, rest, err := e.sequence(s[1:], map[byte]byte{'(': ')', '{': '}', '<': '>'}[s[0]])
		switch {
		case s[0] == '<':
			return &node{kind: '<', inner: inner}, rest, err
		case s[0] == '{' && !e.v5:
			return nil, rest, err
		}
		return &node{kind: '(', inner: inner}, rest, err
	case '\'', '"':
		text, rest, ok := strings.Cut(s[1:], s[:1])
		if !ok {
			return nil, "", fmt.Errorf("text without an end: %s", s)
		}
		text = e.word(text)
		var b []byte
		if s[0] == '\'' {
			b = binary.BigEndian.AppendUint16(nil, uint16(len(text)))
		}
		return &node{kind: 'b', bytes: append(b, text...)}, rest, nil
	case '[':
		set, rest, ok := strings.Cut(s[1:], "]")
		b, err := hex.DecodeString(strings.ReplaceAll(set, " ", ""))
		if !ok || err != nil {
			return nil, "", fmt.Errorf("not a set of bytes: %s", s)
		}
		return &node{kind: '[', bytes: b}, rest, nil
	case '*':
		return &node{kind: '*'}, s[1:], nil
	}
	at := strings.IndexAny(s, " \t(){}<>'\"[*")
	if at < 0 {
		at = len(s)
	}
	word, rest := s[:at], s[at:]
	switch {
	case word == "VV":
		return &node{kind: 'b', bytes: []byte{e.level()}}, rest, nil
	case word == "??":
		return &node{kind: '?'}, rest, nil
	case strings.HasPrefix(word, "$"):
		return &node{kind: '$', name: word}, rest, nil
	case strings.HasPrefix(word, "~"):
		n, err := strconv.Atoi(word[1:])
		return &node{kind: 'b', bytes: bytes.Repeat([]byte("a"), n)}, rest, err
	}
	b, err := hex.DecodeString(word)
	if err != nil {
		return nil, "", fmt.Errorf("not bytes: %q", word)
	}
	return &node{kind: 'b', bytes: b}, rest, nil
}

// encode makes the bytes to be sent.
func (e *env) encode(x expr) ([]byte, error) {
	var out []byte
	for _, n := range x {
		switch n.kind {
		case 'b':
			out = append(out, n.bytes...)
		case '$':
			id, ok := e.vars[n.name]
			if !ok {
				return nil, fmt.Errorf("%s is not known yet", n.name)
			}
			out = binary.BigEndian.AppendUint16(out, id)
		case '(', '<':
			inner, err := e.encode(n.inner)
			if err != nil {
				return nil, err
			}
			if n.kind == '<' {
				out = binary.BigEndian.AppendUint16(out, uint16(len(inner)))
			} else {
				out = varint(out, len(inner))
			}
			out = append(out, inner...)
		default:
			return nil, fmt.Errorf("%c can be expected, not sent", n.kind)
		}
	}
	return out, nil
}

// match reports whether b is what x describes, all of it.
func (e *env) match(x expr, b []byte) bool {
	for i, n := range x {
		switch n.kind {
		case '*':
			return i == len(x)-1
		case 'b':
			if !bytes.HasPrefix(b, n.bytes) {
				return false
			}
			b = b[len(n.bytes):]
		case '?', '[':
			if len(b) == 0 || n.kind == '[' && bytes.IndexByte(n.bytes, b[0]) < 0 {
				return false
			}
			b = b[1:]
		case '$':
			if len(b) < 2 || !e.bind(n.name, binary.BigEndian.Uint16(b)) {
				return false
			}
			b = b[2:]
		case '(', '<':
			size, used := readVarint(b)
			if n.kind == '<' && len(b) >= 2 {
				size, used = int(binary.BigEndian.Uint16(b)), 2
			}
			if used <= 0 || len(b) < used+size || !e.match(n.inner, b[used:used+size]) {
				return false
			}
			b = b[used+size:]
		}
	}
	return len(b) == 0
}

// bind keeps a packet id, or compares it. No packet id is 0.
func (e *env) bind(name string, id uint16) bool {
	if old, ok := e.vars[name]; ok {
		return old == id
	}
	e.vars[name] = id
	return id != 0
}

func varint(dst []byte, n int) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

// readVarint returns the number and its size, 0 where it has no end.
func readVarint(b []byte) (n, size int) {
	for i := 0; i < len(b) && i < 4; i++ {
		n |= int(b[i]&0x7F) << (7 * i)
		if b[i] < 0x80 {
			return n, i + 1
		}
	}
	return 0, 0
}
