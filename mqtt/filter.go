package mqtt

import "strings"

// Overlap reports whether some topic falls under both filters.
func Overlap(a, b string) bool {
	if anyFirst(a) && strings.HasPrefix(b, "$") || anyFirst(b) && strings.HasPrefix(a, "$") {
		return false
	}
	for {
		al, atail, amore := strings.Cut(a, "/")
		bl, btail, bmore := strings.Cut(b, "/")
		switch {
		case al == "#" || bl == "#":
			return true
		case al != bl && al != "+" && bl != "+":
			return false
		case !amore && !bmore:
			return true
		case !amore: // "a/#" matches "a" too
			return btail == "#"
		case !bmore:
			return atail == "#"
		}
		a, b = atail, btail
	}
}

// Covers reports whether every topic under inner falls under outer.
func Covers(outer, inner string) bool {
	if anyFirst(outer) && strings.HasPrefix(inner, "$") {
		return false
	}
	for {
		o, orest, omore := strings.Cut(outer, "/")
		i, irest, imore := strings.Cut(inner, "/")
		switch {
		case o == "#":
			return true
		case i == "#" || o != i && o != "+":
			return false
		case !omore && !imore:
			return true
		case !imore:
			return orest == "#"
		case !omore:
			return false
		}
		outer, inner = orest, irest
	}
}

// anyFirst reports a filter that begins with a wildcard; no topic that begins
// with $ falls under it [MQTT-4.7.2-1].
func anyFirst(filter string) bool {
	return strings.HasPrefix(filter, "+") || strings.HasPrefix(filter, "#")
}
