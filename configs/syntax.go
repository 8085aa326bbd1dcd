package configs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

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
	if r, _ := utf8.DecodeRuneInString(file.text[at.Start:]); r >= utf8.RuneSelf && unicode.IsLetter(r) && p.Text == noEquals {
		p.Text, p.Help = fmt.Sprintf("%q cannot stand in a key without quotes", r), "letters a to z, digits, _ and - can"
	}
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

const (
	setTwice = "this key is set twice"
	noEquals = "there is no = after the key"
)

// plain words for what the library says in its own; the first that the message
// contains counts.
var plain = []struct{ says, text, help string }{
	{"already been defined", setTwice, "keep one of them"},
	{"was already created and cannot be used as an array", "this is a single table further up and a list of tables here", "write [[…]] in both places, or [ … ] inline in both"},
	{"strings cannot contain newlines", "the quotes of this string are not closed on its line", `close it with the same quote; text over several lines stands between """ and """`},
	{`expected '"'`, "the quotes of this string are not closed", `close it with "`},
	{`expected "'"`, "the quotes of this string are not closed", `close it with '`},
	{"invalid escape", `a backslash in "…" begins an escape, and this one does not exist`, `write it in single quotes, '…', or double the backslash: \\`},
	{"expected value but found \"\\n\"", "the value is missing", "write one after the ="},
	{"expected value but found '\\n'", "the value is missing", "write one after the ="},
	{"expected value; expected value", "the value is missing", "write one after the ="},
	{"unexpected EOF; expected value", "the value is missing", "write one after the ="},
	{"unexpected EOF; expected '", "the three quotes of this string are not closed", "close it with the same three quotes"},
	{"expected value but found", "this is not a value", `text stands in quotes: "…"`},
	{"bare keys cannot contain", "this letter cannot stand in a key without quotes", "letters A to Z, digits, _ and - can"},
	{"expected '.' or '='", noEquals, "write key = value"},
	{"expected a comma (',') or array terminator", "a comma or the closing ] is missing", "separate the items of a list by commas"},
	{"expected a comma or an inline table terminator", "a comma or the closing } is missing", "separate the keys in { … } by commas"},
	{"unexpected comma", "there is one comma too many", "take it out"},
	{"expected a top-level item to end with a newline", "there is something behind the value", "write one key per line"},
	{"expected end of table array name delimiter", "the header needs ]] at its end", "write [[name]]"},
	{"table names cannot be empty", "the header has no name", "write [name]"},
	{"expected '.' or ']' to end table name", "the header needs a ] at its end", "write [name], or [[name]] for a list"},
	{"key name appears blank", "there is no key before the =", "write key = value"},
	{"floats must start with a digit", "a number begins with a digit", "write 0.5, not .5"},
	{"cannot have leading zeroes", "a number cannot begin with 0", "take the zeros away; registers and the like stand in quotes"},
	{"'.' must be followed by", "a digit is missing after the point", "write 1.0, not 1."},
	{"underscores must be", "an underscore in a number stands between two digits", "write 1_000"},
	{"out of range", "the number is too large", "at most 9223372036854775807"},
	{"invalid UTF-8", "the file is not valid UTF-8 here", "save it as UTF-8"},
	{"NULL bytes", "the file is not UTF-8 text but looks like UTF-16", "save it as UTF-8"},
	{"control characters are not allowed", "there is a control character here", "take it out, or write it as an escape"},
	{"invalid datetime", "this is not a date", "write 2006-01-02T15:04:05Z; text stands in quotes"},
}

// plainSyntax turns a message of the library into a sentence and a remedy. A
// message that is not in the list is passed on; it may quote the text, and so
// is cut before anything it quotes.
func plainSyntax(message string) (text, help string) {
	for _, p := range plain {
		if strings.Contains(message, p.says) {
			return p.text, p.help
		}
	}
	if at := strings.IndexAny(message, "\"`"); at > 0 {
		message = strings.TrimRight(message[:at], " :")
	}
	return "this is not TOML: " + message, ""
}
