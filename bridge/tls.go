package bridge

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"
)

// config makes the TLS settings for one connection. Files are read each time,
// so that renewed certificates need no restart. now tells the time that
// validity is checked against.
func (t TLS) config(host string, now func() time.Time) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: orText(t.ServerName, host), NextProtos: t.ALPN,
		InsecureSkipVerify: t.Insecure, Time: now}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read tls.ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read tls.ca_file: %s holds no PEM certificate", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read tls.cert_file and tls.key_file: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// now is the time that certificates are checked against: the latest of the
// system's, the program's build and the last time known to be past. A gateway
// that starts in 1970 must reach its upstream before anything can set its clock.
func (b *Bridge) now() time.Time {
	t := time.Now()
	if b.opts.Build.After(t) {
		t = b.opts.Build
	}
	if b.opts.Floor != nil {
		if f := b.opts.Floor(); f.After(t) {
			t = f
		}
	}
	return t
}
