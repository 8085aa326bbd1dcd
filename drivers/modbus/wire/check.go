package wire

import (
	"context"
	"errors"
	"fmt"

	"github.com/goburrow/modbus"
)

// checkRead decides whether a request must be preceded by another read, and why.
func (l *Line) checkRead(req Request) (probe Request, why string) {
	switch {
	case req.Unit == 0:
		return Request{}, ""
	case l.pending.suspect(req.Unit, req.shape()):
		why = "its answer could be mistaken for an older one's"
	case l.echo.unknown() && echoLikeReply(req):
		why = "it is not known yet whether the adapter echoes"
	default:
		return Request{}, ""
	}
	probe = l.differentRead(req)
	probe.Timeout, probe.NoRetry = max(l.timeout(req), echoSilence), req.NoRetry
	return probe, why
}

// differentRead is a read of the same unit whose answer looks like none that
// is owed and not like the one to the request.
func (l *Line) differentRead(req Request) Request {
	probe := Request{Unit: req.Unit, Function: modbus.FuncCodeReadHoldingRegisters, Address: req.Address, Timeout: req.Timeout}
	step := uint16(1)
	switch req.Function {
	case modbus.FuncCodeReadCoils, modbus.FuncCodeReadDiscreteInputs:
		probe.Function, step = req.Function, 8
	case modbus.FuncCodeWriteSingleCoil, modbus.FuncCodeWriteMultipleCoils:
		probe.Function, step = modbus.FuncCodeReadCoils, 8
	case modbus.FuncCodeReadInputRegisters:
		probe.Function = req.Function
	}
	probe.Quantity = 1
	for range maxOwed + 1 {
		if s := probe.shape(); s != req.shape() && !l.pending.suspect(req.Unit, s) {
			break
		}
		probe.Quantity += step
	}
	if last := 0x10000 - int(probe.Quantity); int(probe.Address) > last {
		probe.Address = uint16(last)
	}
	return probe
}

// runCheck does the check read. A refusal is as good as an answer.
func (l *Line) runCheck(ctx context.Context, req, probe Request, why string) error {
	l.stats.checked()
	forEcho := !l.pending.suspect(probe.Unit, req.shape())
	_, err := l.exchange(ctx, probe, l.talkSerial)
	var ex *Exception
	switch {
	case err == nil, errors.As(err, &ex):
		return nil
	case forEcho && errors.Is(err, ErrTimeout) && !l.echo.unknown() && l.conn != nil:
		return nil // the adapter has shown what it does; a unit may ignore reads
	}
	if errors.Is(err, ErrTimeout) || errors.Is(err, ErrCRC) {
		return fmt.Errorf("%w (a read sent first, because %s)", err, why)
	}
	return err
}
