package configs

import (
	"fmt"
	"slices"

	"fieldgate/configs/tree"
)

// merge adds the tables and keys of one more file. Tables are joined, arrays
// of tables follow one another in the order of the files; anything else that
// is there twice is an error that names both places.
func (l *loader) merge(into, from *value, path string) {
	for _, name := range from.names {
		sub, key := from.table[name], joinPath(path, name)
		have := into.table[name]
		switch {
		case have == nil:
			into.names = append(into.names, name)
			into.table[name] = sub
		case have.kind == tree.Table && sub.kind == tree.Table:
			l.merge(have, sub, key)
		case have.headed() && sub.headed():
			have.elems = append(slices.Clip(have.elems), sub.elems...)
		default:
			line, _ := have.file.line(have.node.Key.Start)
			l.add(Problem{Code: "E0107", Key: key, Text: fmt.Sprintf("%s is set in two files", key),
				Help: fmt.Sprintf("the other one is %s:%d; keep one of them", have.file.name, line)},
				sub.file, sub.node.Key)
		}
	}
}

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
