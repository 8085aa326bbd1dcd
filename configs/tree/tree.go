package tree

import (
	"strconv"
	"strings"
)

// Span is a piece of the text, in bytes: from Start up to, not including, End.
type Span struct{ Start, End int }

// Kind is what a node holds.
type Kind uint8

// The kinds of node.
const (
	Scalar Kind = iota
	Table
	Array
)

// Node is a value of the text: a scalar, a table or an array.
type Node struct {
	Kind Kind
	// Key is the last part of the key that names the node; for the element of
	// an array the key of the array, or of its own [[header]].
	Key Span
	// Value is the value as written; for a table that a header opens, the
	// header with its brackets.
	Value Span
	// Names lists the keys of a table in the order of the text.
	Names []string
	// Elems are the elements of an array.
	Elems []*Node
	// Header says that the table, or the array of tables, comes from headers
	// and not from an inline value.
	Header bool

	children map[string]*Node
}

// Child is the value of a key of a table, or nil.
func (n *Node) Child(name string) *Node { return n.children[name] }

func (n *Node) add(name string, c *Node) *Node {
	if n.children == nil {
		n.children = make(map[string]*Node)
	}
	if n.children[name] == nil {
		n.Names = append(n.Names, name)
	}
	n.children[name] = c
	return c
}

// table descends to a table that may be there already: a table by that name,
// or the last one of an array of tables.
func (n *Node) table(name string, key Span) *Node {
	c := n.children[name]
	if c == nil {
		return n.add(name, &Node{Kind: Table, Key: key, Value: key})
	}
	if c.Kind == Array && len(c.Elems) > 0 {
		return c.Elems[len(c.Elems)-1]
	}
	return c
}

// Entry is one key of the text as the TOML library lists it: a header or a
// "key =", with its whole path.
type Entry struct {
	Path []string
	Node *Node
}

// Document is a text and what stands in it.
type Document struct {
	Text    string
	Root    *Node
	Entries []Entry
	// Twice are keys that name something that is there already. The library
	// refuses most of them; where it does not, one of the two values is lost.
	Twice []Entry
}

// Step is one step of a path: a key, or an index if Name is empty.
type Step struct {
	Name  string
	Index int
}

// ParsePath takes a path like "device[1].tag[3].reg" apart. A piece that looks
// like an index but is none is part of the name.
func ParsePath(path string) []Step {
	var steps []Step
	for _, piece := range strings.Split(path, ".") {
		name, rest, _ := strings.Cut(piece, "[")
		if name != "" {
			steps = append(steps, Step{Name: name})
		}
		for rest != "" {
			var index string
			index, rest, _ = strings.Cut(rest, "]")
			n, err := strconv.Atoi(index)
			if err != nil || n < 0 {
				break
			}
			steps = append(steps, Step{Index: n})
			rest = strings.TrimPrefix(rest, "[")
		}
	}
	return steps
}
