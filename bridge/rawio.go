//go:build !race

package bridge

import (
	"syscall"
	"unsafe"
)

// A connection's socket does not block, so its system calls need not be
// announced to Go's scheduler. Announcing wakes its watching thread whenever
// everything else is idle, which costs more than the call.

func sockRead(fd uintptr, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), errno
}

func sockWrite(fd uintptr, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), errno
}
