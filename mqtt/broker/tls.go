package broker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificate is a listener's TLS with the files it came from.
type certificate struct {
	config  *tls.Config
	expires time.Time
	files   TLS
	changed time.Time // latest change of the files
}

// selfSignedLife is how long a certificate of our own making is valid: longer
// than the gateway, since nobody is there to renew it.
const selfSignedLife = 20 * 365 * 24 * time.Hour

// loadCertificate reads what a listener's section names; nil for a plain one.
func (b *Broker) loadCertificate(section Listener) (*certificate, error) {
	t := section.TLS
	if t == nil {
		return nil, nil
	}
	var pair tls.Certificate
	var err error
	if t.CertFile == "" && t.Auto != "" && b.tlsDir != "" {
		pair, err = b.keptPair(section)
	} else {
		pair, err = loadPair(t, section.Bind)
	}
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	c := &certificate{files: *t, expires: leaf.NotAfter, changed: latestChange(t)}
	c.config = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, Time: b.now}
	if section.WebSocket != nil {
		c.config.NextProtos = []string{"http/1.1"}
	} else {
		c.config.NextProtos = []string{"mqtt"}
	}
	if t.ClientCAFile != "" {
		pool, err := loadPool(t.ClientCAFile)
		if err != nil {
			return nil, err
		}
		c.config.ClientCAs, c.config.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	if left := c.expires.Sub(b.time()); left < 30*24*time.Hour {
		b.log.Warn("certificate expires soon; renew it and reload", "listener", listenerName(section), "file", t.CertFile, "expires", c.expires.Format(time.DateOnly))
	}
	return c, nil
}

func loadPool(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("client_ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("client_ca_file %s holds no certificate in PEM form", path)
	}
	return pool, nil
}

// loadPair reads certificate and key, or makes them: into the files if they
// are named and missing, so that clients may pin them, else in memory.
func loadPair(t *TLS, bind string) (tls.Certificate, error) {
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		switch {
		case err == nil:
			return pair, nil
		case t.Auto == "" || !errors.Is(err, fs.ErrNotExist):
			return pair, fmt.Errorf("certificate %s with key %s: %w", t.CertFile, t.KeyFile, err)
		}
	}
	cert, key, err := selfSigned(bind)
	if err != nil {
		return tls.Certificate{}, err
	}
	if t.CertFile != "" {
		if err := writeNew(t.KeyFile, key); err != nil {
			return tls.Certificate{}, err
		}
		if err := writeNew(t.CertFile, cert); err != nil {
			return tls.Certificate{}, err
		}
	}
	return tls.X509KeyPair(cert, key)
}

func writeNew(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// selfSigned makes a certificate for this machine's names and addresses.
func selfSigned(bind string) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	host, _ := os.Hostname()
	// Valid from long ago: the clock of a fresh gateway may be far behind.
	from := time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC)
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host, Organization: []string{"fieldgate self-signed"}},
		NotBefore: from, NotAfter: latest(time.Now(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).Add(selfSignedLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, DNSNames: []string{"localhost"},
	}
	if host != "" && host != "localhost" {
		c.DNSNames = append(c.DNSNames, host, host+".local")
	}
	c.IPAddresses = ownAddresses(bind)
	der, err := x509.CreateCertificate(rand.Reader, c, c, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	return cert, key, nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// ownAddresses are loopback, the bound address and those of the interfaces.
func ownAddresses(bind string) []net.IP {
	list := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if host, _, err := net.SplitHostPort(bind); err == nil {
		if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() && !ip.IsLoopback() {
			list = append(list, ip)
		}
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return list
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && len(list) < 32 {
			list = append(list, n.IP)
		}
	}
	return list
}

func latestChange(t *TLS) time.Time {
	var last time.Time
	for _, path := range []string{t.CertFile, t.KeyFile, t.ClientCAFile} {
		if info, err := os.Stat(path); path != "" && err == nil {
			last = latest(last, info.ModTime())
		}
	}
	return last
}

// renewCertificates reads certificates again whose files have changed. A pair
// that cannot be used leaves the old one in place; running connections keep theirs.
func (b *Broker) renewCertificates() {
	b.mu.Lock()
	list := append([]*listener(nil), b.listeners...)
	b.mu.Unlock()
	for _, l := range list {
		old, section := l.cert.Load(), *l.cfg.Load()
		if old == nil || section.TLS == nil || !latestChange(section.TLS).After(old.changed) {
			continue
		}
		fresh, err := b.loadCertificate(section)
		if err != nil {
			b.log.Warn("new certificate cannot be used; the old one stays", "listener", l.name(), "error", err)
			continue
		}
		if l.cert.CompareAndSwap(old, fresh) {
			b.log.Info("certificate renewed", "listener", l.name(), "expires", fresh.expires.Format(time.DateOnly))
		}
	}
}
