package port

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tiocsrs485 and the flags are those of linux/serial.h; x/sys does not have
// the struct.
const (
	tiocsrs485 = 0x542F

	rs485Enabled   = 1 << 0
	rs485RTSOnSend = 1 << 1
	rs485RTSAfter  = 1 << 2

	rs485StructWords = 8
)

// RS485MaxDelay is the longest delay that the kernel takes.
const RS485MaxDelay = 100 * time.Millisecond

// words is struct serial_rs485: flags, delay before, delay after (ms), padding.
func (r RS485) words() (w [rs485StructWords]uint32) {
	w[0] = rs485Enabled | rs485RTSOnSend
	if r.ActiveLow {
		w[0] = rs485Enabled | rs485RTSAfter
	}
	w[1] = uint32(min(r.DelayBefore, RS485MaxDelay).Milliseconds())
	w[2] = uint32(min(r.DelayAfter, RS485MaxDelay).Milliseconds())
	return w
}

// setRS485 must run before the library opens the port and touches RTS. The
// kernel writes back what the driver made of it: another polarity would have
// our transceiver drive the line while others speak, so that is an error.
//
// The mode stays in force after Close: without it, whoever opens the port next
// raises RTS, and its transceiver would hold the line.
func (p *Port) setRS485(r RS485) error {
	w := r.words()
	want := w
	err := p.host.ioctl(p.file, tiocsrs485, unsafe.Pointer(&w))
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf(`its driver has no RS-485 mode: an adapter that turns the line by itself needs rs485.rts = "driver"`)
	}
	if err != nil {
		return fmt.Errorf("set RS-485 mode: %w", err)
	}
	const polarity = rs485RTSOnSend | rs485RTSAfter
	switch {
	case w[0]&rs485Enabled == 0:
		return fmt.Errorf(`its driver did not take the RS-485 mode: an adapter that turns the line by itself needs rs485.rts = "driver"`)
	case w[0]&polarity != want[0]&polarity:
		return fmt.Errorf("its driver cannot have RTS %s while sending: try rs485.active_low = %t", level(r.ActiveLow), !r.ActiveLow)
	}
	for i, name := range []string{1: "delay_before", 2: "delay_after"} {
		if name != "" && w[i] != want[i] {
			p.note("the driver keeps %d ms for rs485.%s, not %d ms", w[i], name, want[i])
		}
	}
	return nil
}

func level(low bool) string {
	if low {
		return "low"
	}
	return "high"
}
