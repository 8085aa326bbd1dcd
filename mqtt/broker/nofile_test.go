package broker

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

func TestFitClients(t *testing.T) {
	for _, c := range []struct{ want, files, fits int }{
		{100, 0, 100}, {100, 1024, 100}, {10_000, 1024, 1024 - reservedFiles}, {100, 200, 100}, {1000, 200, 100}, {5, 1, 1}, {896, 1024, 896}, {897, 1024, 896},
	} {
		if got := fitClients(c.want, c.files); got != c.fits {
			t.Errorf("%d clients, %d files: %d, want %d", c.want, c.files, got, c.fits)
		}
	}
}

// few runs a test once more in a process of its own that may have so few files open.
func few(t *testing.T, soft, hard uint64) (child bool) {
	t.Helper()
	const key = "FIELDGATE_TEST_FILES"
	if os.Getenv(key) != "" {
		return true
	}
	cmd := exec.Command("prlimit", fmt.Sprintf("--nofile=%d:%d", soft, hard), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), key+"=1", "GORACE=atexit_sleep_ms=50") // its own goroutines have ended: TestMain sees to that
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("in a process with %d files: %v\n%s", hard, err, out)
	}
	return false
}

// The soft limit is raised to the hard one, at the start and at a reload; what
// max_clients asks for beyond it is not promised, and that is said.
func TestOpenFiles(t *testing.T) {
	if !few(t, 64, 300) {
		return
	}
	soft := func() uint64 {
		var l unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
			t.Fatal(err)
		}
		return l.Cur
	}
	cfg := Config{MaxClients: 5000, Listener: []Listener{{Name: "l", Bind: "127.0.0.1:0", AllowAnonymous: true, MaxConnects: 10_000}}}
	s := start(t, cfg, nil)
	if n := soft(); n != 300 {
		t.Errorf("the soft limit is %d", n)
	}
	if got := s.set.Load().maxClients; got != 300-reservedFiles || !s.log.has("max_clients is more than the process may have open") {
		t.Errorf("%d clients in force", got)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 100, Max: 300}); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if n := soft(); n != 300 {
		t.Errorf("the soft limit is %d after the reload", n)
	}
	cfg.MaxClients = 20
	if err := s.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if got := s.set.Load().maxClients; got != 20 {
		t.Errorf("%d clients in force, want 20", got)
	}
}

// Class 7: rights that fail open (CVE-2018-12550, CVE-2018-12551,
// CVE-2017-7652, CVE-2018-20145): a file that is wrong, empty, gone or cannot
// be opened for want of descriptors leaves the old rights in force.
func TestAttack07RightsFailClosed(t *testing.T) {
	if !few(t, 300, 300) {
		return
	}
	cfg := Config{Listener: []Listener{{Name: "l", Bind: "127.0.0.1:0"}}, Auth: Auth{UsersFile: usersFile(t)}, ACL: []ACL{{User: "*", Allow: []string{"read a"}}}}
	s := start(t, cfg, nil)
	c := s.connect(mqtt.V5, "c", login("six", "secret"))
	holds := func(why string) {
		t.Helper()
		if a := c.subscribe(sub("a", 0), sub("b", 0)); a[0] != mqtt.Success || a[1] != mqtt.NotAuthorized {
			t.Errorf("%s: SUBACK %v", why, a)
		}
	}
	refused := func(why string, next Config) {
		t.Helper()
		if err := s.Reload(next); err == nil {
			t.Errorf("%s: the configuration is taken", why)
		}
		holds(why)
	}
	holds("at first")
	wrong := cfg
	for _, rules := range [][]ACL{{{User: "*", Allow: []string{"readwrite"}}}, {{User: "*", Allow: []string{"# readwrite"}}}, {{User: "", Allow: []string{"read #"}}}, {{User: "*", Allow: []string{"read a/%u%c"}}}} {
		wrong.ACL = rules
		refused(fmt.Sprint(rules), wrong)
	}
	gone := cfg
	gone.Auth.UsersFile = filepath.Join(t.TempDir(), "gone")
	refused("users file gone", gone)
	// No rules inside a section allow nothing; no users let nobody in.
	none := cfg
	none.ACL = []ACL{{User: "*"}}
	if err := s.Reload(none); err != nil {
		t.Fatal(err)
	}
	if a := c.subscribe(sub("a", 0)); a[0] != mqtt.NotAuthorized {
		t.Errorf("empty rules: SUBACK %v", a)
	}
	if err := s.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	// Not one descriptor is left.
	var taken []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		taken = append(taken, f)
	}
	refused("no descriptors", cfg)
	for _, f := range taken {
		f.Close()
	}
	empty := cfg
	empty.Auth.UsersFile = filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty.Auth.UsersFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(empty); err != nil {
		t.Fatal(err)
	}
	c.ends(mqtt.NotAuthorized)
	for _, o := range []func(*packet.Connect){login("six", "secret"), login("six", ""), func(*packet.Connect) {}} {
		if a := s.dial().connect(mqtt.V5, "c", o); a.Reason == mqtt.Success {
			t.Error("somebody is let in by an empty users file")
		}
	}
}

// More connections than descriptors: those beyond wait or are refused, the rest goes on.
func TestOutOfDescriptors(t *testing.T) {
	if !few(t, 300, 300) {
		return
	}
	s := start(t, Config{Listener: []Listener{{Name: "l", Bind: "127.0.0.1:0", AllowAnonymous: true, MaxConnects: 10_000}}}, nil)
	c := s.connect(mqtt.V5, "c")
	c.subscribe(sub("t", 1))
	spare := s.dial()
	waitFor(t, "the broker has taken the spare connection in", func() bool { return s.stats.sockets.Load() == 2 })
	var taken []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		taken = append(taken, f)
	}
	// One end of a connection fits, the broker's does not.
	taken[0].Close()
	p := s.dial()
	waitFor(t, "a word about it", func() bool { return s.log.has("too many open files") })
	spare.connect(mqtt.V5, "spare")
	spare.send(pub("t", "x", 0, 0))
	c.receive()
	for _, f := range taken[1:] {
		f.Close()
	}
	if a := p.connect(mqtt.V5, "late"); a.Reason != mqtt.Success {
		t.Errorf("CONNACK %v", a.Reason)
	}
	if strings.Count(s.log.text.String(), "too many open files") > 100 {
		t.Error("said too often")
	}
}
