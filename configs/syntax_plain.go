package configs

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"fieldgate/configs/tree"
)

const (
	setTwice = "this key is set twice"
	noEquals = "there is no = after the key"
	notValue = "this is not a value"
	behind   = "there is something behind the value"
	asArray  = "this is a single table further up and a list of tables here"
)

// plain words for what the library says in its own; the first that the message
// contains counts.
var plain = []struct{ says, text, help string }{
	{"already been defined", setTwice, "keep one of them"},
	{"was already created and cannot be used as an array", asArray, "write [[…]] in both places, or [ … ] inline in both"},
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
	{"expected a top-level item to end with a newline", behind, "write one key per line"},
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
	{"Invalid float value", "this is not a number", `text stands in quotes: "…"`},
	{"expected a digit", "this is not a number", `text stands in quotes: "…"`},
	{"number: '", "this is not a number", "write 0x and digits, as 0x1F"},
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

var (
	bareValue = regexp.MustCompile(`=[ \t]*([^\s"'\[\]{},=#]+)$`)
	tagsList  = regexp.MustCompile(`^\[\[((?:device|serial)\.tag)s\]\]`)
)

// sharpen looks at the text around a syntax error for the slips that people
// make most, and says what to write instead.
func sharpen(p *Problem, file *source, at *tree.Span) {
	_, line := file.line(at.Start)
	before, after := file.text[line.Start:at.Start], file.text[at.Start:line.End]
	first, _ := utf8.DecodeRuneInString(after)
	word, _, _ := strings.Cut(after, " ")
	switch {
	case p.Text == noEquals && first >= utf8.RuneSelf && unicode.IsLetter(first):
		p.Text, p.Help = fmt.Sprintf("%q cannot stand in a key without quotes", first), "letters a to z, digits, _ and - can"
	case p.Text == noEquals && first == ':':
		p.Help = "write = instead of :"
	case p.Text == notValue && first == '=':
		p.Help = "write one ="
	case p.Text == notValue && isYesNo(word):
		p.Help = "write true or false"
	case p.Text == behind && (first == ';' || first == ','):
		p.Help = fmt.Sprintf("take the %c out: a line needs no end", first)
	case p.Text == behind && bareValue.MatchString(before) && first != ' ' && first != ']': // 10s, 192.168.0.1
		start := at.Start - len(bareValue.FindStringSubmatch(before)[1])
		end := line.End
		if i := strings.IndexAny(after, " \t#,"); i >= 0 {
			end = at.Start + i
		}
		*at = tree.Span{Start: start, End: end}
		p.Text, p.Help = notValue, fmt.Sprintf("text stands in quotes: %q", file.text[start:end])
		if len(looksSecret(file.text[line.Start:line.End])) > 0 {
			p.Help = "text stands in quotes"
		}
	case p.Text == asArray && tagsList.MatchString(file.text[line.Start:line.End]):
		p.Text = "a list in [ ] cannot be continued by headers"
		p.Help = "write [[" + tagsList.FindStringSubmatch(file.text[line.Start:line.End])[1] + "]], without the s: both forms may stand together"
	}
}

func isYesNo(word string) bool {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "yes", "no", "on", "off", "true", "false", "none", "null":
		return true
	}
	return false
}
