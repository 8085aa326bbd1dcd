package serial

import (
	"fmt"
	"strconv"
	"strings"

	"fieldgate/drivers"
)

// pickKeys are the keys by which tags and conditions say where they stand.
type pickKeys struct {
	at, index              *int
	key, path, group, code string
}

// pickKey says which contents use a key, and which must have it.
var pickKeyUse = []struct {
	name, contents, example string
	set                     func(pickKeys) bool
}{
	{"at", "bytes hexfloat", "at = 2", func(p pickKeys) bool { return p.at != nil }},
	{"index", "split nmea", "index = 1", func(p pickKeys) bool { return p.index != nil }},
	{"key", "pairs", `key = "T"`, func(p pickKeys) bool { return p.key != "" }},
	{"path", "json", `path = "sensors[0].temp"`, func(p pickKeys) bool { return p.path != "" }},
	{"group", "regex", `group = "weight"`, func(p pickKeys) bool { return p.group != "" }},
	{"code", "obis", `code = "1-0:1.8.0"`, func(p pickKeys) bool { return p.code != "" }},
}

func (k *compiler) compilePick(key string, keys pickKeys) pick {
	for _, use := range pickKeyUse {
		used := strings.Contains(" "+use.contents+" ", " "+k.c.Content+" ")
		switch set := use.set(keys); {
		case used && !set:
			k.problemf(key, "E0421", "content %q picks by %s, which is missing; as %s", k.c.Content, use.name, use.example)
		case set && !used && !(use.name == "index" && k.c.Content == "obis"):
			k.problemf(key+"."+use.name, "E0425", "content %q does not pick by %s; that key is for %s", k.c.Content, use.name, strings.ReplaceAll(use.contents, " ", ", "))
		}
	}
	p := pick{index: -1, bit: -1, key: keys.key, code: obisCode(keys.code)}
	if keys.at != nil {
		p.at = *keys.at
	}
	if keys.index != nil {
		if p.index = *keys.index; p.index < 0 {
			k.problemf(key+".index", "E0424", "index = %d; the first one is 0", p.index)
		}
	}
	if keys.path != "" {
		var err error
		if p.path, err = parsePath(keys.path); err != nil {
			k.problem(key+".path", "E0423", err)
		}
	}
	if re, ok := k.p.content.(regexContent); ok && keys.group != "" {
		p.group = k.group(key+".group", re, keys.group)
	}
	return p
}

// group finds a group of the pattern by name or number.
func (k *compiler) group(key string, re regexContent, name string) int {
	if i := re.pattern.SubexpIndex(name); i > 0 {
		return i
	}
	if n, err := strconv.Atoi(name); err == nil && n >= 1 && n <= re.pattern.NumSubexp() {
		return n
	}
	var names []string
	for _, n := range re.pattern.SubexpNames() {
		if n != "" {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		k.problemf(key, "E0425", "the pattern has no group %q; name groups as (?P<%s>…)", name, name)
	} else {
		k.problem(key, "E0422", unknown("group", name, names))
	}
	return 0
}

// address is the place for people.
func (p pick) address(content string) string {
	switch content {
	case "split":
		return fmt.Sprintf("column %d", p.index)
	case "pairs":
		return p.key
	case "json":
		var b strings.Builder
		for i, s := range p.path {
			switch {
			case s.index >= 0:
				fmt.Fprintf(&b, "[%d]", s.index)
			case i > 0:
				b.WriteString("." + s.key)
			default:
				b.WriteString(s.key)
			}
		}
		return b.String()
	case "regex":
		return fmt.Sprintf("group %d", p.group)
	case "nmea":
		return fmt.Sprintf("%s field %d", p.sentence, p.index)
	case "obis":
		return p.code
	}
	return fmt.Sprintf("byte %d %s%d%s", p.at, p.typ.name, 8*p.typ.size, p.typ.order)
}

// compilePublish reads when a sample is worth a message.
func (k *compiler) compilePublish(key string, t Tag, out *tag) {
	out.Publish = drivers.PublishRule{MaxAge: t.MaxAge.Std(), StaleAfter: k.p.staleAfter, OnPoll: t.Report == "poll"}
	if t.Report != "" && t.Report != "change" && t.Report != "poll" {
		k.problem(key+".report", "E0422", unknown("report", t.Report, []string{"change", "poll"}))
	}
	var err error
	if out.Publish.Deadband, out.Publish.Percent, err = drivers.ParseDeadband(t.Deadband); err != nil {
		k.problem(key+".deadband", "E0423", err)
	}
}
