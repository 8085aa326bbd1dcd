package conformance

import (
	"context"
	"encoding/base64"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt/broker"
	"fieldgate/scripts/peertest"
)

// ourBroker runs our broker on a real listener until the test ends. The limited
// one offers QoS 1 at most and retains nothing.
func ourBroker(t *testing.T, limited bool) (addr string) {
	t.Helper()
	return startOurs(t, broker.Listener{Name: "test"}, limited)
}

func startOurs(t *testing.T, l broker.Listener, limited bool) (addr string) {
	t.Helper()
	l.Bind, l.AllowAnonymous, l.MaxConnects = "127.0.0.1:0", true, 1_000_000
	cfg := broker.Config{
		Listener: []broker.Listener{l}, MaxClients: 5000, MaxSessions: 50_000,
		SysInterval: new(conf.Duration),
	}
	if limited {
		one, no := 1, false
		cfg.MaxQoS, cfg.Retain = &one, &no
	}
	b, err := broker.New(cfg, broker.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("broker: %v", err)
		}
	})
	return b.Addr("test").String()
}

// debian is set where mosquitto is the one that differences was written for.
var debian bool

// mosquitto runs a mosquitto until the test ends.
func mosquitto(t *testing.T, limited bool) (addr string) {
	t.Helper()
	program := peertest.Need(t, "mosquitto")
	said, _ := exec.Command(program, "-h").Output() // it exits with 3 and says its version first
	debian = strings.HasPrefix(string(said), "mosquitto version 2.0.11")
	port := strconv.Itoa(peertest.FreePort(t))
	addr = "127.0.0.1:" + port
	lines := []string{"listener " + port + " 127.0.0.1"}
	lines = append(lines, "user root", "allow_anonymous true", "persistence false", "set_tcp_nodelay true") // root: it would not find the password file as another
	if limited {
		lines = append(lines, "max_qos 1", "retain_available false")
	}
	// A password file with one user, so that others are refused.
	file := filepath.Join(t.TempDir(), "mosquitto.conf")
	users := filepath.Join(filepath.Dir(file), "users")
	hash := base64.StdEncoding.EncodeToString(make([]byte, 64))
	if err := os.WriteFile(users, []byte("somebody:$6$c2FsdHNhbHRzYWx0$"+hash+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	lines = append(lines, "password_file "+users)
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-c", file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for until := time.Now().Add(generous); ; time.Sleep(20 * time.Millisecond) {
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			nc.Close()
			return addr
		}
		if time.Now().After(until) {
			cmd.Process.Kill()
			cmd.Wait()
			t.Fatalf("mosquitto does not start: %v: %s", err, log.String())
		}
	}
}
