package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// ownMark tells a process that it runs in a namespace of its own.
const ownMark = "FIELDGATE_NETLAB"

// Missing says what this machine lacks for a laboratory; nil: nothing.
func Missing() error {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root")
	}
	for _, name := range []string{"ip", "tc", "nft", "nsenter"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("%s is missing: apt-get install iproute2 nftables, or run scripts/peers", name)
		}
	}
	return nil
}

// Owned reports that this process runs in a namespace that Own made.
func Owned() bool { return os.Getenv(ownMark) != "" }

// Own runs this program again, with the same arguments, in a network namespace
// of its own, waits for it and returns its exit code. The program calls it
// first of all, unless it is Owned; then it calls Settle.
func Own() (code int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), ownMark+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	if cmd.ProcessState != nil {
		return cmd.ProcessState.ExitCode(), nil
	}
	return 0, fmt.Errorf("run in a network namespace: %w", err)
}

// Settle brings up the loopback of a namespace that Own made.
func Settle() error { return Here().settle() }
