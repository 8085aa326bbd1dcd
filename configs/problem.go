package configs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"fieldgate/configs/tree"
)

// Problem is one thing that is wrong with a configuration, with its place.
type Problem struct {
	Code   string `json:"code"` // "E0203"; W… is a warning
	Text   string `json:"text"` // what is wrong
	Help   string `json:"help,omitempty"`
	Key    string `json:"key,omitempty"`    // "device[1].tags[3].reg"
	File   string `json:"file,omitempty"`   // empty: no place in a file
	Line   int    `json:"line,omitempty"`   // from 1
	Column int    `json:"column,omitempty"` // from 1, in characters
	Source string `json:"source,omitempty"` // the line, secrets hidden
	Length int    `json:"length,omitempty"` // of the culprit, in characters

	order int // of the file, to sort by
}

// Warning reports a problem that does not keep the gateway from running.
func (p Problem) Warning() bool { return strings.HasPrefix(p.Code, "W") }

// Error is the problem on one line: file:line:column: text; help.
func (p Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		fmt.Fprintf(&b, "%s:", p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, "%d:%d:", p.Line, p.Column)
		}
		b.WriteByte(' ')
	}
	b.WriteString(p.Text)
	if p.Help != "" {
		b.WriteString("; " + p.Help)
	}
	return b.String()
}

// Report is everything a check found.
type Report struct {
	Files    []string  `json:"files"`
	Problems []Problem `json:"problems"` // in the order of the files and lines
	Summary  Summary   `json:"summary"`
}

// Summary counts what a configuration holds.
type Summary struct {
	Devices  int `json:"devices"` // and serial instruments
	Tags     int `json:"tags"`
	Requests int `json:"requests"` // per cycle, as far as they can be planned
	Errors   int `json:"errors"`
	Warnings int `json:"warnings"`
}

// OK reports that nothing keeps the gateway from running.
func (r *Report) OK() bool { return r.Summary.Errors == 0 }

// Err is nil, or the first error with the number of the others.
func (r *Report) Err() error {
	for _, p := range r.Problems {
		if p.Warning() {
			continue
		}
		if n := r.Summary.Errors - 1; n > 0 {
			return fmt.Errorf("%w (and %s more)", p, count(n, "error"))
		}
		return p
	}
	return nil
}

// String is the last line of a check.
func (s Summary) String() string {
	text := count(s.Devices, "device") + ", " + count(s.Tags, "tag")
	if s.Requests > 0 {
		text += ", " + count(s.Requests, "request") + " per cycle"
	}
	return text + ": " + count(s.Errors, "error") + ", " + count(s.Warnings, "warning")
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// maxProblems bounds a report: a file that is none of ours at all would fill
// the screen.
const maxProblems = 1000

// add appends a problem at a place; a nil file is a problem without one.
func (l *loader) add(p Problem, file *source, at tree.Span) {
	if len(l.report.Problems) >= maxProblems {
		return
	}
	if file != nil {
		p.File, p.order = file.name, l.order[file]
		line, span := file.line(at.Start)
		end := min(max(at.End, at.Start+1), span.End)
		p.Line = line
		p.Column = len([]rune(file.text[span.Start:min(at.Start, span.End)])) + 1
		p.Length = max(1, len([]rune(file.text[min(at.Start, span.End):max(end, min(at.Start, span.End))])))
		p.Source = file.text[span.Start:span.End]
		l.places = append(l.places, place{len(l.report.Problems), file, span})
	}
	l.report.Problems = append(l.report.Problems, p)
}

// place remembers where the source line of a problem comes from, until all
// secrets are known and the line can be shown.
type place struct {
	problem int
	file    *source
	line    tree.Span
}

// finish hides the secrets, sorts and counts.
func (l *loader) finish() {
	r := l.report
	for _, at := range l.places {
		p := &r.Problems[at.problem]
		p.Source, p.Column, p.Length = redact(at.file, at.line, p.Column, p.Length)
	}
	for i := range r.Problems {
		p := &r.Problems[i]
		p.Text, p.Help = l.scrub(p.Text), l.scrub(p.Help)
	}
	slices.SortStableFunc(r.Problems, func(a, b Problem) int {
		if d := cmp.Compare(placeless(a), placeless(b)); d != 0 {
			return d
		}
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	for _, p := range r.Problems {
		if p.Warning() {
			r.Summary.Warnings++
		} else {
			r.Summary.Errors++
		}
	}
}

// placeless sorts problems without a line behind the others.
func placeless(p Problem) int {
	if p.Line == 0 {
		return 1
	}
	return 0
}
