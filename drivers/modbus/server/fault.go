package server

import "time"

// Call is a request as a Fault function sees it.
type Call struct {
	Number   int // 1 for the first request since the server was made
	Unit     byte
	Function byte
	Data     []byte // after the function code
}

// Fault is what goes wrong with one answer. The zero Fault is a good answer.
// The effects come in the order of the fields.
type Fault struct {
	Close     bool                // hang up instead of answering
	Drop      bool                // no answer; the request is not executed
	Silent    bool                // no answer, though the request is executed
	Exception byte                // refuse with this code
	Delay     time.Duration       // answer later; meanwhile nothing else is served
	Edit      func(*Answer)       // change the answer before it is framed
	Frame     func([]byte) []byte // change the frame
	Before    []byte              // noise in front of the frame
	After     []byte              // and behind it
	Twice     bool                // the frame again
	Chunk     int                 // send in pieces of so many bytes
	Pause     time.Duration       // between them
	Hangup    bool                // close after sending
}

// Answer is what will be framed.
type Answer struct {
	Transaction uint16 // TCP only
	Unit        byte
	Function    byte
	Data        []byte
}

// Corrupt is a Frame fault: the last byte but one is wrong, which no check
// sum forgives.
func Corrupt(frame []byte) []byte {
	out := append([]byte(nil), frame...)
	out[len(out)-2] ^= 0x01
	return out
}

// Cut is a Frame fault: only the first n bytes are sent.
func Cut(n int) func([]byte) []byte {
	return func(frame []byte) []byte { return frame[:min(n, len(frame))] }
}
