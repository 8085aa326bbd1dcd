package outages

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

	"fieldgate/bridge"
)

// certify writes a certificate that is its own authority, and its key. Written
// again it is another one of the same authority: the key stays.
func certify(t *testing.T, dir, address string, key *ecdsa.PrivateKey, from, to time.Time) (cert, keyFile string) {
	t.Helper()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "mqtt.example.com"}, IPAddresses: []net.IP{net.ParseIP(address)},
		NotBefore: from, NotAfter: to, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	must(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	cert, keyFile = filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
	must(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	return cert, keyFile
}

// TestCertificateExpires: the upstream comes back from a restart with a
// certificate that has expired, and later with a new one.
func TestCertificateExpires(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	now := time.Now()
	good := func() (string, string) {
		return certify(t, dir, s.link.Far(), key, now.Add(-time.Hour), now.Add(time.Hour))
	}
	cert, keyFile := good()
	m := newMosquitto(s, "certfile "+cert, "keyfile "+keyFile)
	w := newWorld(t, s, m, bridge.Config{URL: "mqtts://" + host(s.link.Far(), m.port()), TLS: bridge.TLS{CAFile: cert}, Drain: strict})
	w.gateway.run()
	w.gateway.online()
	feed := startFeed(w.gateway)
	feed.more(t, 100)
	certify(t, dir, s.link.Far(), key, now.Add(-48*time.Hour), now.Add(-25*time.Hour))
	w.restart()
	w.away(t)
	until(t, "the reason", func() bool { return strings.Contains(w.gateway.Stats().Reason, "TLS: certificate expired 25 h ago") })
	if hint := w.gateway.Stats().Hint; !strings.Contains(hint, "renew") {
		t.Errorf("hint %q", hint)
	}
	feed.more(t, 100)
	good()
	w.restart()
	w.gateway.online()
	feed.more(t, 100)
	feed.stop()
	w.settle(t)
}
