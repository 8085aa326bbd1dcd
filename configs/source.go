package configs

import (
	"sort"
	"strings"

	"fieldgate/configs/tree"
)

// source is the text of one file and where its lines begin.
type source struct {
	name    string
	text    string
	lines   []int       // offset of the first byte of each line
	secrets []tree.Span // what must not be shown, inside the quotes
}

func newSource(name, text string) *source {
	s := &source{name: name, text: text, lines: []int{0}}
	for i := range len(text) {
		if text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// line is the number of the line that holds an offset, from 1, with its span
// without the line end.
func (s *source) line(offset int) (int, tree.Span) {
	n := sort.SearchInts(s.lines, offset+1)
	start, end := s.lines[n-1], len(s.text)
	if n < len(s.lines) {
		end = s.lines[n] - 1
	}
	for end > start && s.text[end-1] == '\r' {
		end--
	}
	return n, tree.Span{Start: start, End: end}
}

// narrow shrinks a span to the first occurrence of part inside it.
func (s *source) narrow(span tree.Span, part string) tree.Span {
	if part == "" {
		return span
	}
	at := strings.Index(s.text[span.Start:span.End], part)
	if at < 0 {
		return span
	}
	return tree.Span{Start: span.Start + at, End: span.Start + at + len(part)}
}
