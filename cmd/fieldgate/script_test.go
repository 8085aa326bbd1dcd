package main

import (
	"os"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"fieldgate/cmd/fieldgate/internal/proctest"
)

func TestMain(m *testing.M) {
	testscript.Main(tidy{m}, map[string]func(){"fieldgate": main})
}

// tidy removes the binary that the tests built.
type tidy struct{ m *testing.M }

func (t tidy) Run() int {
	code := t.m.Run()
	proctest.Clean()
	return code
}

// TestScripts runs the commands as a person would; each file of
// testdata/script is one story.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{"MQTT", "WEB", "SIM"} {
				env.Setenv(name, strconv.Itoa(freePort(t)))
			}
			env.Setenv("FIELDGATE_SOCKET", env.WorkDir+"/state/control.sock")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"waitfile": waitFile,
		},
	})
}

// exits runs a fieldgate command and wants its exit code: exits 78 run -c FILE.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE ARGS…")
	}
	err := ts.Exec("fieldgate", args[1:]...)
	code := 0
	if err != nil {
		code = exitStatus(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("fieldgate %v: exit code %d, want %s (%v)", args[1:], code, args[0], err)
	}
}

// waitFile waits until a file is there.
func waitFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitfile FILE")
	}
	path := ts.MkAbs(args[0])
	if !within(patience, func() bool { _, err := os.Stat(path); return err == nil }) {
		ts.Fatalf("%s does not appear", args[0])
	}
}
