package serial

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"fieldgate/drivers"
)

var contentKinds = []string{"bytes", "split", "pairs", "json", "regex", "hexfloat", "nmea", "obis"}

func (k *compiler) compileContent() {
	kind := k.c.Content
	if kind == "" && (k.kind == "fixed" || k.kind == "length" || k.kind == "gap") {
		kind = "bytes"
	}
	switch {
	case kind == "":
		k.problemf("content", "E0421", "content is missing; one of %s", strings.Join(contentKinds, ", "))
		kind = "split"
	case !slices.Contains(contentKinds, kind):
		k.problem("content", "E0422", unknown("content", kind, contentKinds))
		kind = "split"
	}
	k.c.Content = kind
	for _, key := range []struct{ name, value, kinds string }{
		{"pattern", k.c.Pattern, "regex"}, {"sep", k.c.Sep, "split pairs"},
		{"assign", k.c.Assign, "pairs"}, {"sentence", k.c.Sentence, "nmea"},
	} {
		if key.value != "" && !strings.Contains(key.kinds, kind) {
			k.problemf(key.name, "E0425", "content %q has no %s; that key is for %s", kind, key.name, strings.ReplaceAll(key.kinds, " ", ", "))
		}
	}
	or := func(s, def string) string {
		if s == "" {
			return def
		}
		return s
	}
	switch kind {
	case "bytes":
		k.p.content = bytesContent{}
	case "hexfloat":
		k.p.content = hexfloatContent{}
	case "split":
		k.p.content = splitContent{or(k.c.Sep, ",")}
	case "pairs":
		k.p.content = pairsContent{or(k.c.Sep, ";"), or(k.c.Assign, "=")}
	case "json":
		k.p.content = jsonContent{}
	case "nmea":
		k.p.content = nmeaContent{}
	case "obis":
		k.p.content = obisContent{}
	case "regex":
		k.p.content = k.compilePattern()
	}
}

func (k *compiler) compilePattern() content {
	if k.c.Pattern == "" {
		k.problemf("pattern", "E0421", `the pattern is missing; name its groups: pattern = '(?P<weight>[\d.]+) kg'`)
	}
	re, err := regexp.Compile(k.c.Pattern)
	if err != nil {
		k.problemf("pattern", "E0426", "%s; the syntax is RE2, named groups are written (?P<name>…)", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		re = regexp.MustCompile("")
	}
	return regexContent{re}
}

func (k *compiler) compileTags() {
	if len(k.c.Tags)+len(k.c.Tag) == 0 {
		k.problemf("tags", "E0421", "there are no tags; name at least one value of the instrument")
	}
	for i, t := range k.c.Tags {
		k.compileTag(fmt.Sprintf("tags[%d]", i), t)
	}
	for i, t := range k.c.Tag {
		k.compileTag(fmt.Sprintf("tag[%d]", i), t)
	}
}

func (k *compiler) compileTag(key string, t Tag) {
	k.checkName(key+".name", t.Name)
	if t.Name != "" && slices.ContainsFunc(k.p.tags, func(o *tag) bool { return o.Name == t.Name }) {
		k.problemf(key+".name", "E0427", "two tags are called %q; give each its own name", t.Name)
	}
	out := &tag{Tag: drivers.Tag{Device: k.c.Name, Name: t.Name, Label: t.Label, Unit: t.Unit, Kind: t.Kind}}
	out.pick = k.compilePick(key, pickKeys{t.At, t.Index, t.Key, t.Path, t.Group, t.Code})
	out.pick.sentence = t.Sentence
	if t.Sentence == "" {
		out.pick.sentence = k.c.Sentence
	} else if k.c.Content != "nmea" {
		k.problemf(key+".sentence", "E0425", `sentence is for content = "nmea"`)
	}
	k.compileType(key, t, out)
	k.compileTagConditions(key, t, out)
	out.rules = drivers.Rules{Scale: t.Scale, Offset: t.Offset, Enum: t.Enum, Invalid: t.Invalid, OnInvalid: t.OnInvalid, Range: t.Range, Kind: t.Kind, Round: t.Round}
	out.rules.Validate(out.raw, k.bad.Under(key))
	out.Address = out.pick.address(k.c.Content)
	out.Poll = k.pollOf(t.Request)
	k.compilePublish(key, t, out)
	k.p.tags = append(k.p.tags, out)
}

// compileType reads the type; a text type that is left out follows from what
// the enum names.
func (k *compiler) compileType(key string, t Tag, out *tag) {
	var err error
	p := &out.pick
	switch name := t.Type; k.c.Content {
	case "bytes":
		if name == "" {
			k.problemf(key+".type", "E0421", `the type is missing; as "u16le", "i16be", "f32le", "bcd2-le" or "ascii8"`)
			name = "u8"
		}
		p.typ, err = parseBinaryType(name)
	case "hexfloat":
		if name == "" {
			name = "f32le"
		}
		p.typ, err = parseBinaryType(name)
	default:
		if name == "" && namesText(t.Enum) {
			name = "string"
		}
		p.typ, err = parseTextType(name, k.c.Content == "nmea")
	}
	if err != nil {
		k.problem(key+".type", "E0203", err)
		return
	}
	if p.bit = -1; t.Bit != nil {
		p.bit = *t.Bit
		if p.typ.name != "u" || p.bit < 0 || p.bit >= 8*p.typ.size {
			k.problemf(key+".bit", "E0425", "a bit is taken from an unsigned number of bytes; bit 0 is the lowest")
			p.bit = -1
		}
	}
	out.raw = p.typ.rawType(p.bit)
}

// namesText reports an enum with a key that is not a number: ST, US.
func namesText(enum map[string]any) bool {
	for key := range enum {
		if _, err := strconv.ParseInt(key, 0, 64); err != nil && key != "true" && key != "false" {
			return true
		}
	}
	return false
}

// rawType is what the value pipeline must know of a type.
func (t valueType) rawType(bit int) drivers.RawType {
	if bit >= 0 {
		return drivers.RawType{Bits: 1}
	}
	switch t.name {
	case "u":
		return drivers.RawType{Bits: 8 * t.size}
	case "i":
		return drivers.RawType{Bits: 8 * t.size, Signed: true}
	case "f":
		return drivers.RawType{Bits: 8 * t.size, Float: true}
	case "float32":
		return drivers.RawType{Bits: 32, Float: true}
	case "int64":
		return drivers.RawType{Bits: 64, Signed: true}
	case "uint64", "hex":
		return drivers.RawType{Bits: 64}
	case "bool":
		return drivers.RawType{Bits: 1}
	case "string", "time", "ascii":
		return drivers.RawType{Text: true}
	}
	return drivers.RawType{}
}

func (k *compiler) compileTagConditions(key string, t Tag, out *tag) {
	if t.Match != nil {
		b, err := parseBytes(t.Match.Equals, true)
		if err == nil && len(b) == 0 {
			err = fmt.Errorf(`equals is missing; hex bytes, as "00 01 01 02"`)
		}
		if err != nil {
			k.problem(key+".match.equals", "E0423", err)
		}
		out.match = &match{t.Match.At, b}
	}
	if c := t.ValidIf; c != nil {
		out.validIf = k.compileCond(key+".valid_if", *c, out.pick.sentence)
	}
	out.request = t.Request
	if t.Request != "" && !slices.ContainsFunc(k.p.requests, func(r *request) bool { return r.name == t.Request }) {
		k.problemf(key+".request", "E0425", "there is no request called %q; give one this name", t.Request)
	}
}

func (k *compiler) compileCond(key string, c Cond, sentence string) *cond {
	if (c.Equals == "") == (c.Not == "") {
		k.problemf(key, "E0425", `a condition needs either equals or not; as { group = "st", not = "OL" }`)
	}
	out := &cond{text: c.Equals + c.Not, not: c.Not != ""}
	out.pick = k.compilePick(key, pickKeys{c.At, c.Index, c.Key, c.Path, c.Group, c.Code})
	out.pick.sentence = sentence
	out.pick.typ = valueType{name: "string"}
	if k.c.Content == "bytes" || k.c.Content == "hexfloat" {
		b, err := parseHex(out.text)
		if err != nil {
			k.problem(key, "E0423", err)
		}
		out.text, out.pick.typ.size = fmt.Sprintf("%X", b), len(b)
	}
	return out
}

// pollOf is how often a tag is asked for; 0 for instruments that talk by themselves.
func (k *compiler) pollOf(name string) (every time.Duration) {
	for _, r := range k.p.requests {
		if name == "" || r.name == name {
			return r.every
		}
	}
	return 0
}
