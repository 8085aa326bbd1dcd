package wire

import (
	"bytes"
	"encoding/hex"

	"github.com/goburrow/modbus"
)

const (
	asciiMax = 513 // Modbus serial line V1.02 §2.5.2.1
	asciiMin = 9   // ':', unit, function, check sum, CR LF
)

// asciiFramer packs with goburrow's packager.
type asciiFramer struct{ packager modbus.ASCIIClientHandler }

func (f *asciiFramer) encode(unit byte, pdu *modbus.ProtocolDataUnit) ([]byte, error) {
	f.packager.SlaveId = unit
	return f.packager.Encode(pdu)
}

func (*asciiFramer) size(data int) int { return asciiMin + 2*data }

// find takes every ':' as a new beginning, as §2.5.2.1 asks.
func (*asciiFramer) find(buf []byte, want func(unit, function byte) bool) (r found) {
	for at := 0; at < len(buf); {
		start := bytes.IndexByte(buf[at:], ':')
		if start < 0 {
			return r
		}
		start += at
		at = start + 1
		end := bytes.IndexAny(buf[at:], ":\n")
		if end < 0 {
			if n := len(buf) - start; n <= asciiMax {
				r.partial = n
			}
			return r
		}
		if buf[at+end] == ':' {
			continue
		}
		f, ok := asciiDecode(buf[at : at+end])
		if !ok {
			r.broken = end + 2
			continue
		}
		at += end + 1
		if want(f.unit, f.function) {
			r.frame, r.ok, r.start, r.end = f, true, start, at
			return r
		}
	}
	return r
}

// asciiDecode reads what stands between ':' and LF.
func asciiDecode(text []byte) (frame, bool) {
	text = bytes.TrimSuffix(text, []byte("\r"))
	if len(text) < 6 || len(text) > asciiMax-3 || len(text)%2 != 0 {
		return frame{}, false
	}
	b := make([]byte, len(text)/2)
	if _, err := hex.Decode(b, text); err != nil {
		return frame{}, false
	}
	var lrc byte
	for _, c := range b {
		lrc += c
	}
	if lrc != 0 {
		return frame{}, false
	}
	return frame{unit: b[0], function: b[1], data: b[2 : len(b)-1]}, true
}
