package broker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// keptPair is the certificate of our own making that a listener has had since
// its first start, so that clients may pin it. One that cannot be read, as
// after a power cut while it was written, is made anew. Where it cannot be
// kept, it is used all the same, and that is said.
func (b *Broker) keptPair(section Listener) (tls.Certificate, error) {
	stem := filepath.Join(b.tlsDir, fileName(listenerName(section)))
	cert, key := stem+".crt", stem+".key"
	if pair, err := tls.LoadX509KeyPair(cert, key); err == nil {
		return pair, nil
	}
	certPEM, keyPEM, err := selfSigned(section.Bind)
	if err != nil {
		return tls.Certificate{}, err
	}
	if err := errors.Join(os.MkdirAll(b.tlsDir, 0o700), replaceFile(key, keyPEM), replaceFile(cert, certPEM)); err != nil {
		b.log.Warn("a certificate that was made cannot be kept; the next start makes another one", "listener", listenerName(section), "error", err)
	} else {
		b.log.Info("certificate made; give it to clients that are to know this broker", "listener", listenerName(section), "file", cert)
	}
	return tls.X509KeyPair(certPEM, keyPEM)
}

// replaceFile writes a file whole or not at all, whatever stands in its place.
func replaceFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// fileName makes a file's name of a listener's, each another one.
func fileName(name string) string {
	var s strings.Builder
	for _, c := range []byte(name) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' {
			s.WriteByte(c)
		} else {
			fmt.Fprintf(&s, "_%02x", c)
		}
	}
	return s.String()[:min(s.Len(), 200)]
}
