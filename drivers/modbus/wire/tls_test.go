package wire_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldgate/drivers/modbus/server"
	"fieldgate/drivers/modbus/wire"
)

// authority signs certificates for tests.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	a.file, _, a.key = a.issue(t, "ca", a.cert)
	return a
}

// issue writes a certificate and its key, signed by the authority, or by itself.
func (a *authority) issue(t *testing.T, name string, c *x509.Certificate) (certFile, keyFile string, key *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer := a.key
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(file, kind string, b []byte) string {
		path := filepath.Join(a.dir, file)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write(name+".pem", "CERTIFICATE", der), write(name+".key", "PRIVATE KEY", private), key
}

// leaf is a certificate for the device at 127.0.0.1, or for a client.
func (a *authority) leaf(t *testing.T, name string, until time.Time) (certFile, keyFile string) {
	t.Helper()
	certFile, keyFile, _ = a.issue(t, name, &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}})
	return certFile, keyFile
}

// serveTLS runs a device behind TLS; clients is the authority it asks
// certificates of, nil: none.
func serveTLS(t *testing.T, s *server.Server, certFile, keyFile string, clients *authority) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if clients != nil {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		pem, err := os.ReadFile(clients.file)
		if err != nil {
			t.Fatal(err)
		}
		config.ClientCAs.AppendCertsFromPEM(pem)
	}
	ln := listen(t)
	run(t, func(ctx context.Context) error { return s.ServeTCP(ctx, tls.NewListener(ln, config)) })
	return ln.Addr().String()
}

func tlsLine(t *testing.T, addr string, c wire.TLS) *wire.Line {
	return newLine(t, wire.Config{Name: "safe", Kind: wire.TCP, Address: addr, TLS: &c, Timeout: patience, ConnectTimeout: patience,
		ReconnectMin: 5 * time.Millisecond, ReconnectMax: 20 * time.Millisecond})
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, key := ca.leaf(t, "plc.example", time.Now().Add(time.Hour))
	mine, mineKey := ca.leaf(t, "gateway", time.Now().Add(time.Hour))
	for name, clients := range map[string]*authority{"without client certificate": nil, "with client certificate": ca} {
		t.Run(name, func(t *testing.T) {
			s := oneMeter()
			s.Fault = nth(server.Fault{Hangup: true}, 2, 4) // and the connection is made again
			l := tlsLine(t, serveTLS(t, s, cert, key, clients), wire.TLS{CAFile: ca.file, CertFile: mine, KeyFile: mineKey, ServerName: "plc.example"})
			for n := range uint16(6) {
				eventually(t, l, n, 2)
			}
		})
	}
}

// TestTLSLateAnswer: the time-out of a read does not cost the connection.
func TestTLSLateAnswer(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, key := ca.leaf(t, "plc.example", time.Now().Add(time.Hour))
	s := oneMeter()
	s.Fault = nth(server.Fault{Delay: 1500 * time.Millisecond}, 2) // far behind the time-out, however slow the machine is
	l := tlsLine(t, serveTLS(t, s, cert, key, nil), wire.TLS{CAFile: ca.file})
	mustRead(t, l, 0, 1)
	if _, err := do(t, l, short(read(1, 1))); !errors.Is(err, wire.ErrTimeout) {
		t.Errorf("got %v", err)
	}
	mustRead(t, l, 2, 1)
	if st := l.Stats(); st.Late != 1 || st.Reconnects != 0 {
		t.Errorf("late %d, reconnects %d", st.Late, st.Reconnects)
	}
}

// TestTLSCancel: a caller who gives up leaves a line that works.
func TestTLSCancel(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, key := ca.leaf(t, "plc.example", time.Now().Add(time.Hour))
	s := oneMeter()
	s.Fault = nth(server.Fault{Drop: true}, 2)
	l := tlsLine(t, serveTLS(t, s, cert, key, nil), wire.TLS{CAFile: ca.file})
	mustRead(t, l, 0, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	sent := l.Stats().BytesOut
	done := make(chan error, 1)
	go func() { _, err := l.Do(ctx, read(1, 1)); done <- err }()
	waitFor(t, "the request to be sent", func() bool { return l.Stats().BytesOut > sent })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	eventually(t, l, 2, 1)
}

func TestTLSRefusals(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	soon := time.Now().Add(time.Hour)
	cert, key := ca.leaf(t, "plc.example", soon)
	old, oldKey := ca.leaf(t, "old.example", time.Now().Add(-time.Hour))
	strange, strangeKey := other.leaf(t, "gateway", soon)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good := serveTLS(t, oneMeter(), cert, key, nil)
	expired := serveTLS(t, oneMeter(), old, oldKey, nil)
	asking := serveTLS(t, oneMeter(), cert, key, ca)
	plain := listen(t)
	run(t, func(ctx context.Context) error {
		defer context.AfterFunc(ctx, func() { plain.Close() })()
		for {
			c, err := plain.Accept()
			if err != nil {
				return nil
			}
			c.Write([]byte("SSH-2.0-OpenSSH_9.2\r\n"))
			c.Close()
		}
	})
	cases := []struct {
		name, addr string
		tls        wire.TLS
		want       string
	}{
		{"wrong name", good, wire.TLS{CAFile: ca.file, ServerName: "pump.example"}, "server_name must be a name"},
		{"unknown authority", good, wire.TLS{CAFile: other.file}, "ca_file must hold the authority"},
		{"expired", expired, wire.TLS{CAFile: ca.file}, "renew the device's certificate"},
		{"no client certificate", asking, wire.TLS{CAFile: ca.file}, "client certificate"},
		{"client certificate of another authority", asking, wire.TLS{CAFile: ca.file, CertFile: strange, KeyFile: strangeKey}, "client certificate"},
		{"not TLS", plain.Addr().String(), wire.TLS{CAFile: ca.file}, "is this a TLS port?"},
		{"no such file", good, wire.TLS{CAFile: filepath.Join(ca.dir, "none.pem")}, "ca_file"},
		{"empty file", good, wire.TLS{CAFile: empty}, "holds no certificate"},
		{"key of another", good, wire.TLS{CAFile: ca.file, CertFile: cert, KeyFile: oldKey}, "cert_file and key_file"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l := tlsLine(t, c.addr, c.tls)
			_, err := do(t, l, read(0, 1))
			if !errors.Is(err, wire.ErrGone) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if l.Stats().OK != 0 {
				t.Error("an answer counted")
			}
		})
	}
}

func TestTLSDefaultPort(t *testing.T) {
	if got := (wire.Config{Kind: wire.TCP, Address: "plc", TLS: &wire.TLS{}}).Target(); got != "plc:802" {
		t.Errorf("got %s", got)
	}
}
