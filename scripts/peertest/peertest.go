// Package peertest finds the programs of other makers that tests run against,
// and ports for them.
package peertest

import (
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Need returns the path of a program. Where it is missing the test is skipped
// on a developer's machine and fails where CI is set: there scripts/peers has
// to have installed it.
func Need(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range []string{"/usr/sbin", "/usr/bin"} { // Debian's own first: a PATH may hold another python3
		if _, err := os.Stat(dir + "/" + name); err == nil {
			return dir + "/" + name
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name)
	}
	return path
}

// NeedPython returns Debian's python3, after checking that it has a module.
func NeedPython(t testing.TB, module string) string {
	t.Helper()
	python := Need(t, "python3")
	if out, err := exec.Command(python, "-c", "import "+module).CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		missing(t, "python3 module "+module+" ("+lines[len(lines)-1]+")")
	}
	return python
}

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed; scripts/peers installs it", what)
	}
	t.Skipf("%s is not installed; scripts/peers installs it", what)
}

// FreePort is a TCP port of 127.0.0.1 for somebody who will listen there later.
// It lies below the range from which the kernel hands out ports, so that no
// connection and no listener on ":0" takes it meanwhile.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 10000 + rand.IntN(22000)
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port between 10000 and 32000")
	return 0
}

// NodeModules returns the folder of npm packages that scripts/peers made,
// after checking that it holds a package.
func NodeModules(t testing.TB, pkg string) string {
	t.Helper()
	dir := os.Getenv("FIELDGATE_PEERS")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(cache, "fieldgate-peers")
	}
	modules := filepath.Join(dir, "node_modules")
	if _, err := os.Stat(filepath.Join(modules, pkg)); err != nil {
		missing(t, "npm package "+pkg)
	}
	return modules
}
