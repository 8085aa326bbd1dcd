package configs

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"fieldgate/configs/tree"

	"github.com/BurntSushi/toml"
)

// parse reads the text of one file. After a syntax error the file is left out
// and nil returned; the other files are still checked.
func (l *loader) parse(name, text string) *value {
	l.report.Files = append(l.report.Files, name)
	text = strings.TrimPrefix(text, "\xef\xbb\xbf")
	file := newSource(name, text)
	l.order[file] = len(l.order)

	doc, walked := tree.Parse(text)
	if errors.Is(walked, tree.ErrDepth) {
		l.broken = true
		l.add(Problem{Code: "E0115", Text: "the file is " + walked.Error(), Help: "is it a configuration?"}, file, tree.Span{})
		return nil
	}
	var data map[string]any
	if _, err := toml.Decode(text, &data); err != nil {
		l.broken = true
		l.syntax(file, doc, err)
		return nil
	}
	for _, e := range doc.Twice {
		l.add(Problem{Code: "E0107", Key: strings.Join(e.Path, "."), Text: strings.Join(e.Path, ".") + " is set twice",
			Help: "keep one of them"}, file, e.Node.Key)
	}
	return join(file, doc.Root, data)
}

// syntax reports what the library says about a text that is not TOML.
func (l *loader) syntax(file *source, doc *tree.Document, err error) {
	p := Problem{Code: "E0102", Text: err.Error()}
	var at tree.Span
	var pe toml.ParseError
	if errors.As(err, &pe) {
		at = tree.Span{Start: pe.Position.Start, End: pe.Position.Start + pe.Position.Len}
		p.Text, p.Help = plainSyntax(pe.Message)
		p.Key = pe.LastKey
	}
	at.Start = max(0, min(at.Start, len(file.text)))
	at.End = max(at.Start, min(at.End, len(file.text)))
	for at.Start < at.End-1 && (file.text[at.Start] == ' ' || file.text[at.Start] == '\t') {
		at.Start++
	}
	if at.Start > 0 && at.Start == len(file.text) {
		at.Start-- // the end of the file: show the last line that there is
	}
	if line := firstOf(file, doc, at); line > 0 && p.Text == setTwice {
		p.Help = fmt.Sprintf("the first is on line %d; keep one of them", line)
	}
	sharpen(&p, file, &at)
	l.add(p, file, at)
}

// firstOf is the line of an earlier key or header with the path of the one at
// a place, or 0.
func firstOf(file *source, doc *tree.Document, at tree.Span) int {
	var path []string
	for _, e := range slices.Backward(doc.Entries) {
		if path == nil && e.Node.Key.Start <= at.Start && at.Start <= e.Node.Key.End {
			path = e.Path
			if e.Node.Header { // one node for both headers: the first is not kept
				return 0
			}
		} else if path != nil && slices.Equal(e.Path, path) {
			line, _ := file.line(e.Node.Key.Start)
			return line
		}
	}
	return 0
}
