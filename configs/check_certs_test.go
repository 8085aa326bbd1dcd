package configs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// pair makes a certificate that ends after left, and its key.
func pair(t *testing.T, left time.Duration) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gw"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(left)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return write(t, "gw.crt", text("CERTIFICATE", der), 0o644), write(t, "gw.key", text("PRIVATE KEY", secret), 0o600)
}

func TestCertificateFiles(t *testing.T) {
	cert, key := pair(t, 1000*time.Hour)
	_, otherKey := pair(t, 1000*time.Hour)
	ended, endedKey := pair(t, -time.Hour)
	ending, endingKey := pair(t, 24*time.Hour)
	junk := write(t, "junk.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0o644)
	empty := write(t, "empty.crt", "", 0o644)
	for _, c := range []struct{ name, keys, codes, text string }{
		{"all well", `cert_file = "` + cert + `", key_file = "` + key + `", ca_file = "` + cert + `"`, "", ""},
		{"authority not there", `ca_file = "/nowhere/ca.pem"`, "E0517", "no such file"},
		{"authority empty", `ca_file = "` + empty + `"`, "E0517", "holds no certificate"},
		{"authority damaged", `ca_file = "` + junk + `"`, "E0517", "certificate 1"},
		{"a folder", `ca_file = "` + t.TempDir() + `"`, "E0517", "not a plain file"},
		{"key instead of certificate", `cert_file = "` + key + `", key_file = "` + key + `"`, "E0517", "holds no certificate"},
		{"another's key", `cert_file = "` + cert + `", key_file = "` + otherKey + `"`, "E0517", "is not the key of"},
		{"ended", `cert_file = "` + ended + `", key_file = "` + endedKey + `"`, "W0518", "ended on"},
		{"ends soon", `cert_file = "` + ending + `", key_file = "` + endingKey + `"`, "W0518", "ends on"},
		{"authority ended", `ca_file = "` + ended + `"`, "W0518", "ended on"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := "[[upstream]]\nurl = \"mqtts://a.example\"\ntls = { " + c.keys + " }\n"
			_, r := LoadText("f.toml", text, Options{})
			var codes []string
			for _, p := range r.Problems {
				codes = append(codes, p.Code)
			}
			if got := strings.Join(codes, " "); got != c.codes || !strings.Contains(rendered(r), c.text) {
				t.Errorf("codes %q, want %q with %q\n%s", got, c.codes, c.text, rendered(r))
			}
			if _, r := LoadText("f.toml", text, Options{SkipFiles: true}); len(r.Problems) != 0 {
				t.Errorf("files of another machine were looked at:\n%s", rendered(r))
			}
		})
	}
}
