package bridge

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// groups are the key exchanges by their names in the file.
var groups = []struct {
	name string
	id   tls.CurveID
}{
	{"x25519", tls.X25519}, {"p256", tls.CurveP256}, {"p384", tls.CurveP384}, {"p521", tls.CurveP521},
	{"x25519mlkem768", tls.X25519MLKEM768},
}

func groupNames() (names []string) {
	for _, g := range groups {
		names = append(names, g.name)
	}
	return names
}

// parseGroups reads tls.groups. None: what Go prefers, which includes an
// exchange that quantum computers cannot break and costs 2.5 KB a handshake.
func parseGroups(names []string) (ids []tls.CurveID, err error) {
	for _, n := range names {
		i := slices.IndexFunc(groups, func(g struct {
			name string
			id   tls.CurveID
		}) bool {
			return g.name == strings.ToLower(n)
		})
		if i < 0 {
			return nil, fmt.Errorf("there is no TLS group %q", n)
		}
		ids = append(ids, groups[i].id)
	}
	return ids, nil
}

// tlsConfig is config with what a metered link changes: a key exchange of few
// bytes. What a session could spare is a matter of trying, see tickets.
func (c Config) tlsConfig(host string, now func() time.Time) (*tls.Config, error) {
	t, err := c.TLS.config(host, now)
	if err == nil && c.Metered && len(c.TLS.Groups) == 0 {
		t.CurvePreferences = []tls.CurveID{tls.X25519}
	}
	return t, err
}

// fingerprint tells the settings of handshakes with one address apart: where
// it changes, a session of before is of no use.
func (t TLS) fingerprint(address string, cfg *tls.Config) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%v\n", address, cfg.ServerName, t.Insecure)
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return sum, fmt.Errorf("read tls.ca_file: %w", err)
		}
		h.Write(pem)
	}
	for _, c := range cfg.Certificates {
		for _, der := range c.Certificate {
			h.Write(der)
		}
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// config makes the TLS settings for one connection. Files are read each time,
// so that renewed certificates need no restart. now tells the time that
// validity is checked against.
func (t TLS) config(host string, now func() time.Time) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: orText(t.ServerName, host), NextProtos: t.ALPN,
		InsecureSkipVerify: t.Insecure, Time: now}
	var err error
	if c.CurvePreferences, err = parseGroups(t.Groups); err != nil {
		return nil, fmt.Errorf("tls.groups: %w", err)
	}
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
