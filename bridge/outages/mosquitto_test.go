package outages

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"fieldgate/mqtt"
	"fieldgate/scripts/peertest"
)

// upstream is a broker at a site.
type upstream interface {
	start()
	kill()
	port() int  // for the gateway
	aside() int // for the test, without TLS
	version() mqtt.Version
	lasting() bool // what it has acknowledged survives kill
}

// mosquitto is Debian's, with nothing on disk.
type mosquitto struct {
	s     *site
	bin   string
	dir   string
	lines []string
	cmd   *exec.Cmd
}

const (
	mosquittoPort = 1883 // for the gateway
	asidePort     = 1882 // for the test, without TLS
)

func newMosquitto(s *site, lines ...string) *mosquitto {
	s.t.Helper()
	m := &mosquitto{s: s, bin: peertest.Need(s.t, "mosquitto"), dir: s.t.TempDir(), lines: lines}
	s.t.Cleanup(func() {
		m.kill()
		if s.t.Failed() {
			text, _ := os.ReadFile(filepath.Join(m.dir, "log")) // nothing said: fine
			s.t.Logf("mosquitto said:\n%.800s", text)
		}
	})
	m.start()
	return m
}

func (m *mosquitto) port() int             { return mosquittoPort }
func (m *mosquitto) aside() int            { return asidePort }
func (m *mosquitto) version() mqtt.Version { return mqtt.V5 }
func (m *mosquitto) lasting() bool         { return false }

// start starts it and waits until it listens.
func (m *mosquitto) start() {
	m.s.t.Helper()
	conf := append([]string{"user root", "log_type error", "persistence false", "max_queued_messages 0", "max_inflight_messages 0", "allow_anonymous true",
		"listener 1882 0.0.0.0", "listener 1883 0.0.0.0"}, m.lines...)
	file := filepath.Join(m.dir, "mosquitto.conf")
	must(m.s.t, os.WriteFile(file, []byte(strings.Join(conf, "\n")+"\n"), 0o600))
	m.cmd = m.s.space.Command(m.bin, "-c", file)
	log, err := os.OpenFile(filepath.Join(m.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(m.s.t, err)
	defer log.Close()
	m.cmd.Stderr = log
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(m.s.t, m.cmd.Start())
	until(m.s.t, "mosquitto listens", func() bool {
		c, err := net.DialTimeout("tcp", host(m.s.aside.Far(), asidePort), time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (m *mosquitto) kill() {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait()
	m.cmd = nil
}
