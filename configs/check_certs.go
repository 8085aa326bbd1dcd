package configs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"fieldgate/configs/tree"
)

// soon is how long before its end a certificate is warned of.
const soon = 14 * 24 * time.Hour

// checkCertFiles reads the certificates that a table names, in ca_file and
// client_ca_file, or in cert_file with key_file, so that what would fail when
// the link is made is said before.
func (l *loader) checkCertFiles(v *value, path string) {
	for _, name := range v.names {
		sub, key := v.table[name], joinPath(path, name)
		if sub.kind != tree.Scalar {
			l.checkCertFiles(sub, key)
			continue
		}
		switch name {
		case "ca_file", "client_ca_file":
			l.checkAuthorities(sub, key)
		case "cert_file":
			l.checkPair(sub, v.table["key_file"], key)
		}
	}
	for _, e := range v.elems {
		l.checkCertFiles(e, path)
	}
}

// named is the file a key names, or "" where there is nothing to look at.
func (l *loader) named(v *value, path string) string {
	if v == nil || l.opts.SkipFiles || l.reported(path) {
		return ""
	}
	name, _ := v.data.(string)
	return name
}

func (l *loader) checkAuthorities(v *value, path string) {
	name := l.named(v, path)
	if name == "" {
		return
	}
	list, err := certificates(name)
	if err != nil {
		l.add(Problem{Code: "E0517", Key: path, Text: fmt.Sprintf("%s: %s", name, reason(err)),
			Help: "it must hold one or more certificates in PEM form (BEGIN CERTIFICATE)"}, v.file, inside(v))
		return
	}
	for _, c := range list {
		l.checkDates(v, path, name, c)
	}
}

// checkPair reads a certificate with its key, where both can be read.
func (l *loader) checkPair(v, key *value, path string) {
	name := l.named(v, path)
	if name == "" {
		return
	}
	list, err := certificates(name)
	if err != nil {
		l.add(Problem{Code: "E0517", Key: path, Text: fmt.Sprintf("%s: %s", name, reason(err)),
			Help: "it must hold the certificate in PEM form, then those that signed it"}, v.file, inside(v))
		return
	}
	keyPath := path[:len(path)-len("cert_file")] + "key_file"
	if keyName := l.named(key, keyPath); keyName != "" {
		if _, err := tls.LoadX509KeyPair(name, keyName); err != nil && !errors.Is(err, os.ErrPermission) {
			l.add(Problem{Code: "E0517", Key: keyPath, Text: fmt.Sprintf("%s is not the key of %s: %s", keyName, name, reason(err)),
				Help: "key_file must hold the private key, in PEM form, that cert_file was made with"}, key.file, inside(key))
		}
	}
	l.checkDates(v, path, name, list[0])
}

// checkDates says when a certificate has ended or will soon. A clock that is
// behind the certificate's beginning is the clock's fault, not the file's.
func (l *loader) checkDates(v *value, path, name string, c *x509.Certificate) {
	left := time.Until(c.NotAfter)
	if left > soon {
		return
	}
	text := fmt.Sprintf("%s: the certificate of %q ended on %s", name, c.Subject.CommonName, c.NotAfter.UTC().Format(time.DateOnly))
	if left > 0 {
		text = fmt.Sprintf("%s: the certificate of %q ends on %s", name, c.Subject.CommonName, c.NotAfter.UTC().Format(time.DateOnly))
	}
	l.add(Problem{Code: "W0518", Key: path, Text: text, Help: "renew it; a reload takes it up"}, v.file, inside(v))
}

// certificates reads a file of PEM certificates; at least one.
func certificates(name string) ([]*x509.Certificate, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > 4<<20 {
		return nil, errors.New("not a plain file of at most 4 MiB")
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var list []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(list)+1, err)
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, errors.New("holds no certificate in PEM form")
	}
	return list, nil
}
