package wire

import "time"

// FrameCost is what a request and its answer cost on the wire: bytes both
// ways, and the time they occupy it with the silences around them. The unit's
// own thinking is not in it. For TCP the time is 0: the network's part is not
// known beforehand. Answers of unknown length count as 16 bytes.
func FrameCost(cfg Config, req Request) (bytes int, onWire time.Duration) {
	cfg = cfg.withDefaults()
	pdu, err := req.pdu()
	if err != nil {
		return 0, 0
	}
	answer := req.replySize()
	if answer < 0 {
		answer = 16
	}
	switch cfg.Kind {
	case TCP:
		const header = mbapSize + 2
		return 2*header + len(pdu.Data) + answer, 0
	case ASCII:
		bytes = (&asciiFramer{}).size(len(pdu.Data)) + (&asciiFramer{}).size(answer)
	default:
		bytes = (&rtuFramer{}).size(len(pdu.Data)) + (&rtuFramer{}).size(answer)
	}
	// One gap before the request; the unit keeps another before it answers.
	return bytes, cfg.onWire(bytes) + 2*cfg.FrameGap + cfg.gap(req.Unit)
}
