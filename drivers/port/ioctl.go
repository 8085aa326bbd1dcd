package port

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ioctl passes a pointer to the driver. It goes through SyscallConn: File.Fd
// would switch the descriptor to blocking mode and take it from the poller.
func ioctl(f *os.File, request uint, arg unsafe.Pointer) error {
	var failed error
	err := control(f, func(fd int) {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg)); errno != 0 {
			failed = errno
		}
	})
	if err != nil {
		return err
	}
	return failed
}

func control(f *os.File, do func(fd int)) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { do(int(fd)) })
}

// lock takes the advisory lock that fieldgate and other well-behaved programs
// respect. It ends with the descriptor, also when the process is killed.
func lock(f *os.File) error {
	var failed error
	if err := control(f, func(fd int) { failed = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) }); err != nil {
		return err
	}
	if failed == unix.EWOULDBLOCK {
		return ErrBusy
	}
	return failed
}

// isTTY asks for the terminal settings, which only a terminal has.
func isTTY(f *os.File) error {
	var failed error
	if err := control(f, func(fd int) { _, failed = unix.IoctlGetTermios(fd, unix.TCGETS) }); err != nil {
		return err
	}
	return failed
}

// flushQueues drops what the kernel holds: TCIFLUSH input, TCOFLUSH output.
func flushQueues(f *os.File, queue int) error {
	var failed error
	if err := control(f, func(fd int) { failed = unix.IoctlSetInt(fd, unix.TCFLSH, queue) }); err != nil {
		return err
	}
	return failed
}
