package serial

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fieldgate/configs/conf"
)

var frameKinds = []string{"delimiter", "fixed", "length", "bracket", "gap"}

func (k *compiler) compileFrame() {
	f := k.c.Frame
	if k.kind = f.Kind; k.kind == "" {
		k.kind = "delimiter"
	}
	if !slices.Contains(frameKinds, k.kind) {
		k.problem("frame.kind", "E0422", unknown("frame kind", f.Kind, frameKinds))
		k.kind = "delimiter"
	}
	k.frameKeysFit()
	if k.p.max = f.Max; f.Max == 0 {
		k.p.max = max(DefaultMax, f.Length)
	}
	if k.p.max < 1 || k.p.max > LimitMax {
		k.problemf("frame.max", "E0424", "a frame of at most %d bytes; 1 to %d are possible", f.Max, LimitMax)
		k.p.max = DefaultMax
	}
	text := k.kind == "delimiter" || k.kind == "bracket"
	start := k.marker("frame.start", f.Start, !text)
	k.end = k.marker("frame.end", f.End, !text)
	if k.kind == "delimiter" && len(k.end) == 0 {
		k.end = []byte("\n")
	}
	k.p.idle = k.marker("frame.skip", f.Skip, true)
	if len(start) > 0 && slices.Contains(k.p.idle, start[0]) {
		k.problemf("frame.skip", "E0425", "the idle byte %02X is also the first byte of start; the start would be skipped", start[0])
	}
	if n := len(start) + len(k.end) + f.AfterEnd; n >= k.p.max {
		k.problemf("frame.max", "E0424", "max = %d leaves no room between the markers; raise it", k.p.max)
	}
	k.p.shape = k.compileShape(start)
}

// frameKeysFit reports keys that the kind of frame does not use: they would
// be believed to do something.
func (k *compiler) frameKeysFit() {
	f := k.c.Frame
	for _, key := range []struct {
		name  string
		set   bool
		kinds string
	}{
		{"end", f.End != "", "delimiter fixed length bracket"},
		{"after_end", f.AfterEnd != 0, "bracket"},
		{"length", f.Length != 0, "fixed"},
		{"length_at", f.LengthAt != 0, "length"},
		{"length_type", f.LengthType != "", "length"},
		{"length_add", f.LengthAdd != 0, "length"},
		{"gap", f.Gap != 0, "gap"},
	} {
		if key.set && !strings.Contains(key.kinds, k.kind) {
			k.problemf("frame."+key.name, "E0425", "a frame of kind %q has no %s; that key is for %s", k.kind, key.name, strings.ReplaceAll(key.kinds, " ", ", "))
		}
	}
}

func (k *compiler) marker(key, text string, isHex bool) []byte {
	if text == "" {
		return nil
	}
	b, err := parseBytes(text, isHex)
	if err == nil && len(b) > 16 {
		err = fmt.Errorf("a marker of %d bytes; 16 are the most", len(b))
	}
	if err != nil {
		k.problem(key, "E0423", err)
		return nil
	}
	return b
}

// compileShape returns a shape that can be run even after a problem.
func (k *compiler) compileShape(start []byte) shape {
	f := k.c.Frame
	switch k.kind {
	case "fixed":
		if f.Length <= len(start)+len(k.end) || f.Length > k.p.max {
			k.problemf("frame.length", "E0424", "a fixed frame needs its length; the bytes of the whole frame, from %d to max = %d", len(start)+len(k.end)+1, k.p.max)
			return &gapShape{}
		}
		return &fixedShape{start: start, end: k.end, length: f.Length}
	case "length":
		return k.compileLength(start)
	case "bracket":
		if len(start) == 0 || len(k.end) == 0 {
			k.problemf("frame", "E0421", `a bracket frame needs start and end; as start = "/", end = "!"`)
			return &gapShape{}
		}
		if f.AfterEnd < 0 {
			k.problemf("frame.after_end", "E0424", "after_end = %d; it counts the bytes behind end", f.AfterEnd)
			return &gapShape{}
		}
		return &bracketShape{start: start, end: k.end, afterEnd: f.AfterEnd, digits: strings.HasSuffix(k.c.Check.Kind, "-hex")}
	case "gap":
		return k.compileGap(start)
	}
	checked := k.c.Check.Kind != "" && k.c.Check.Kind != "none" || k.c.Content == "nmea"
	return &delimiterShape{start: start, end: k.end, checked: checked}
}

func (k *compiler) compileLength(start []byte) shape {
	f := k.c.Frame
	s := &lengthShape{start: start, end: k.end, at: f.LengthAt, typ: f.LengthType, add: f.LengthAdd, max: k.p.max}
	if s.typ == "" {
		s.typ = "u8"
	}
	if kinds := []string{"u8", "u16be", "u16le"}; !slices.Contains(kinds, s.typ) {
		k.problem("frame.length_type", "E0422", unknown("length_type", s.typ, kinds))
		s.typ = "u8"
	}
	if s.at < 0 || s.at+s.size() > s.max {
		k.problemf("frame.length_at", "E0424", "the length cannot stand at %d of a frame of at most %d bytes", s.at, s.max)
		s.at = 0
	}
	if s.add < -LimitMax || s.add > LimitMax {
		k.problemf("frame.length_add", "E0424", "length_add = %d is out of reach", s.add)
		s.add = 0
	}
	return s
}

// adapterLatency is how long an FTDI chip holds received bytes back before it
// hands them over (its default latency timer).
const adapterLatency = 16 * time.Millisecond

func (k *compiler) compileGap(start []byte) shape {
	line := k.p.line.port
	least := line.Mode.CharTime(line.Baud) * 7 / 2
	g := &gapShape{start: start, gap: k.c.Frame.Gap.Std()}
	switch {
	case g.gap == 0:
		k.problemf("frame.gap", "E0421", `a gap frame needs the silence that ends it; as gap = "20ms", at least 3.5 characters (%s here)`, least)
	case g.gap < least:
		k.problemf("frame.gap", "E0424", "%s is shorter than 3.5 characters; %s is the least at this speed", k.c.Frame.Gap, least)
	case g.gap < adapterLatency:
		k.bad(conf.Problem{Key: "frame.gap", Code: "W0422",
			Text: fmt.Sprintf("a USB adapter may hold bytes back for %s, longer than the gap of %s", adapterLatency, k.c.Frame.Gap),
			Help: `write gap = "20ms" or more unless the port is a UART of the board`})
	}
	return g
}

func (k *compiler) compileCheck() {
	c := k.c.Check
	out := &k.p.check
	out.kind, out.optional = c.Kind, c.Optional
	if out.kind == "" {
		out.kind = "none"
		if k.c.Content == "nmea" {
			out.kind = "nmea" // every talker of this century sends it
		}
	}
	if !slices.Contains(checkKinds, out.kind) {
		k.problem("check.kind", "E0422", unknown("check", c.Kind, checkKinds))
		out.kind = "none"
	}
	out.span = k.span("check.range", c.Range)
	if c.Optional && !out.isText() {
		k.problemf("check.optional", "E0425", "only checks written as digits can be missing from a frame (nmea, sum8-hex, crc16-arc-hex)")
	}
	k.checkOrder(out)
	k.checkPlace(out)
}

func (k *compiler) checkOrder(out *checker) {
	crc, isCRC := crcs[out.kind]
	if out.order = k.c.Check.Order; out.order == "" {
		out.order = crc.order
		return
	}
	if !isCRC {
		k.problemf("check.order", "E0425", "order is for the crc16 checks; sum16be and sum16le have it in their name")
	} else if out.order != "le" && out.order != "be" {
		k.problem("check.order", "E0422", unknown("order", out.order, []string{"le", "be"}))
	}
}

// checkPlace finds out where the check stands unless the file says so: the
// last bytes before the end marker, or what follows it in a bracket.
func (k *compiler) checkPlace(out *checker) {
	size := out.size()
	switch {
	case k.c.Check.At != nil:
		out.at = *k.c.Check.At
	case k.kind == "bracket" && out.isText():
		out.after = k.end
	case k.kind == "bracket" && k.c.Frame.AfterEnd > 0:
		out.at = -k.c.Frame.AfterEnd
	case k.kind == "fixed" || k.kind == "length" || k.kind == "bracket":
		out.at = -size - len(k.end)
	default:
		out.at = -size
	}
	s, ok := k.p.shape.(*fixedShape)
	if !ok || out.kind == "none" || out.kind == "nmea" {
		return
	}
	at := out.position(make([]byte, s.length))
	if at < 0 || at+size > s.length {
		k.problemf("check.at", "E0424", "a check of %d bytes cannot stand at %d of a frame of %d", size, out.at, s.length)
	} else if _, _, ok := out.span.in(s.length, at); !ok {
		k.problemf("check.range", "E0424", "the range does not fit into a frame of %d bytes", s.length)
	}
}
