// Package clock says when something happened on a clock that cannot jump.
//
// A gateway without a battery-backed clock starts in 1970 and is set right by
// the network minutes later. So everything that must be ordered or timed
// carries a Stamp, a moment on the boot-time clock, and its wall-clock time is
// computed as late as possible: when it is sent.
package clock

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Stamp is a moment: nanoseconds since the boot with the given number.
// Boot 0 is the boot in which the process runs; the buffer gives stored stamps
// the number of their boot. The zero Stamp means "unknown".
type Stamp struct {
	Boot  uint32
	Nanos int64
}

// IsZero reports an unset stamp.
func (s Stamp) IsZero() bool { return s == Stamp{} }

// Sub is the time between two stamps of one boot.
func (s Stamp) Sub(earlier Stamp) time.Duration { return time.Duration(s.Nanos - earlier.Nanos) }

// Add is the stamp d later in the same boot.
func (s Stamp) Add(d time.Duration) Stamp { return Stamp{s.Boot, s.Nanos + int64(d)} }

// Before orders stamps: by boot, then by time. Boot 0 is the newest.
func (s Stamp) Before(t Stamp) bool {
	if s.Boot != t.Boot {
		return t.Boot == 0 || (s.Boot != 0 && s.Boot < t.Boot)
	}
	return s.Nanos < t.Nanos
}

// anchor ties the boot-time clock to Go's monotonic clock, which
// testing/synctest can replace; the gateway's boards never sleep, so both
// advance alike.
var anchor = sync.OnceValue(func() (a struct {
	at    time.Time
	nanos int64
}) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		// CLOCK_BOOTTIME exists since Linux 2.6.39; a start at zero keeps order.
		ts = unix.Timespec{}
	}
	a.at, a.nanos = time.Now(), ts.Nano()
	return a
})

// Now is the present moment.
func Now() Stamp { return At(time.Now()) }

// At is the stamp of a reading of Go's clock in this process, by its monotonic part.
func At(t time.Time) Stamp {
	a := anchor()
	return Stamp{Nanos: a.nanos + int64(t.Sub(a.at))}
}

// Wall is the wall-clock time of a stamp of this boot (Boot 0), by what the
// wall clock says now. Both clocks come from one reading: a pause between two
// would shift the result.
func Wall(s Stamp) time.Time {
	now := time.Now()
	return shown(now).Add(-At(now).Sub(s))
}

// pretended is what tests make of the system's clock; nil: nothing.
var pretended atomic.Pointer[pretence]

type pretence struct {
	shift  time.Duration
	synced bool
}

// Pretend sets the wall clock off by shift, as seen through this package, and
// says whether the kernel calls it synchronised. It is for tests of whole
// programs, which cannot set the machine's clock; the function it returns ends
// it. (Nothing else may call it: TestNobodyPretends.)
func Pretend(shift time.Duration, synced bool) (end func()) {
	pretended.Store(&pretence{shift, synced})
	return func() { pretended.Store(nil) }
}

// shown is the wall-clock part of a reading.
func shown(now time.Time) time.Time {
	now = now.Round(0)
	if p := pretended.Load(); p != nil {
		return now.Add(p.shift)
	}
	return now
}

// Synced reports whether the kernel says that the wall clock is synchronised
// (adjtimex without STA_UNSYNC), and the kernel's estimate of the error.
// Where the call is not permitted the clock counts as not synchronised.
func Synced() (ok bool, maxError time.Duration) {
	if p := pretended.Load(); p != nil {
		return p.synced, 0
	}
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil || state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0 {
		return false, 0
	}
	return true, time.Duration(t.Maxerror) * time.Microsecond
}
