package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// upLimit is how long a child may take until its broker answers, and to end.
const upLimit = 20 * time.Second

// Child is a process that is measured. It ends with Stop, and by the kernel's
// hand with this process.
type Child struct {
	Began time.Time
	cmd   *exec.Cmd
	done  chan struct{}
	talk  tail
}

// startChild runs a program without input; what it says is kept for errors.
func startChild(name string, args ...string) (*Child, error) {
	c := &Child{cmd: exec.Command(name, args...), done: make(chan struct{})}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.cmd.Stdout, c.cmd.Stderr = &c.talk, &c.talk
	c.Began = time.Now()
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(name), err)
	}
	go func() {
		_ = c.cmd.Wait() // how it ended shows in what it said
		close(c.done)
	}()
	return c, nil
}

// startSelf runs this program with other arguments.
func startSelf(args ...string) (*Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return startChild(self, args...)
}

// PID is the number of the process.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Stop asks the process to end, and after a while makes it.
func (c *Child) Stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // gone already: fine
	select {
	case <-c.done:
	case <-time.After(upLimit):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

// ready waits until address accepts connections.
func (c *Child) ready(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, upLimit)
	defer cancel()
	for {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			return conn.Close()
		}
		if err := c.wait(ctx, 2*time.Millisecond); err != nil {
			return fmt.Errorf("wait for %s: %w", address, err)
		}
	}
}

// wait lets some time go by; it is an error if the child ends meanwhile.
func (c *Child) wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c.done:
		return c.ended()
	case <-ctx.Done():
		return fmt.Errorf("%w; %s", ctx.Err(), c.talk.String())
	}
}

func (c *Child) ended() error {
	return fmt.Errorf("%s ended (%v): %s", filepath.Base(c.cmd.Path), c.cmd.ProcessState, c.talk.String())
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 4096

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}

// freeAddress is a loopback address that nobody listens on at the moment.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// rig is a temporary directory and the children that use it.
type rig struct {
	dir      string
	children []*Child
}

// newRig makes a directory under dir, or where temporary files go.
func newRig(dir string) (*rig, error) {
	tmp, err := os.MkdirTemp(dir, "fieldgate-bench-*")
	if err != nil {
		return nil, err
	}
	return &rig{dir: tmp}, nil
}

func (r *rig) file(name, text string) (string, error) {
	path := filepath.Join(r.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// add keeps a child until the end of the rig.
func (r *rig) add(c *Child, err error) (*Child, error) {
	if err == nil {
		r.children = append(r.children, c)
	}
	return c, err
}

// stop ends a child before the others.
func (r *rig) stop(c *Child) {
	c.Stop()
	for i := range r.children {
		if r.children[i] == c {
			r.children = append(r.children[:i], r.children[i+1:]...)
			return
		}
	}
}

// close ends all children and removes the directory.
func (r *rig) close() error {
	for _, c := range r.children {
		c.Stop()
	}
	r.children = nil
	return errors.Join(os.RemoveAll(r.dir))
}

// runGateway starts `fieldgate run` with a configuration.
func (r *rig) runGateway(name, config string) (*Child, error) {
	path, err := r.file(name+".toml", config)
	if err != nil {
		return nil, err
	}
	return r.add(startSelf("run", "--quiet", "--no-input", "-c", path, "--socket", filepath.Join(r.dir, name+".sock")))
}
