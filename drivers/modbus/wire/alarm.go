package wire

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// alarm ends a wait exactly. Go's own timers end up to a millisecond late, for
// its poller counts in milliseconds; a kernel timer that the poller watches
// like a socket ends within a tenth of that, and no thread waits for it.
type alarm struct {
	fd   int
	file *os.File // owns fd
	buf  [8]byte
}

// newAlarm is nil where the kernel gives no timer; sleeps are late then.
func newAlarm() *alarm {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil
	}
	return &alarm{fd: fd, file: os.NewFile(uintptr(fd), "timer")}
}

// sleepUntil cannot be ended before its time: for short waits.
func (a *alarm) sleepUntil(until time.Time) {
	left := time.Until(until)
	if left <= 0 {
		return
	}
	if a != nil {
		set := unix.ItimerSpec{Value: unix.NsecToTimespec(left.Nanoseconds())}
		if unix.TimerfdSettime(a.fd, 0, &set, nil) == nil {
			if _, err := a.file.Read(a.buf[:]); err == nil {
				return
			}
		}
	}
	time.Sleep(time.Until(until))
}

func (a *alarm) close() {
	if a != nil {
		_ = a.file.Close() // nothing is in it
	}
}
