package port

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tiocsrs485 and the flags are those of linux/serial.h; x/sys does not have
// the struct.
const (
	tiocsrs485 = 0x542F

	rs485Enabled     = 1 << 0
	rs485RTSOnSend   = 1 << 1
	rs485RTSAfter    = 1 << 2
	rs485MaxDelay    = 100 * time.Millisecond // the kernel's own limit
	rs485StructWords = 8
)

// words is struct serial_rs485: flags, delay before, delay after (ms), padding.
func (r RS485) words() (w [rs485StructWords]uint32) {
	w[0] = rs485Enabled | rs485RTSOnSend
	if r.ActiveLow {
		w[0] = rs485Enabled | rs485RTSAfter
	}
	w[1] = uint32(min(r.DelayBefore, rs485MaxDelay).Milliseconds())
	w[2] = uint32(min(r.DelayAfter, rs485MaxDelay).Milliseconds())
	return w
}

// setRS485 must run before the library opens the port and touches RTS.
func setRS485(f *os.File, r RS485) error {
	w := r.words()
	err := ioctl(f, tiocsrs485, unsafe.Pointer(&w))
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf(`its driver has no RS-485 mode: an adapter that turns the line by itself needs rs485.rts = "driver"`)
	}
	return err
}
