package broker

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"fieldgate/mqtt"
)

// A certificate of our own making is the same after a restart and a reload, so
// that a client may pin it; a damaged one is made anew, and a folder that
// cannot be written to is no reason not to start.
func TestSelfSignedIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	cfg := Config{Listener: []Listener{{Name: "lan/1", Bind: "127.0.0.1:0", AllowAnonymous: true, TLS: &TLS{Auto: "self-signed"}}}}
	begin := func(dir string) (*server, *logged) {
		t.Helper()
		said := &logged{}
		b, err := New(cfg, Options{TLSDir: dir, Log: textLog(said)})
		if err != nil {
			t.Fatal(err)
		}
		return run(t, b, said), said
	}
	pinned := func() *tls.Config {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, "lan_2f1.crt"))
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(text)
		return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
	}
	s, _ := begin(dir)
	pin := pinned()
	dialTLS(t, s.addr(), pin).connect(mqtt.V311, "c")
	if err := s.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	dialTLS(t, s.addr(), pin).connect(mqtt.V311, "c")
	s.stop()
	s, _ = begin(dir)
	dialTLS(t, s.addr(), pin).connect(mqtt.V311, "c")
	s.stop()
	for _, name := range []string{"lan_2f1.crt", "lan_2f1.key"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil { // cut off by a power cut
			t.Fatal(err)
		}
		s, _ = begin(dir)
		dialTLS(t, s.addr(), pinned()).connect(mqtt.V311, "c")
		s.stop()
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, said := begin(filepath.Join(file, "tls"))
	dialTLS(t, s.addr(), &tls.Config{InsecureSkipVerify: true}).connect(mqtt.V311, "c")
	if !said.has("cannot be kept") {
		t.Error("nothing is said of a certificate that cannot be kept")
	}
}
