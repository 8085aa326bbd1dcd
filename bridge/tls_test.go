package bridge

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority is a CA that lives as long as a test.
type authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().AddDate(-10, 0, 0), NotAfter: time.Now().AddDate(20, 0, 0), KeyUsage: x509.KeyUsageCertSign}
	a.cert, a.key, a.file, _ = a.issue("ca", tmpl, nil)
	return a
}

// issue signs a certificate and writes it and its key.
func (a *authority) issue(name string, tmpl, parent *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, string, string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	signer := a.key
	if parent == nil {
		parent, signer = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	write := func(file, kind string, b []byte) string {
		path := filepath.Join(a.dir, file)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			a.t.Fatal(err)
		}
		return path
	}
	return cert, key, write(name+".crt", "CERTIFICATE", der), write(name+".key", "PRIVATE KEY", keyDER)
}

// server is a certificate for a broker on the loopback.
func (a *authority) server(name string, from, to time.Time) (cert, key string) {
	_, _, cert, key = a.issue(name, &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "mqtt.example.com"},
		DNSNames: []string{"mqtt.example.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: from, NotAfter: to,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, a.cert)
	return cert, key
}

func (a *authority) client(name string) (cert, key string) {
	_, _, cert, key = a.issue(name, &x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, a.cert)
	return cert, key
}

// tlsCase is one upstream with TLS and what a gateway says about it.
type tlsCase struct {
	name   string
	lines  []string // of mosquitto
	tls    TLS
	change func(*Options)
	want   string // in reason and hint; empty: online
}

func TestTLS(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	now := time.Now()
	cert, key := ca.server("good", now.Add(-time.Hour), now.Add(time.Hour))
	oldCert, oldKey := ca.server("old", now.AddDate(-1, 0, 0), now.AddDate(0, 0, -3))
	newCert, newKey := ca.server("new", now.AddDate(1, 0, 0), now.AddDate(2, 0, 0))
	clientCert, clientKey := ca.client("plant7")
	good := []string{"allow_anonymous true", "certfile " + cert, "keyfile " + key}
	mutual := append(append([]string(nil), good...), "cafile "+ca.file, "require_certificate true")
	future := []string{"allow_anonymous true", "certfile " + newCert, "keyfile " + newKey}
	for _, c := range []tlsCase{
		{name: "trusted", lines: good, tls: TLS{CAFile: ca.file}},
		{name: "server name", lines: good, tls: TLS{CAFile: ca.file, ServerName: "mqtt.example.com"}},
		{name: "client certificate", lines: mutual, tls: TLS{CAFile: ca.file, CertFile: clientCert, KeyFile: clientKey}},
		{name: "insecure", lines: good, tls: TLS{Insecure: true}},
		{name: "unknown authority", lines: good, want: "not trusted here put the upstream's CA certificate in tls.ca_file"},
		{name: "other authority", lines: good, tls: TLS{CAFile: other.file}, want: "not trusted here tls.ca_file holds another CA"},
		{name: "other name", lines: good, tls: TLS{CAFile: ca.file, ServerName: "cloud.example.com"}, want: "is for mqtt.example.com, 127.0.0.1, not for cloud.example.com"},
		{name: "expired", lines: []string{"allow_anonymous true", "certfile " + oldCert, "keyfile " + oldKey}, tls: TLS{CAFile: ca.file}, want: "certificate expired 3 d ago (mqtt.example.com)"},
		{name: "not yet valid", lines: future, tls: TLS{CAFile: ca.file}, want: "valid only in 36"},
		{name: "a clock in the past, a program of later", lines: future, tls: TLS{CAFile: ca.file}, change: func(o *Options) { o.Build = now.AddDate(1, 1, 0) }},
		{name: "a clock in the past, a later time known", lines: future, tls: TLS{CAFile: ca.file}, change: func(o *Options) { o.Floor = func() time.Time { return now.AddDate(1, 1, 0) } }},
		{name: "no TLS there", lines: []string{"allow_anonymous true"}, tls: TLS{CAFile: ca.file}, want: "may not speak TLS"},
		{name: "no CA file", lines: good, tls: TLS{CAFile: filepath.Join(ca.dir, "none")}, want: "read tls.ca_file"},
		{name: "empty CA file", lines: good, tls: TLS{CAFile: key}, want: "holds no PEM certificate"},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t) })
	}
}

func (c tlsCase) run(t *testing.T) {
	m := newMosquitto(t, c.lines...)
	r := newRig(t, Config{URL: "mqtts://" + m.addr, TLS: c.tls}, func(o *Options) {
		if c.change != nil {
			c.change(o)
		}
	})
	r.run()
	if c.want == "" {
		r.online()
		r.publish(value(1))
		r.drained()
		return
	}
	until(t, "a reason", func() bool { return r.Stats().State == StateWaiting })
	if s := r.Stats(); !strings.Contains(s.Reason+" "+s.Hint, c.want) {
		t.Errorf("reason %q, hint %q; want %q", s.Reason, s.Hint, c.want)
	}
}

// A client certificate that the upstream asks for and does not get: with TLS
// 1.3 the refusal comes after our handshake is done.
func TestTLSWithoutClientCertificate(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.server("good", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	m := newMosquitto(t, "allow_anonymous true", "certfile "+cert, "keyfile "+key, "cafile "+ca.file, "require_certificate true")
	r := newRig(t, Config{URL: "mqtts://" + m.addr, TLS: TLS{CAFile: ca.file}})
	r.run()
	until(t, "a reason", func() bool { return r.Stats().State == StateWaiting })
	if s := r.Stats(); !strings.Contains(s.Hint, "want") || !strings.Contains(s.Hint, "a client certificate") || !strings.Contains(s.Hint, "tls.cert_file and tls.key_file") {
		t.Errorf("reason %q, hint %q", s.Reason, s.Hint)
	}
}

func TestProbeTLS(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.server("good", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	m := newMosquitto(t, "allow_anonymous true", "certfile "+cert, "keyfile "+key)
	_, port, _ := net.SplitHostPort(m.addr)
	steps := Test(t.Context(), Config{URLs: []string{"mqtt://127.0.0.1:1", "mqtts://localhost:" + port}, TLS: TLS{CAFile: ca.file, ServerName: "mqtt.example.com"}}, TestOptions{Gateway: "gw"})
	var text []string
	for _, s := range steps {
		text = append(text, s.Name+": "+s.Text+" ("+s.Hint+")")
	}
	all := strings.Join(text, "\n")
	for _, want := range []string{"address: mqtt://127.0.0.1:1, address 1 of 2", "tcp: TCP: connection refused", "dns: localhost is ", "tls: TLS 1.", "certificate of mqtt.example.com by Test CA, valid until ", "mqtt: logged in as \"gw-test\", MQTT 5", "publish: acknowledged"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
}
