package drivers

import "fmt"

// The codes of refused or failed commands, as in `…/set/result`.
const (
	CodePayload     = "E0601" // the payload cannot be read
	CodeNotWritable = "E0602" // no such tag, or it has no write key
	CodeAboveMax    = "E0603"
	CodeBelowMin    = "E0604"
	CodeStep        = "E0605" // not on the step
	CodeType        = "E0606" // does not fit the register, or no such name
	CodeExpired     = "E0607" // came or would be executed too late
	CodeRetained    = "E0608" // a retained set is never executed
	CodeBusy        = "E0609" // the device's queue is full
	CodeRate        = "E0610" // more often than `rate` allows
	CodeNoAnswer    = "E0611" // the device did not answer
	CodeException   = "E0612" // the device answered with an exception
	CodeReadBack    = "E0613" // written, but the device shows something else
	CodeUnavailable = "E0614" // device disabled, driver stopped, port gone
	CodeRequest     = "E0615" // unknown request, or its data is wrong
	CodeResponse    = "E0616" // the response topic may not be used
)

// The codes of events that drivers cause.
const (
	CodeDriverFailed  = "E0701" // a driver ended and is started again
	CodeDeviceOffline = "E0702"
	CodeDeviceOnline  = "E0703" // back after having been offline
	CodeSetIgnored    = "E0704" // a set was refused before it reached a device
	CodePublishFailed = "E0705" // the local broker refused our message
	CodeTagDisabled   = "E0706" // a register that the device does not have
	CodeOverrun       = "E0707" // polls do not fit into their interval
)

// CommandError is why a command was refused or failed.
type CommandError struct {
	Code string // E06xx
	Text string
}

// Error implements error.
func (e *CommandError) Error() string { return e.Text }

// Refuse makes a CommandError.
func Refuse(code, format string, args ...any) *CommandError {
	return &CommandError{Code: code, Text: fmt.Sprintf(format, args...)}
}
