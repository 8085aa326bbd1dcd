package serial

import "fieldgate/drivers"

// content takes a checked frame apart once; its fields are then picked.
type content interface {
	// open returns the fields of a frame. ok is false for a frame that is not
	// of this content: another NMEA sentence, a line the pattern does not fit.
	open(frame []byte) (f fields, ok bool)
}

// fields is a frame taken apart. It is valid only while the frame is.
type fields interface {
	// text is what stands at p, for conditions: binary contents give hex digits.
	text(p *pick) (text string, found bool)
	// value is the value at p. reason says why there is none; absent means
	// that this frame does not speak of p at all.
	value(p *pick) (v drivers.Value, reason string)
}

// absent is the reason of a field that a frame need not have: no sample is
// made of it, and the tag goes stale in time.
const absent = "absent"

// pick is where a value stands in a frame, and how it is written there.
type pick struct {
	at       int
	index    int // -1: not given
	bit      int // -1: the whole number
	key      string
	path     []step
	group    int // of the pattern
	code     string
	sentence string
	typ      valueType
}

// textFields is a content of texts; most are.
type textFields interface {
	text(p *pick) (text string, found bool)
}

// textValue converts the text at p. A missing field is an error, except where
// the content may leave fields out.
func textValue(f textFields, p *pick, missing string) (drivers.Value, string) {
	text, found := f.text(p)
	if !found {
		return drivers.Value{}, missing
	}
	return p.typ.parse(text)
}
