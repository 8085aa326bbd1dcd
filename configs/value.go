package configs

import (
	"fieldgate/configs/tree"
)

// value is a node of the merged configuration: what the library decoded, and
// the file and place it came from.
type value struct {
	file  *source
	node  *tree.Node
	kind  tree.Kind
	data  any               // a scalar: string, int64, float64, bool, time.Time
	names []string          // keys of a table, in the order of the files
	table map[string]*value // a table
	elems []*value          // an array
}

// join marries a node of the tree with what the library decoded for it. Where
// they disagree the node without data is left out.
func join(file *source, n *tree.Node, data any) *value {
	v := &value{file: file, node: n, kind: n.Kind, data: data}
	switch data := data.(type) {
	case map[string]any:
		v.kind, v.table = tree.Table, make(map[string]*value, len(data))
		for _, name := range n.Names {
			if sub, ok := data[name]; ok {
				v.names = append(v.names, name)
				v.table[name] = join(file, n.Child(name), sub)
			}
		}
	case []map[string]any:
		v.kind = tree.Array
		for i := range min(len(data), len(n.Elems)) {
			v.elems = append(v.elems, join(file, n.Elems[i], data[i]))
		}
	case []any:
		v.kind = tree.Array
		for i := range min(len(data), len(n.Elems)) {
			v.elems = append(v.elems, join(file, n.Elems[i], data[i]))
		}
	default:
		v.kind = tree.Scalar
	}
	return v
}

// plain is the value as the library would give it.
func (v *value) plain() any {
	switch v.kind {
	case tree.Table:
		m := make(map[string]any, len(v.table))
		for name, sub := range v.table {
			m[name] = sub.plain()
		}
		return m
	case tree.Array:
		list := make([]any, len(v.elems))
		for i, e := range v.elems {
			list[i] = e.plain()
		}
		return list
	}
	return v.data
}

// find follows a path as far as it exists; whole says that it got to the end.
func (v *value) find(steps []tree.Step) (at *value, whole bool) {
	for i, s := range steps {
		var next *value
		switch {
		case s.Name != "":
			next = v.table[s.Name]
		case s.Index < len(v.elems):
			next = v.elems[s.Index]
		}
		if next == nil {
			return v, i == len(steps)
		}
		v = next
	}
	return v, true
}

// headed is an array of tables that may grow from file to file.
func (v *value) headed() bool {
	return v.kind == tree.Array && len(v.elems) > 0 && v.elems[0].kind == tree.Table && v.node.Header
}
