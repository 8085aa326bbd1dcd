package main

import (
	"os"
	"testing"
	"time"

	"fieldgate/cmd/fieldgate/internal/proctest"
	"fieldgate/scripts/peertest"
)

// patience is how long a condition may take to come true on a loaded machine.
const patience = proctest.Patience

// proc is a program under test or a peer.
type proc struct{ *proctest.Proc }

func (p *proc) run(env []string)                    { p.Run(env) }
func (p *proc) out() []string                       { return p.Out() }
func (p *proc) everything() string                  { return p.Everything() }
func (p *proc) stop(sig os.Signal)                  { p.Stop(sig) }
func (p *proc) wait(text string)                    { p.Wait(text) }
func (p *proc) until(what string, cond func() bool) { p.Until(what, cond) }

func start(t *testing.T, name string, args ...string) *proc {
	t.Helper()
	return &proc{proctest.Start(t, name, args...)}
}

func newProc(t *testing.T, name string, args ...string) *proc {
	return &proc{proctest.New(t, name, args...)}
}

func fieldgateBinary(t *testing.T) string { t.Helper(); return proctest.Binary(t) }

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	proctest.Eventually(t, what, cond)
}

func within(limit time.Duration, cond func() bool) bool { return proctest.Within(limit, cond) }

func exitStatus(err error) int { return proctest.ExitStatus(err) }

func freePort(t *testing.T) int { t.Helper(); return peertest.FreePort(t) }

func waitPort(t *testing.T, port int) { t.Helper(); proctest.WaitPort(t, port) }

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	return proctest.WriteFile(t, path, text)
}
