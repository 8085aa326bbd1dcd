// Package porttest gives tests serial lines made of pseudo-terminals: a plug
// that can be pulled, and a cable between two programs.
package porttest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"fieldgate/drivers/port/pty"
)

// New is a line whose device end the test holds; it is closed with the test.
func New(t testing.TB) *pty.PTY {
	t.Helper()
	p, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// Plug is a port behind a link, as /dev/serial/by-id has them.
type Plug struct {
	t    testing.TB
	path string
	cur  *pty.PTY
}

// NewPlug makes a link that leads to nothing yet.
func NewPlug(t testing.TB) *Plug {
	return &Plug{t: t, path: filepath.Join(t.TempDir(), "usb-Test_Adapter-if00-port0")}
}

// Path is the link.
func (p *Plug) Path() string { return p.path }

// In plugs an adapter in; every time it gets another device node.
func (p *Plug) In() *pty.PTY {
	p.t.Helper()
	p.cur = New(p.t)
	if err := os.Symlink(p.cur.Path(), p.path); err != nil {
		p.t.Fatal(err)
	}
	return p.cur
}

// Out unplugs it: the line hangs up and the link disappears.
func (p *Plug) Out() {
	p.t.Helper()
	if err := os.Remove(p.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.t.Fatal(err)
	}
	p.cur.Close()
}

// Cable joins two ports, so that a program on one path talks to a program on
// the other.
func Cable(t testing.TB) (pathA, pathB string) {
	t.Helper()
	a, b := New(t), New(t)
	var wg sync.WaitGroup
	wg.Go(func() { relay(a, b) })
	wg.Go(func() { relay(b, a) })
	// Runs before the two Cleanups of New: those may close again.
	t.Cleanup(func() { a.Close(); b.Close(); wg.Wait() })
	return a.Path(), b.Path()
}

func relay(to, from *pty.PTY) {
	buf := make([]byte, 512)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}
