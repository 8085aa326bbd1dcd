package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// wireKeys are files of a small authority: a root, one authority under it, and
// under that a server and a client, all P-256. Server and client show their own
// certificate and the one above it, as they do where an operator has more than
// one authority.
type wireKeys struct {
	ca                    string
	serverCert, serverKey string
	clientCert, clientKey string
}

// signer is a certificate with its key.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	der  []byte
}

func newWireKeys(dir string) (k wireKeys, err error) {
	root, err := newSigner(nil, "Example Root CA", func(c *x509.Certificate) { authority(c) })
	if err != nil {
		return k, err
	}
	middle, err := newSigner(root, "Example Device CA 1", func(c *x509.Certificate) { authority(c) })
	if err != nil {
		return k, err
	}
	server, err := newSigner(middle, "mqtt.example.com", func(c *x509.Certificate) {
		c.DNSNames, c.ExtKeyUsage = []string{"mqtt.example.com"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	if err != nil {
		return k, err
	}
	client, err := newSigner(middle, "plant7-gw01", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	if err != nil {
		return k, err
	}
	if k.ca, err = writePEM(dir, "ca.crt", "CERTIFICATE", root.der); err != nil {
		return k, err
	}
	if k.serverCert, k.serverKey, err = server.write(dir, "server", middle); err != nil {
		return k, err
	}
	k.clientCert, k.clientKey, err = client.write(dir, "client", middle)
	return k, err
}

func authority(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
}

// newSigner makes a certificate under another; nil: under itself.
func newSigner(above *signer, name string, change func(*x509.Certificate)) (*signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	tmpl := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"Example"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature}
	change(tmpl)
	parent, by := tmpl, key
	if above != nil {
		parent, by = above.cert, above.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, by)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &signer{cert, key, der}, err
}

// write writes the certificate with the one above it, and the key.
func (s *signer) write(dir, name string, above *signer) (cert, key string, err error) {
	if cert, err = writePEM(dir, name+".crt", "CERTIFICATE", s.der, above.der); err != nil {
		return "", "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		return "", "", err
	}
	key, err = writePEM(dir, name+".key", "PRIVATE KEY", der)
	return cert, key, err
}

func writePEM(dir, name, kind string, blocks ...[]byte) (path string, err error) {
	var text []byte
	for _, b := range blocks {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})...)
	}
	path = filepath.Join(dir, name)
	return path, os.WriteFile(path, text, 0o600)
}
