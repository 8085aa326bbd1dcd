package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fieldgate/cmd/fieldgate/internal/proctest"
	"fieldgate/scripts/peertest"
)

// call runs a command to its end, as another user where uid is not 0.
func call(t *testing.T, uid uint32, args ...string) (code int, text string) {
	t.Helper()
	bin := fieldgateBinary(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "FIELDGATE_SOCKET=")
	if uid != 0 {
		if err := os.Chmod(filepath.Dir(bin), 0o755); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("fieldgate %v does not end:\n%s", args, out.String())
	}
	if err != nil {
		code = exitStatus(err)
	}
	return code, out.String()
}

// wants compares an exit code and looks for pieces of the sentence.
func wants(t *testing.T, what string, code, want int, text string, pieces ...string) {
	t.Helper()
	if code != want {
		t.Errorf("%s: exit code %d, want %d:\n%s", what, code, want, text)
	}
	for _, p := range pieces {
		if !strings.Contains(text, p) {
			t.Errorf("%s: %q is not in:\n%s", what, p, text)
		}
	}
	if strings.Contains(text, "goroutine ") || strings.Contains(text, "panic") {
		t.Errorf("%s: a crash:\n%s", what, text)
	}
}

// badConfig is a gateway on dir with an upstream that is not there.
func badConfig(t *testing.T, dir string, port int) string {
	t.Helper()
	return writeFile(t, filepath.Join(t.TempDir(), "gateway.toml"), fmt.Sprintf(`
[gateway]
id = "gw"
[log]
format = "text"
[buffer]
dir = %q
min_free = "1MiB"
[web]
bind = ""
[[broker.listener]]
name = "local"
bind = "127.0.0.1:%d"
allow_anonymous = true
[[upstream]]
name = "cloud"
url = "mqtt://127.0.0.1:9"
[[upstream.route]]
from = "#"
`, dir, port))
}

// TestForbiddenFolders: a user who may not write the queue, or not read the
// configuration, is told what to do.
func TestForbiddenFolders(t *testing.T) {
	dir := t.TempDir()
	file := badConfig(t, dir, freePort(t))
	uid := uint32(0)
	if os.Geteuid() == 0 {
		uid = 65534 // root may everything
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // of all temporary folders of this test
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	code, text := call(t, uid, "run", "-c", file)
	wants(t, "a queue that may not be written", code, exitPermission, text, dir, "permission denied", "sudo install -d -m 0700")
	if err := os.Chmod(file, 0); err != nil {
		t.Fatal(err)
	}
	code, text = call(t, uid, "run", "-c", file)
	wants(t, "a configuration that may not be read", code, exitConfig, text, "may not read it", "chgrp")
	code, text = call(t, uid, "check", file)
	wants(t, "check of it", code, exitProblems, text, "may not read it")
}

// TestFullDisk: a gateway without any room says so and ends; one that is killed
// on a full disk starts again with the room that was kept back; and when there
// is room again it goes on by itself. What was acknowledged is there.
func TestFullDisk(t *testing.T) {
	disk := proctest.SmallDisk(t, "24m")
	dir, full := filepath.Join(disk, "state"), filepath.Join(disk, "fill")
	port := freePort(t)
	file := badConfig(t, dir, port)
	broker := fmt.Sprintf("mqtt://127.0.0.1:%d", port)
	acknowledged := 0
	pub := func(payload string) (int, string) {
		code, text := call(t, 0, "pub", "line/1", payload, "--qos", "1", "-b", broker, "--timeout", "10s")
		if code == 0 {
			acknowledged++
		}
		return code, text
	}

	proctest.Fill(t, full)
	code, text := call(t, 0, "run", "-c", file)
	wants(t, "a first start without room", code, exitProblems, text, "is full", "free some space")
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}

	g := start(t, fieldgateBinary(t), "run", "-c", file)
	waitPort(t, port)
	eventually(t, "the ballast is laid down", func() bool { _, err := os.Stat(filepath.Join(dir, "ballast")); return err == nil })
	if code, text := pub("before"); code != 0 {
		t.Fatalf("publish: %d %s", code, text)
	}
	// It holds still meanwhile: what it gives up on a full disk is not ours.
	if err := g.Cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	proctest.Fill(t, full)
	g.stop(syscall.SIGKILL)

	g = start(t, fieldgateBinary(t), "run", "-c", file)
	waitPort(t, port)
	if code, text := pub("during"); code != 0 && code != exitNetwork {
		t.Errorf("publish on a full disk: %d %s", code, text)
	}
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	eventually(t, "messages are taken again", func() bool { code, _ := pub("after"); return code == 0 })
	code, text = call(t, 0, "queue", "export", "cloud", "-c", file)
	if n := strings.Count(text, `"topic":"line/1"`); code != 0 || n < acknowledged {
		t.Errorf("%d messages wait, %d were acknowledged (%d):\n%s", n, acknowledged, code, text)
	}
	code, text = call(t, 0, "queue", "verify", "-c", file)
	wants(t, "verify", code, 0, text, "database: ok")
	g.stop(syscall.SIGINT)
}

// TestWrongLoginAtMosquitto: what a broker of another maker says becomes the
// same sentence.
func TestWrongLoginAtMosquitto(t *testing.T) {
	mosquitto, passwd := peertest.Need(t, "mosquitto"), peertest.Need(t, "mosquitto_passwd")
	dir := t.TempDir()
	users := writeFile(t, filepath.Join(dir, "users"), "alice:secret\n")
	if out, err := exec.Command(passwd, "-U", users).CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_passwd: %v %s", err, out)
	}
	port := freePort(t)
	conf := fmt.Sprintf("listener %d 127.0.0.1\npassword_file %s\nallow_anonymous false\npersistence false\n", port, users)
	if os.Geteuid() == 0 {
		conf += "user root\n"
	}
	start(t, mosquitto, "-c", writeFile(t, filepath.Join(dir, "mosquitto.conf"), conf))
	waitPort(t, port)

	file := upstreamFile(t, fmt.Sprintf("mqtt://127.0.0.1:%d", port), `username = "alice"`, `password = "wrong"`)
	code, text := call(t, 0, "upstream", "test", "cloud", "-c", file)
	wants(t, "wrong password", code, exitNetwork, text, `wrong user name or password for "alice"`, "next: check username and password")
	file = upstreamFile(t, fmt.Sprintf("mqtts://127.0.0.1:%d", port))
	code, text = call(t, 0, "upstream", "test", "cloud", "-c", file)
	wants(t, "TLS against a plain port", code, exitNetwork, text, "FAIL  tls", "next: the port may not speak TLS")
	file = upstreamFile(t, fmt.Sprintf("ws://127.0.0.1:%d/mqtt", port))
	code, text = call(t, 0, "upstream", "test", "cloud", "-c", file)
	wants(t, "WebSocket against a plain port", code, exitNetwork, text, "FAIL", "next: ")
	file = upstreamFile(t, fmt.Sprintf("mqtt://127.0.0.1:%d", port), `username = "alice"`, `password = "secret"`)
	code, text = call(t, 0, "upstream", "test", "cloud", "-c", file)
	wants(t, "right password", code, 0, text, "ok    publish")
}

func upstreamFile(t *testing.T, url string, lines ...string) string {
	t.Helper()
	return writeFile(t, filepath.Join(t.TempDir(), "gateway.toml"),
		fmt.Sprintf("[buffer]\ndir = %q\n[[upstream]]\nname = \"cloud\"\nurl = %q\n%s\n", t.TempDir(), url, strings.Join(lines, "\n")))
}

// TestBadCertificates: expired, not yet valid, of another name.
func TestBadCertificates(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name        string
		from, until time.Time
		host        string
		want, next  string
	}{
		{"expired", now.AddDate(-1, 0, 0), now.AddDate(0, 0, -3), "127.0.0.1", "certificate expired 3 d ago", "must renew it"},
		{"not yet valid", now.AddDate(1, 0, 0), now.AddDate(2, 0, 0), "127.0.0.1", "valid only in", "clock"},
		{"of another", now.AddDate(0, -1, 0), now.AddDate(1, 0, 0), "192.0.2.7", "the certificate is for", "server_name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cert, ca := certificate(t, c.host, c.from, c.until)
			l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			go handshakes(l)
			file := upstreamFile(t, "mqtts://"+l.Addr().String(), fmt.Sprintf("tls = { ca_file = %q }", ca))
			code, text := call(t, 0, "upstream", "test", "cloud", "-c", file)
			wants(t, c.name, code, exitNetwork, text, "FAIL  tls", c.want, "next: ", c.next)
		})
	}
}

// handshakes accepts until the listener is closed.
func handshakes(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_ = c.(*tls.Conn).Handshake() // it fails: that is the test
		c.Close()
	}
}

// certificate makes a certificate that signs itself, and its file.
func certificate(t *testing.T, host string, from, until time.Time) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, NotBefore: from, NotAfter: until,
		IPAddresses: []net.IP{net.ParseIP(host)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, writeFile(t, filepath.Join(t.TempDir(), "ca.pem"), string(text))
}
