package wire

import "github.com/goburrow/modbus"

// frame is what a unit said, check sum removed.
type frame struct {
	unit, function byte
	data           []byte // after the function code; aliases the buffer it was found in
}

// isException reports a refusal, whose data is the code.
func (f frame) isException() bool { return f.function&0x80 != 0 }

// found is the result of a search for a frame.
type found struct {
	frame
	ok         bool
	start, end int  // where it stands in the buffer
	quiet      bool // its end is only sure once the line is silent (function of unknown length)
	partial    int  // bytes of the longest candidate whose end has not come, with need
	need       int
	broken     int // length of a whole candidate that had a wrong check sum
}

// framer is what RTU and ASCII do differently.
type framer interface {
	encode(unit byte, pdu *modbus.ProtocolDataUnit) ([]byte, error)
	// find looks for the first frame that want accepts. It skips everything
	// else, so that noise, an echo or another unit's answer does no harm.
	find(buf []byte, want func(unit, function byte) bool) found
	// size is the number of characters of a frame with so much PDU data.
	size(data int) int
}

// anyFrame accepts every unit and every function whose frames have a length,
// to name what was heard. Others would be found by chance in noise.
func anyFrame(unit, function byte) bool {
	_, known := rtuReplyLength([]byte{unit, function})
	return known
}

// wanted accepts the answers and refusals to a request.
func (r Request) wanted(unit, function byte) bool {
	return unit == r.Unit && function&0x7F == r.Function
}
