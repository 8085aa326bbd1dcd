package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// TLS is how a Modbus/TCP Security device is checked, and who we are to it
// (Modbus/TCP Security V21). The files are read at each connection, so that a
// renewed certificate needs no restart.
type TLS struct {
	CAFile     string // authorities, or the device's own certificate; "": the system's
	CertFile   string // ours, where the device asks for one, with KeyFile
	KeyFile    string
	ServerName string // the name in the device's certificate; default: the host of the address
}

// config reads the files.
func (t *TLS) config(host string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName} // V21 §8: TLS 1.2 or later
	if c.ServerName == "" {
		c.ServerName = host
	}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file: %s holds no certificate in PEM", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("cert_file and key_file: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// client shakes hands over conn, and closes it where that fails.
func (t *TLS) client(ctx context.Context, conn net.Conn, address string, limit time.Duration) (Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	config, err := t.config(host)
	if err != nil {
		_ = conn.Close() // nothing was sent
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // the first error says more
		return nil, explainTLS(fmt.Errorf("TLS with %s: %w", address, err))
	}
	return secure, nil
}

// refusesUs reports an alert about our certificate, or for want of one.
func refusesUs(err error) bool {
	for _, alert := range []string{"certificate required", "bad certificate", "unknown certificate authority", "unknown certificate", "expired certificate"} {
		if strings.Contains(err.Error(), "remote error: tls: "+alert) {
			return true
		}
	}
	return false
}

// explainTLS adds what to do about it.
func explainTLS(err error) error {
	var name x509.HostnameError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	help := ""
	switch {
	case errors.As(err, &name):
		help = "server_name must be a name that is in the certificate"
	case errors.As(err, &unknown):
		help = "ca_file must hold the authority that signed the certificate, or the certificate itself"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		help = "renew the device's certificate, or set this machine's clock"
	case errors.As(err, &record):
		help = "is this a TLS port? Modbus TCP in the clear is tcp = …"
	case refusesUs(err):
		help = "the device wants a client certificate it knows: cert_file and key_file"
	default:
		return err
	}
	return fmt.Errorf("%w (%s)", err, help)
}
