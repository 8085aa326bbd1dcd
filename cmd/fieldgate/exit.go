package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// The exit codes that scripts rely on.
const (
	exitOK         = 0
	exitProblems   = 1 // it worked, and found problems
	exitUsage      = 2
	exitNotRunning = 3 // no gateway is running
	exitNoAnswer   = 4 // the device does not answer
	exitException  = 5 // the device answered with an exception
	exitNetwork    = 6 // upstream or network
	exitPermission = 7
	exitReadBack   = 8  // the read-back differs from what was written
	exitConfig     = 78 // the configuration is invalid, from `run` only
	exitInterrupt  = 130
)

// usageError is a command line that cannot be understood.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// codeError is an error with the exit code it deserves. Text that was printed
// already leaves err nil.
type codeError struct {
	code int
	err  error
}

func (e codeError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e codeError) Unwrap() error { return e.err }

func withCode(code int, format string, args ...any) error {
	return codeError{code, fmt.Errorf(format, args...)}
}

// exit prints what went wrong, in one sentence, and returns the exit code.
func (a *app) exit(err error) int {
	var coded codeError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		if coded.err != nil {
			a.complain(coded.err)
		}
		return coded.code
	case errors.Is(err, context.Canceled):
		return exitInterrupt
	case isUsage(err):
		if strings.HasPrefix(err.Error(), "unknown command") {
			err = fmt.Errorf("%w; fieldgate --help lists the commands", err)
		}
		a.complain(err)
		return exitUsage
	}
	a.complain(err)
	return exitProblems
}

// isUsage also knows the errors that cobra makes itself.
func isUsage(err error) bool {
	var u usageError
	if errors.As(err, &u) {
		return true
	}
	text := err.Error()
	for _, start := range []string{"unknown command", "accepts ", "requires at least", "requires at most", "required flag", "invalid argument"} {
		if strings.HasPrefix(text, start) {
			return true
		}
	}
	return false
}

func (a *app) complain(err error) {
	fmt.Fprintf(a.err, "%s %v\n", a.paint(red, "fieldgate:"), err)
}
