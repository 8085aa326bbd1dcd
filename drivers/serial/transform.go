package serial

import "encoding/hex"

// transform undoes what an instrument does to its data. The zero transform
// does nothing.
type transform struct {
	strip7   bool
	sub, xor byte
	hex      bool
	span     span
}

// apply returns the frame with the transform done to its span. The frame
// itself is not changed. ok is false where the span does not fit, and where
// what should be hex digits is not.
func (t transform) apply(frame []byte) (out []byte, ok bool) {
	if t == (transform{}) {
		return frame, true
	}
	lo, hi, ok := t.span.in(len(frame), len(frame))
	if !ok {
		return nil, false
	}
	out = append(out, frame[:hi]...)
	for i, c := range out[lo:] {
		if t.strip7 {
			c &= 0x7F
		}
		out[lo+i] = (c - t.sub) ^ t.xor
	}
	if t.hex {
		digits := out[lo:]
		n, err := hex.Decode(digits, digits) // each byte is written behind the two that are read
		if err != nil {
			return nil, false
		}
		out = out[:lo+n]
	}
	return append(out, frame[hi:]...), true
}

// span is a part of a frame: from the first byte to the one before the last.
// Negative places count from the end of the frame; to == 0 leaves the end to
// the user of the span.
type span struct{ from, to int }

// in is the span in a frame of n bytes.
func (s span) in(n, end int) (lo, hi int, ok bool) {
	lo, hi = s.from, s.to
	if lo < 0 {
		lo += n
	}
	switch {
	case hi == 0:
		hi = end
	case hi < 0:
		hi += n
	}
	return lo, hi, lo >= 0 && lo <= hi && hi <= n
}
