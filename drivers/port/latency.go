package port

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// asyncLowLatency is ASYNC_LOW_LATENCY of linux/tty_flags.h.
const asyncLowLatency = 1 << 13

// Offset of the flags in struct serial_struct, the same on 32 and 64 bits.
const serialStructFlags = 16

// serialStruct is struct serial_struct of linux/serial.h: at most 72 bytes.
type serialStruct [128]byte

func (s *serialStruct) flags() uint32 { return binary.NativeEndian.Uint32(s[serialStructFlags:]) }

func (s *serialStruct) setFlags(to uint32) { binary.NativeEndian.PutUint32(s[serialStructFlags:], to) }

// setLowLatency sets the tty's low-latency flag, and returns how to take it back
// where it was not set before. Drivers without it say ENOTTY.
func (p *Port) setLowLatency() (restore func(), err error) {
	var s serialStruct
	if err := p.host.ioctl(p.file, unix.TIOCGSERIAL, unsafe.Pointer(&s)); err != nil {
		return nil, err
	}
	if s.flags()&asyncLowLatency != 0 {
		return nil, nil
	}
	s.setFlags(s.flags() | asyncLowLatency)
	if err := p.host.ioctl(p.file, unix.TIOCSSERIAL, unsafe.Pointer(&s)); err != nil {
		return nil, err
	}
	return func() {
		var now serialStruct // others may have changed something else meanwhile
		if p.host.ioctl(p.file, unix.TIOCGSERIAL, unsafe.Pointer(&now)) == nil {
			now.setFlags(now.flags() &^ asyncLowLatency)
			_ = p.host.ioctl(p.file, unix.TIOCSSERIAL, unsafe.Pointer(&now)) // unplugged by now: nothing to restore
		}
	}, nil
}

// latencyFile is where an FTDI adapter keeps its timer.
func latencyFile(sys, tty string) string {
	return filepath.Join(sys, "class", "tty", tty, "device", "latency_timer")
}

// readLatency returns the timer in milliseconds; 0 where the adapter has none.
func readLatency(file string) int {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	ms, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return ms
}

// lowerLatency sets the timer to 1 ms and returns how to put it back.
func lowerLatency(file string) (restore func(), note string) {
	was := readLatency(file)
	if was <= 1 {
		return nil, ""
	}
	if err := os.WriteFile(file, []byte("1"), 0); err != nil {
		return nil, fmt.Sprintf("the adapter holds bytes back for %d ms and the latency timer may not be set; "+
			"a udev rule can set it: SUBSYSTEM==\"usb-serial\", DRIVER==\"ftdi_sio\", ATTR{latency_timer}=\"1\"", was)
	}
	return func() {
		// The adapter may be unplugged by now; then there is nothing to restore.
		_ = os.WriteFile(file, []byte(strconv.Itoa(was)), 0)
	}, ""
}
