// Package proctest runs programs for tests: the product as it is shipped, and
// its peers. What they print is kept, and nothing outlives its test.
package proctest

import (
	"bufio"
	"errors"
	"io"
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

// Patience is how long a condition may take to come true on a loaded machine.
const Patience = 60 * time.Second

// shipped is the product, built as it is shipped; built once per test run.
var shipped = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fieldgate-test")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "fieldgate")
	built = path
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "fieldgate/cmd/fieldgate")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", &exec.Error{Name: string(out), Err: err}
	}
	return path, nil
})

// built is where shipped built it, for Clean.
var built string

// Binary is the path of the product.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := shipped()
	if err != nil {
		t.Fatalf("build: %v", err)
	}
	return path
}

// Clean removes the product; for the end of TestMain.
func Clean() {
	if built != "" {
		os.RemoveAll(filepath.Dir(built))
	}
}

// Proc is a program under test or a peer; its lines are kept.
type Proc struct {
	Cmd *exec.Cmd

	t    testing.TB
	name string
	done chan struct{}

	mu    sync.Mutex
	lines []string // of stdout
	talk  []string // of stderr
}

// Start runs a program until the test ends.
func Start(t testing.TB, name string, args ...string) *Proc {
	t.Helper()
	p := New(t, name, args...)
	p.Run(nil)
	return p
}

// New is a program that Run starts.
func New(t testing.TB, name string, args ...string) *Proc {
	p := &Proc{t: t, name: filepath.Base(name), Cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.Cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return p
}

// Run starts it, with env beside the test's own environment.
func (p *Proc) Run(env []string) {
	p.t.Helper()
	p.Cmd.Env = append(os.Environ(), env...)
	stdout, err := p.Cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	stderr, err := p.Cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.Cmd.Start(); err != nil {
		p.t.Fatalf("start %s: %v", p.name, err)
	}
	var readers sync.WaitGroup
	readers.Go(func() { p.collect(stdout, &p.lines) })
	readers.Go(func() { p.collect(stderr, &p.talk) })
	go func() {
		readers.Wait()
		_ = p.Cmd.Wait() // a killed process has no good end
		close(p.done)
	}()
	p.t.Cleanup(func() { p.Stop(syscall.SIGKILL) })
}

func (p *Proc) collect(r io.Reader, to *[]string) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		p.mu.Lock()
		*to = append(*to, s.Text())
		p.mu.Unlock()
	}
}

// Out is what the program printed so far.
func (p *Proc) Out() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines...)
}

// Everything is the end of stdout and stderr, for messages of failing tests.
func (p *Proc) Everything() string {
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

// Signal sends a signal; a program that has ended already is no error.
func (p *Proc) Signal(sig os.Signal) { _ = p.Cmd.Process.Signal(sig) }

// Stop sends a signal and waits for the end.
func (p *Proc) Stop(sig os.Signal) {
	p.Signal(sig)
	select {
	case <-p.done:
	case <-time.After(Patience):
		p.t.Errorf("%s does not stop", p.name)
	}
}

// Ended reports whether it runs no more.
func (p *Proc) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Wait waits until the program has printed a line that holds text.
func (p *Proc) Wait(text string) {
	p.t.Helper()
	p.Until("prints "+strconv.Quote(text), func() bool {
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

// Until waits for a condition while the program runs.
func (p *Proc) Until(what string, cond func() bool) {
	p.t.Helper()
	deadline := time.Now().Add(Patience)
	for !cond() {
		select {
		case <-p.done:
			if !cond() {
				p.t.Fatalf("%s ended before it %s:\n%s", p.name, what, p.Everything())
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s: not within %v: %s\n%s", p.name, Patience, what, p.Everything())
		}
	}
}

// Eventually waits for a condition.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	if !Within(Patience, cond) {
		t.Fatalf("not within %v: %s", Patience, what)
	}
}

// Within waits for a condition and reports whether it came true.
func Within(limit time.Duration, cond func() bool) bool {
	deadline := time.Now().Add(limit)
	for !cond() {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
	return true
}

// ExitStatus is the exit code of a program that ended badly, -1 where it did
// not end by itself.
func ExitStatus(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

// WaitPort waits until somebody listens.
func WaitPort(t testing.TB, port int) {
	t.Helper()
	Eventually(t, "somebody listens on port "+strconv.Itoa(port), func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// WriteFile writes a file that only its owner reads, and returns its path.
func WriteFile(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
