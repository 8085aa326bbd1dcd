package configs

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"fieldgate/configs/conf"
)

var codeForm = regexp.MustCompile(`^[EW]\d{4}$`)

// Explain is the text for a key ("bus.gap", "[[bus]]", "gap", with or without
// indices) or for a code ("E0203"). The error names what may have been meant.
func Explain(what string) (string, error) {
	what = strings.TrimSpace(what)
	if code := strings.ToUpper(what); codeForm.MatchString(code) {
		return explainCode(code)
	}
	path := strings.Trim(what, "[]")
	if strings.Contains(path, "[") {
		path = bare(path)
	}
	var names []string
	var found []Key
	for _, k := range Keys() {
		if k.Path == path {
			return explainKey(k), nil
		}
		if strings.HasSuffix(k.Path, "."+path) && !strings.Contains(k.Path, ".tags") {
			found = append(found, k)
		}
		names = append(names, k.Path, lastName(k.Path))
	}
	if len(found) > 0 {
		var texts []string
		for _, k := range found {
			texts = append(texts, explainKey(k))
		}
		return strings.Join(texts, "\n"), nil
	}
	if feature, ok := later[path]; ok {
		return fmt.Sprintf("%s\n    Known, but not supported in this version (%s).\n", path, feature), nil
	}
	if near := conf.Nearest(path, names); near != "" {
		return "", fmt.Errorf("no key or code %q; did you mean %q?", what, near)
	}
	return "", fmt.Errorf("no key or code %q; fieldgate config schema lists all keys", what)
}

// explainKey is the text for one key.
func explainKey(k Key) string {
	var b strings.Builder
	d := docOf(k.Path)
	e, list := element(k.typ)
	switch {
	case k.Type == "table" || list && k.Type == "list of tables":
		b.WriteString(header(k.Path) + "\n")
	default:
		fmt.Fprintf(&b, "%s  %s", k.Path, k.Type)
		if text, ok := defaultOf(k.Path); ok && text != `""` && text != "[]" {
			b.WriteString(", default " + text)
		}
		b.WriteByte('\n')
	}
	if d != nil {
		if len(d.choices) > 0 {
			b.WriteString("    One of: " + strings.Join(d.choices, ", ") + "\n")
		}
		b.WriteString(wrap(d.text, "    "))
		if !d.isDefault && d.value != "" && !strings.Contains(d.value, "[\n") && k.Type != "list of tables" {
			b.WriteString("    Example: " + d.value + "\n")
		}
	}
	if names := fieldNamesOf(e); len(names) > 0 {
		b.WriteString(wrap("Keys: "+strings.Join(names, " "), "    "))
	}
	return b.String()
}

// fieldNamesOf lists the keys of a section, none for anything else.
func fieldNamesOf(t reflect.Type) []string {
	if t.Kind() != reflect.Struct || isText(t) {
		return nil
	}
	return fieldNames(t)
}

// wrap breaks a text into lines of at most 78 columns behind an indent.
func wrap(text, indent string) string {
	var b strings.Builder
	cols := 0
	for _, word := range strings.Fields(text) {
		w := columns(cells(word))
		switch {
		case cols == 0:
			b.WriteString(indent)
			cols = len(indent)
		case cols+1+w > 78:
			b.WriteString("\n" + indent)
			cols = len(indent)
		default:
			b.WriteByte(' ')
			cols++
		}
		b.WriteString(word)
		cols += w
	}
	if cols > 0 {
		b.WriteByte('\n')
	}
	return b.String()
}

func explainCode(code string) (string, error) {
	i, ok := slices.BinarySearchFunc(codes, code, func(c codeText, want string) int { return strings.Compare(c.code, want) })
	if !ok {
		var names []string
		for _, c := range codes {
			names = append(names, c.code)
		}
		return "", fmt.Errorf("no code %s; the nearest is %s", code, nearestCode(code, names))
	}
	c := codes[i]
	return c.code + "  " + c.title + "\n" + wrap(c.text, "    "), nil
}

// nearestCode is the known code of the same kind that is closest by number.
func nearestCode(code string, names []string) string {
	best := names[0]
	for _, n := range names {
		if n[0] == code[0] && n <= code {
			best = n
		}
	}
	return best
}

// Codes lists every code with its one-line meaning, in order.
func Codes() map[string]string {
	m := make(map[string]string, len(codes))
	for _, c := range codes {
		m[c.code] = c.title
	}
	return m
}
