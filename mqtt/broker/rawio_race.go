//go:build race

package broker

import "syscall"

// scribble makes giveBack spoil what it gives back.
const scribble = true

// The race detector has to see that what was written before a message happened
// before it was read: package syscall tells it.

func sockRead(fd int, b []byte) (int, syscall.Errno) {
	n, err := syscall.Read(fd, b)
	return n, errnoOf(err)
}

func sockWrite(fd int, b []byte) (int, syscall.Errno) {
	n, err := syscall.Write(fd, b)
	return n, errnoOf(err)
}

// epollPoll asks for events without waiting.
func epollPoll(ep int, events []syscall.EpollEvent) (int, syscall.Errno) {
	n, err := syscall.EpollWait(ep, events, 0)
	return n, errnoOf(err)
}

func errnoOf(err error) syscall.Errno {
	errno, _ := err.(syscall.Errno)
	return errno
}
