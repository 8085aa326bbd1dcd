package netlab

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// Space is a network namespace with a loopback and without IPv6, so that
// nothing is on its cables but what a test puts there.
type Space struct {
	holder *exec.Cmd // lives in it; nil: the namespace of this process
}

// Here is the namespace of this process.
func Here() *Space { return &Space{} }

// New makes a namespace. Close ends it, and the kernel when this process ends.
func New() (*Space, error) {
	s := &Space{holder: exec.Command("sleep", "infinity")}
	s.holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := s.holder.Start(); err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	if err := s.settle(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// settle brings the loopback up.
func (s *Space) settle() error {
	return s.run("", "ip", "link", "set", "lo", "up")
}

// Close ends the namespace; programs that still run in it keep it alive.
func (s *Space) Close() {
	if s.holder == nil {
		return
	}
	_ = s.holder.Process.Kill() // gone already: fine
	_ = s.holder.Wait()
}

// Args are the words that run a program in the namespace; the process that
// they start becomes the program.
func (s *Space) Args(name string, args ...string) []string {
	words := append([]string{name}, args...)
	if s.holder == nil {
		return words
	}
	return append([]string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", s.pid()), "--"}, words...)
}

// Command is exec.Command for a program in the namespace.
func (s *Space) Command(name string, args ...string) *exec.Cmd {
	words := s.Args(name, args...)
	return exec.Command(words[0], words[1:]...)
}

// pid is a process in the namespace.
func (s *Space) pid() int {
	if s.holder == nil {
		return os.Getpid()
	}
	return s.holder.Process.Pid
}

// run runs a program to its end in the namespace; input is what it reads.
func (s *Space) run(input, name string, args ...string) error {
	_, err := s.output(input, name, args...)
	return err
}

func (s *Space) output(input, name string, args ...string) ([]byte, error) {
	cmd := s.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return out, nil
}
