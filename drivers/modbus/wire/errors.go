package wire

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"fieldgate/drivers"
)

// What can go wrong, besides *Exception and *ReplyError. The errors of Do wrap
// these and say more.
var (
	ErrTimeout = errors.New("no answer")                     // nothing, or only a part, within the time
	ErrCRC     = errors.New("no valid frame")                // bytes came, with a wrong check sum or none
	ErrGone    = errors.New("line is down")                  // the port or the connection cannot be opened or was lost
	ErrClosed  = errors.New("line is closed")                // by Close
	ErrBusy    = errors.New("too many requests are waiting") // for this line
	ErrRequest = errors.New("impossible request")            // the caller's mistake; nothing was sent
)

// Exception is a unit's refusal. The line is fine.
type Exception struct {
	Function byte // as asked, without 0x80
	Code     byte
}

// The exception codes with a name (Modbus V1.1b3 §7).
const (
	IllegalFunction    = 1
	IllegalAddress     = 2
	IllegalValue       = 3
	DeviceFailure      = 4
	Acknowledge        = 5
	DeviceBusy         = 6
	NegativeAck        = 7
	MemoryParity       = 8
	GatewayUnavailable = 10
	GatewayNoAnswer    = 11
)

var exceptionNames = map[byte]string{
	IllegalFunction:    "illegal function",
	IllegalAddress:     "illegal data address",
	IllegalValue:       "illegal data value",
	DeviceFailure:      "device failure",
	Acknowledge:        "acknowledge, still working on it",
	DeviceBusy:         "device busy",
	NegativeAck:        "negative acknowledge",
	MemoryParity:       "memory parity error",
	GatewayUnavailable: "gateway path unavailable",
	GatewayNoAnswer:    "no answer from the device behind the gateway",
}

// Error gives the number always and the name where there is one.
func (e *Exception) Error() string {
	name := exceptionNames[e.Code]
	if name == "" {
		name = "not a standard code"
	}
	return fmt.Sprintf("exception %d (%s) to function %d", e.Code, name, e.Function)
}

// Busy reports a unit that asks to be tried again.
func (e *Exception) Busy() bool { return e.Code == Acknowledge || e.Code == DeviceBusy }

// Gateway reports a unit that a gateway cannot reach; the gateway is fine.
func (e *Exception) Gateway() bool { return e.Code == GatewayUnavailable || e.Code == GatewayNoAnswer }

// Config reports a request that this unit will never serve: do not hammer.
func (e *Exception) Config() bool { return e.Code >= IllegalFunction && e.Code <= IllegalValue }

// ReplyError is an answer with a right check sum that does not fit the request.
type ReplyError struct {
	Text string
	// Shown is what the unit says it holds, where a write's answer shows other
	// values than were sent (it may have limited them); else nil.
	Shown []byte
}

// Error describes the difference.
func (e *ReplyError) Error() string { return "answer does not fit: " + e.Text }

func replyErrorf(format string, args ...any) *ReplyError {
	return &ReplyError{Text: fmt.Sprintf(format, args...)}
}

// Reason is the reason of a bad sample for an error of Do.
func Reason(err error) string {
	var ex *Exception
	var re *ReplyError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &ex):
		return "exception:" + strconv.Itoa(int(ex.Code))
	case errors.As(err, &re):
		return drivers.ReasonParse
	case errors.Is(err, ErrTimeout):
		return drivers.ReasonTimeout
	case errors.Is(err, ErrCRC):
		return drivers.ReasonCRC
	case errors.Is(err, ErrRequest):
		return drivers.ReasonConfig
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, ErrClosed), errors.Is(err, ErrBusy):
		return drivers.ReasonNotRead
	}
	return drivers.ReasonPort
}
