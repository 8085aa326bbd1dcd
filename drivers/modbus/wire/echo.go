package wire

import (
	"bytes"
	"time"

	"github.com/goburrow/modbus"
)

// echoState is what is known about the adapter: a two-wire adapter may return
// every byte we send. An echo of a read cannot be taken for an answer; the
// echo of some writes is byte for byte what the unit would say.
type echoState struct {
	mode  Echo
	known bool // auto only: seen or not since the line was opened
	yes   bool
}

// unknown reports that a write's echo could not be told from its answer.
func (e *echoState) unknown() bool { return e.mode == EchoAuto && !e.known }

// certain reports that every request comes back.
func (e *echoState) certain() bool { return e.mode == EchoOn || e.mode == EchoAuto && e.known && e.yes }

// echoLikeReply reports a request whose good answer may equal it.
func echoLikeReply(req Request) bool {
	switch req.Function {
	case modbus.FuncCodeReadCoils, modbus.FuncCodeReadDiscreteInputs, modbus.FuncCodeReadHoldingRegisters,
		modbus.FuncCodeReadInputRegisters, modbus.FuncCodeReadWriteMultipleRegisters,
		modbus.FuncCodeWriteMultipleCoils, modbus.FuncCodeWriteMultipleRegisters:
		return false
	}
	return true
}

// strip removes our own bytes from what was received, once.
type strip struct {
	tx        []byte
	may, must bool // an echo is possible; without it nothing counts
	done      bool
}

func (e *echoState) stripper(req Request, tx []byte) strip {
	like := echoLikeReply(req)
	return strip{tx: tx, may: e.certain() || e.mode == EchoAuto && !like, must: e.certain() && like}
}

// from is where answers may begin in buf; wait asks for more bytes first.
func (s *strip) from(buf []byte) (at int, wait bool) {
	if !s.may {
		return 0, false
	}
	if i := bytes.Index(buf, s.tx); i >= 0 {
		s.done = true
		return i + len(s.tx), false
	}
	// The beginning of an echo must not be searched for an answer.
	return 0, s.must || len(buf) < len(s.tx) && bytes.HasPrefix(s.tx, buf)
}

// echoSilence is how long nothing at all must come before that means that
// the adapter does not echo. Echoes come at line speed.
const echoSilence = 500 * time.Millisecond

// learn draws conclusions from a finished exchange: whether it was answered,
// and for how long nothing at all came (0 where something did).
func (e *echoState) learn(s strip, answered bool, silent time.Duration) {
	if e.mode != EchoAuto || !s.may || s.must {
		return
	}
	switch {
	case s.done:
		e.known, e.yes = true, true
	case answered && e.yes:
		e.known = false // it came damaged, or not: ask again before the next write
		e.yes = false
	case answered || silent >= echoSilence:
		e.known, e.yes = true, false
	}
}
