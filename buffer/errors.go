package buffer

import (
	"errors"

	"modernc.org/sqlite"
)

// What a caller may have to tell apart.
var (
	// ErrClosed: the buffer was closed before the messages were stored.
	ErrClosed = errors.New("the buffer is closed")
	// ErrTooLarge: a message is longer than MaxMessage; MQTT reason 0x95.
	ErrTooLarge = errors.New("the message is larger than the queue takes (1 MiB)")
	// ErrFull: nothing more is taken until the disk works or has room again;
	// MQTT reason 0x97.
	ErrFull = errors.New("the queue is full and its disk takes nothing")
	// ErrUnknown: no upstream has this name.
	ErrUnknown = errors.New("no such upstream")
	// ErrInUse: another process holds the database.
	ErrInUse = errors.New("the buffer is in use by another process; stop the other gateway or give this one its own buffer.dir")
)

// SQLite's primary result codes that call for different remedies.
const (
	codeBusy     = 5
	codeReadOnly = 8
	codeIOErr    = 10
	codeCorrupt  = 11
	codeFull     = 13
	codeCantOpen = 14
	codeNotADB   = 26
)

// sqlCode is the primary result code of an error of SQLite, else 0.
func sqlCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// errDamaged marks damage that we found ourselves, as a failed quick_check.
var errDamaged = errors.New("database is damaged")

// isDamage reports an error that only a new database cures.
func isDamage(err error) bool {
	code := sqlCode(err)
	return code == codeCorrupt || code == codeNotADB || errors.Is(err, errDamaged)
}
