package tree

import (
	"errors"
	"fmt"
	"strings"
)

// MaxDepth is the deepest nesting of values and the longest dotted key that
// Parse follows. It also protects the TOML library, which recurses without a
// limit of its own.
const MaxDepth = 64

// ErrDepth reports a text that nests deeper than MaxDepth.
var ErrDepth = errors.New("nested deeper than 64 levels")

// Parse walks a text and returns its tree. The error says where it stopped.
func Parse(text string) (*Document, error) {
	d := &Document{Text: text, Root: &Node{Kind: Table}}
	w := walker{scanner: scanner{text: text}, doc: d, scope: d.Root}
	for _, bom := range []string{"\xef\xbb\xbf", "\xff\xfe", "\xfe\xff"} {
		if strings.HasPrefix(text, bom) {
			w.pos = len(bom)
			break
		}
	}
	return d, w.run()
}

// walker builds the tree of a text.
type walker struct {
	scanner
	doc   *Document
	scope *Node    // the table that the last header opened
	path  []string // and its path
}

func (w *walker) run() error {
	for {
		w.skipBlank(true)
		if w.eof() {
			return nil
		}
		var err error
		if w.peek() == '[' {
			err = w.header()
		} else {
			err = w.pair(w.scope, w.path, 0)
		}
		if err != nil {
			return err
		}
		w.skipBlank(false)
		if !w.eof() && w.peek() != '\n' {
			return w.unexpected("the end of the line")
		}
	}
}

// header reads "[a.b]" or "[[a.b]]".
func (w *walker) header() error {
	start := w.pos
	w.pos++
	array := w.peek() == '['
	if array {
		w.pos++
	}
	keys, err := w.key()
	if err != nil {
		return err
	}
	closing := "]"
	if array {
		closing = "]]"
	}
	if !strings.HasPrefix(w.text[w.pos:], closing) {
		return w.unexpected(closing)
	}
	w.pos += len(closing)

	parent := w.doc.Root
	for _, k := range keys[:len(keys)-1] {
		parent = parent.table(k.text, k.span)
	}
	last, whole := keys[len(keys)-1], Span{start, w.pos}
	w.path = names(nil, keys)
	node := w.open(parent, last, whole, array)
	w.scope = node
	w.doc.Entries = append(w.doc.Entries, Entry{w.path, node})
	return nil
}

func (w *walker) open(parent *Node, last part, whole Span, array bool) *Node {
	if !array {
		t := parent.children[last.text]
		if t == nil {
			t = parent.add(last.text, &Node{Kind: Table})
		} else if t.Kind != Table {
			w.doc.Twice = append(w.doc.Twice, Entry{w.path, t})
			return &Node{Kind: Table, Key: last.span, Value: whole, Header: true}
		}
		t.Key, t.Value, t.Header = last.span, whole, true
		return t
	}
	list := parent.children[last.text]
	if list == nil || list.Kind != Array {
		list = parent.add(last.text, &Node{Kind: Array, Key: last.span, Value: whole, Header: true})
	}
	t := &Node{Kind: Table, Key: last.span, Value: whole, Header: true}
	list.Elems = append(list.Elems, t)
	return t
}

// pair reads "key = value" into a table.
func (w *walker) pair(in *Node, path []string, depth int) error {
	keys, err := w.key()
	if err != nil {
		return err
	}
	if w.peek() != '=' {
		return w.unexpected("=")
	}
	w.pos++
	for _, k := range keys[:len(keys)-1] {
		in = in.table(k.text, k.span)
	}
	last := keys[len(keys)-1]
	path = names(path, keys)
	node := &Node{Key: last.span}
	w.doc.Entries = append(w.doc.Entries, Entry{path, node})
	if in.Kind != Table || in.children[last.text] != nil {
		w.doc.Twice = append(w.doc.Twice, Entry{path, node})
	} else {
		in.add(last.text, node)
	}
	return w.value(node, path, depth)
}

// value reads a value into node.
func (w *walker) value(node *Node, path []string, depth int) error {
	if depth >= MaxDepth {
		return ErrDepth
	}
	w.skipBlank(false)
	node.Value.Start = w.pos
	var err error
	switch c := w.peek(); c {
	case '[':
		node.Kind = Array
		err = w.list(']', func() error {
			elem := &Node{Key: node.Key}
			node.Elems = append(node.Elems, elem)
			return w.value(elem, path, depth+1)
		})
	case '{':
		node.Kind = Table
		err = w.list('}', func() error { return w.pair(node, path, depth+1) })
	case '"', '\'':
		_, err = w.quoted(true)
	default:
		err = w.bare()
	}
	node.Value.End = w.pos
	return err
}

// list reads what stands between brackets: items, commas, comments.
func (w *walker) list(closing byte, item func() error) error {
	w.pos++
	for {
		w.skipBlank(true)
		if w.peek() == closing && !w.eof() {
			w.pos++
			return nil
		}
		if err := item(); err != nil {
			return err
		}
		w.skipBlank(true)
		if w.peek() == ',' {
			w.pos++
		} else if w.peek() != closing {
			return w.unexpected(string(rune(closing)))
		}
	}
}

func names(path []string, keys []part) []string {
	out := make([]string, 0, len(path)+len(keys))
	out = append(out, path...)
	for _, k := range keys {
		out = append(out, k.text)
	}
	return out
}

func (s *scanner) unexpected(want string) error {
	return fmt.Errorf("byte %d: expected %s", s.pos, want)
}
