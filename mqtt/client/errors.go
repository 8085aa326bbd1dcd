package client

import (
	"errors"
	"fmt"

	"fieldgate/mqtt"
)

// What a connection can end with, besides the errors of the network.
var (
	ErrClosed   = errors.New("connection closed")                           // by Close or Disconnect
	ErrPeerDead = errors.New("the broker does not answer keep-alive pings") // PINGRESP did not come
)

// Refused is the broker's "no" to a packet of ours, or its DISCONNECT. It
// unwraps to the reason code.
type Refused struct {
	Packet    string // what was refused: "CONNECT", "PUBLISH"; or "connection" for a DISCONNECT
	Reason    mqtt.ReasonCode
	Text      string // the broker's own words; may be empty
	Reference string // another server to use; may be empty
}

// Error implements error.
func (e *Refused) Error() string {
	s := fmt.Sprintf("broker refused %s: %s", e.Packet, e.Reason)
	if e.Packet == connectionRefused {
		s = fmt.Sprintf("broker closed the connection: %s", e.Reason)
	}
	if e.Text != "" {
		s += fmt.Sprintf(": %q", e.Text)
	}
	if e.Reference != "" {
		s += fmt.Sprintf("; it points to %q", e.Reference)
	}
	return s
}

// Unwrap returns the reason code.
func (e *Refused) Unwrap() error { return e.Reason }

const connectionRefused = "connection"

// endedError is what a call or a message ends with because its connection did,
// whatever the broker or we gave as the reason for that.
type endedError struct{ cause error }

func (e endedError) Error() string { return e.cause.Error() }

func (e endedError) Unwrap() error { return e.cause }

// ended is err as one of the connection's; nil stays nil.
func ended(err error) error {
	if err == nil {
		return nil
	}
	return endedError{err}
}

// Refusal is the broker's "no" to the message, or to the filters, that err came
// back for. ok is false where only the connection ended, with a reason or
// without: that says nothing of what was on its way, and less of what was not.
func Refusal(err error) (reason mqtt.ReasonCode, ok bool) {
	if _, ended := errors.AsType[endedError](err); ended {
		return 0, false
	}
	reason, ok = errors.AsType[mqtt.ReasonCode](err)
	return reason, ok && reason.Failed()
}

// LimitError is a call that the broker's limits do not allow. Nothing was
// sent. It unwraps to the reason code that the broker would have used.
type LimitError struct {
	Reason mqtt.ReasonCode
	Text   string
}

// Error implements error.
func (e *LimitError) Error() string { return e.Text }

// Unwrap returns the reason code.
func (e *LimitError) Unwrap() error { return e.Reason }

func overLimit(reason mqtt.ReasonCode, format string, args ...any) error {
	return &LimitError{reason, fmt.Sprintf(format, args...)}
}

// Step is a part of connecting.
type Step string

// The steps, in their order.
const (
	StepConfig    Step = "config"
	StepDNS       Step = "dns"
	StepTCP       Step = "tcp" // also a Unix socket
	StepProxy     Step = "proxy"
	StepTLS       Step = "tls"
	StepWebSocket Step = "websocket"
	StepMQTT      Step = "mqtt" // CONNECT and CONNACK
)

// DialError says which step of connecting failed.
type DialError struct {
	Step    Step
	Address string // of the broker or the proxy
	Err     error
	Remedy  string // a sentence on what to do, without a full stop; may be empty
}

// Error implements error. The remedy is not part of it.
func (e *DialError) Error() string { return fmt.Sprintf("%s: %s: %v", e.Address, e.Step, e.Err) }

// Unwrap returns the error of the step.
func (e *DialError) Unwrap() error { return e.Err }

// failed makes a DialError with its remedy.
func failed(step Step, address string, err error) *DialError {
	return &DialError{Step: step, Address: address, Err: err, Remedy: remedy(step, err)}
}
