package configs

import (
	_ "embed" // the reference file
	"regexp"
	"strings"
	"sync"

	"fieldgate/configs/tree"
)

// Reference is the file that explains every key: its comments are what Explain
// and Schema say, and its keys behind # are the defaults that Show fills in;
// for a key that stands there as an example, the words: Default "1s".
//
//go:embed fieldgate.toml
var Reference string

// First is the configuration of a fresh installation.
//
//go:embed first.toml
var First string

// doc is what the reference file says about a key.
type doc struct {
	text      string   // in one line
	value     string   // as written: the default if isDefault, else an example
	isDefault bool     // the key stands behind #
	choices   []string // from a|b|c in the comment beside the key
	required  bool     // the text begins with REQUIRED
	dynamic   bool     // the text says "No default": there is nothing to fill in
}

var (
	headerLine = regexp.MustCompile(`^#?\[\[?([a-z0-9_.]+)\]\]?`)
	keyLine    = regexp.MustCompile(`^#?([a-z0-9_]+) *= *(.*)$`)
	choiceList = regexp.MustCompile(`^[a-z0-9_-]+(\|[a-z0-9_-]+)*$`)
	inText     = regexp.MustCompile(`\b[Dd]efault ("[^"]*"|[0-9.]*[0-9]|true|false)`)
	lineBreak  = regexp.MustCompile(`^# ──`)
)

// docs reads the reference file once.
var docs = sync.OnceValue(func() map[string]*doc { return readDocs(Reference) })

func readDocs(text string) map[string]*doc {
	all := map[string]*doc{}
	section := ""
	var comment []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		header, key := headerLine.FindStringSubmatch(line), keyLine.FindStringSubmatch(line)
		switch {
		case header != nil:
			section = header[1]
			learn(all, section, &doc{text: strings.Join(comment, " ")}, true)
			comment = nil
		case key != nil:
			d := newDoc(strings.Join(comment, " "), key[1]+" = "+key[2])
			d.isDefault = line[0] == '#'
			learn(all, joinPath(section, key[1]), d, false)
			comment = nil
		case strings.HasPrefix(line, "# ") && !lineBreak.MatchString(line):
			comment = append(comment, line[2:])
		default:
			comment = nil
		}
	}
	return all
}

// newDoc takes a line "key = value  # choices or text" apart.
func newDoc(comment, line string) *doc {
	d := &doc{text: comment}
	parsed, _ := tree.Parse(line)
	end := len(line)
	for _, e := range parsed.Entries {
		d.value = line[e.Node.Value.Start:e.Node.Value.End]
		end = e.Node.Value.End
		break
	}
	beside := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line[end:]), "#"))
	switch {
	case beside == "":
	case choiceList.MatchString(beside):
		d.choices = strings.Split(beside, "|")
	case d.text == "":
		d.text = beside
	default:
		d.text += " (" + beside + ")"
	}
	d.required = strings.HasPrefix(d.text, "REQUIRED")
	d.dynamic = strings.Contains(d.text, "No default") || d.required
	return d
}

// learn keeps the best of what is said about a key: the first text, the header
// of a section over a key of the same name, and the default wherever it is.
func learn(all map[string]*doc, path string, d *doc, header bool) {
	have := all[path]
	if have == nil {
		all[path] = d
		return
	}
	if d.text != "" && (have.text == "" || header && have.value != "") {
		have.text, have.required, have.dynamic = d.text, d.required, d.dynamic
	}
	if len(have.choices) == 0 {
		have.choices = d.choices
	}
	if d.isDefault && !have.isDefault {
		have.value, have.isDefault = d.value, true
	}
}

// docOf is the doc of a key; the short form of tags is explained at the long
// one.
func docOf(path string) *doc {
	if d := docs()[path]; d != nil && (d.text != "" || d.value != "") {
		return d
	}
	for _, list := range []string{"device", "serial"} {
		if rest, ok := strings.CutPrefix(path, list+".tags."); ok {
			return docs()[list+".tag."+rest]
		}
	}
	if rest, ok := strings.CutPrefix(path, "serial.requests."); ok {
		return docs()["serial.request."+rest]
	}
	return docs()[path]
}

// defaultOf is the default of a key as the file would write it.
func defaultOf(path string) (text string, ok bool) {
	d := docOf(path)
	switch {
	case d == nil || d.dynamic:
		return "", false
	case d.isDefault:
		return d.value, true
	}
	m := inText.FindStringSubmatch(d.text) // the key beside it is an example
	if m == nil {
		return "", false
	}
	return m[1], true
}
