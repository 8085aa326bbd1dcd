package main

import (
	"bufio"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a condition may take to come true on a loaded machine.
const patience = 60 * time.Second

// shipped is the product, built as it is shipped; built once per test run.
var shipped = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fieldgate-test")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "fieldgate")
	built = path
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", &exec.Error{Name: string(out), Err: err}
	}
	return path, nil
})

// built is where shipped built it, for TestMain to remove.
var built string

func fieldgateBinary(t *testing.T) string {
	t.Helper()
	path, err := shipped()
	if err != nil {
		t.Fatalf("build: %v", err)
	}
	return path
}

// proc is a program under test or a peer; its lines are kept.
type proc struct {
	t    *testing.T
	cmd  *exec.Cmd
	name string
	done chan struct{}

	mu    sync.Mutex
	lines []string // of stdout
	talk  []string // of stderr
}

// start runs a program until the test ends.
func start(t *testing.T, name string, args ...string) *proc {
	t.Helper()
	p := newProc(t, name, args...)
	p.run(nil)
	return p
}

// newProc is a program that run starts.
func newProc(t *testing.T, name string, args ...string) *proc {
	p := &proc{t: t, name: filepath.Base(name), cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return p
}

func (p *proc) run(env []string) {
	p.t.Helper()
	p.cmd.Env = append(os.Environ(), env...)
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatalf("start %s: %v", p.name, err)
	}
	var readers sync.WaitGroup
	readers.Go(func() { p.collect(stdout, &p.lines) })
	readers.Go(func() { p.collect(stderr, &p.talk) })
	go func() {
		readers.Wait()
		_ = p.cmd.Wait() // a killed process has no good end
		close(p.done)
	}()
	p.t.Cleanup(func() { p.stop(syscall.SIGKILL) })
}

func (p *proc) collect(r io.Reader, to *[]string) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		p.mu.Lock()
		*to = append(*to, s.Text())
		p.mu.Unlock()
	}
}

// out is what the program printed so far.
func (p *proc) out() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines...)
}

// everything is stdout and stderr, for messages of failing tests.
func (p *proc) everything() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	tail := func(l []string) string {
		if len(l) > 60 {
			l = l[len(l)-60:]
		}
		return strings.Join(l, "\n")
	}
	return tail(p.lines) + "\n-- stderr --\n" + tail(p.talk)
}

// stop sends a signal and waits for the end.
func (p *proc) stop(sig os.Signal) {
	_ = p.cmd.Process.Signal(sig) // it may have ended already
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Errorf("%s does not stop", p.name)
	}
}

// wait waits until the program has printed a line that holds text.
func (p *proc) wait(text string) {
	p.t.Helper()
	p.until("prints "+strconv.Quote(text), func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, l := range append(p.lines, p.talk...) {
			if strings.Contains(l, text) {
				return true
			}
		}
		return false
	})
}

func (p *proc) until(what string, cond func() bool) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for !cond() {
		select {
		case <-p.done:
			if !cond() {
				p.t.Fatalf("%s ended before it %s:\n%s", p.name, what, p.everything())
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s: not within %v: %s\n%s", p.name, patience, what, p.everything())
		}
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	if !within(patience, cond) {
		t.Fatalf("not within %v: %s", patience, what)
	}
}

// within waits for a condition and reports whether it came true.
func within(limit time.Duration, cond func() bool) bool {
	deadline := time.Now().Add(limit)
	for !cond() {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
	return true
}

// exitStatus is the exit code of a program that ended badly, -1 where it did
// not end by itself.
func exitStatus(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

// freePort is a TCP port that nobody listens on. It lies below the range from
// which the kernel hands out ports, so that no test's ":0" takes it meanwhile.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 10000 + rand.IntN(22000)
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// waitPort waits until somebody listens.
func waitPort(t *testing.T, port int) {
	t.Helper()
	eventually(t, "somebody listens on port "+strconv.Itoa(port), func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
