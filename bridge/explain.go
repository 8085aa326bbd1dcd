package bridge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
)

// reason is why an upstream cannot be used, for people, with what to do.
type reason struct {
	text string
	hint string
	pace pace
}

// explain turns an error of an attempt or a connection into a sentence.
func explain(err error, c Config) reason {
	if err == nil {
		return reason{text: "connection closed"}
	}
	var dial *client.DialError
	errors.As(err, &dial)
	for _, f := range []func(error, Config) (reason, bool){explainMQTT, explainCertificate, explainTLS, explainNet} {
		r, ok := f(err, c)
		if !ok {
			continue
		}
		if r.hint == "" && dial != nil {
			r.hint = dial.Remedy
		}
		return r
	}
	if dial != nil {
		return reason{text: fmt.Sprintf("%s: %v", strings.ToUpper(string(dial.Step)), dial.Err), hint: dial.Remedy}
	}
	return reason{text: err.Error()}
}

// explainMQTT knows the reason codes of CONNACK and DISCONNECT.
func explainMQTT(err error, c Config) (reason, bool) {
	var code mqtt.ReasonCode
	if !errors.As(err, &code) {
		return reason{}, false
	}
	r := reason{text: "MQTT: " + code.Error()}
	switch code {
	case mqtt.BadUserNameOrPassword, mqtt.NotAuthorized:
		r.pace = slowPace
		switch {
		case c.Username == "" && c.Password.IsZero() && c.PasswordFile == "":
			r.text = fmt.Sprintf("MQTT: the upstream wants a login (%s)", code)
			r.hint = "write username and password"
		default:
			r.text = fmt.Sprintf("MQTT: wrong user name or password for %q, or not allowed to connect (%s)", c.Username, code)
			r.hint = "check username and password; after a change: fieldgate reload"
		}
	case mqtt.ClientIDNotValid:
		r.pace, r.hint = slowPace, "write the client_id that the upstream expects"
	case mqtt.Banned, mqtt.BadAuthenticationMethod:
		r.pace, r.hint = slowPace, "ask the upstream's operator"
	case mqtt.SessionTakenOver:
		r.pace, r.hint = takenPace, "another client uses the same client_id; give each gateway its own"
	case mqtt.QuotaExceeded, mqtt.ConnectionRateExceeded, mqtt.MessageRateTooHigh, mqtt.ServerBusy:
		r.pace, r.hint = busyPace, "the upstream asks for less; see drain.rate and batch"
	case mqtt.UnsupportedProtocolVersion:
		r.hint = "write version = 4"
	case mqtt.PacketTooLarge:
		r.hint = "make batch.max_bytes smaller"
	case mqtt.UseAnotherServer, mqtt.ServerMoved:
		r.hint = "the upstream has moved; change url"
	}
	return r, true
}

// endedByPeer reports that the other end closed a connection, or said that it
// goes: its other clients lost theirs at the same moment, as far as we know.
func endedByPeer(err error) bool {
	var code mqtt.ReasonCode
	if errors.As(err, &code) {
		return code == mqtt.ServerShuttingDown || code == mqtt.ServerUnavailable
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// explainCertificate knows what can be wrong with the upstream's certificate.
func explainCertificate(err error, c Config) (reason, bool) {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		r := reason{text: "TLS: the certificate is signed by an authority that is not trusted here", hint: "put the upstream's CA certificate in tls.ca_file", pace: busyPace}
		if c.TLS.CAFile != "" {
			r.hint = "tls.ca_file holds another CA than the one that signed the upstream's certificate"
		}
		return r, true
	case errors.As(err, &host):
		names := "no name"
		if host.Certificate != nil {
			names = strings.Join(append(append([]string(nil), host.Certificate.DNSNames...), addresses(host.Certificate)...), ", ")
		}
		return reason{text: fmt.Sprintf("TLS: the certificate is for %s, not for %s", orText(names, "no name"), host.Host),
			hint: "write the address as in the certificate, or tls.server_name", pace: busyPace}, true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return explainExpiry(invalid.Cert), true
	case errors.As(err, &invalid):
		return reason{text: "TLS: " + invalid.Error(), pace: busyPace}, true
	}
	return reason{}, false
}

func addresses(c *x509.Certificate) (out []string) {
	for _, ip := range c.IPAddresses {
		out = append(out, ip.String())
	}
	return out
}

func explainExpiry(cert *x509.Certificate) reason {
	r := reason{text: "TLS: certificate expired or not yet valid", hint: "renew the upstream's certificate, or set this gateway's clock", pace: busyPace}
	if cert == nil {
		return r
	}
	name := cert.Subject.CommonName
	if len(cert.DNSNames) > 0 {
		name = cert.DNSNames[0]
	}
	now := time.Now()
	switch {
	case now.After(cert.NotAfter):
		r.text = fmt.Sprintf("TLS: certificate expired %s ago (%s)", coarse(now.Sub(cert.NotAfter)), name)
		r.hint = "the upstream's operator must renew it"
	case now.Before(cert.NotBefore):
		r.text = fmt.Sprintf("TLS: certificate is valid only in %s (%s)", coarse(cert.NotBefore.Sub(now)), name)
		r.hint = "set this gateway's clock"
	}
	return r
}

// coarse is a length of time in its largest unit: "2 d", "3 h", "5 min", "8 s".
func coarse(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d d", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// explainTLS knows handshakes that fail otherwise.
func explainTLS(err error, c Config) (reason, bool) {
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.As(err, &record):
		return reason{text: "TLS: this port does not speak TLS", hint: "use mqtt:// or ws://, or the upstream's TLS port (8883)"}, true
	case errors.As(err, &alert), strings.Contains(err.Error(), "remote error: tls:"):
		r := reason{text: "TLS: the upstream refuses the handshake: " + after(err.Error(), "tls: "), pace: busyPace}
		if strings.Contains(err.Error(), "certificate") {
			r.hint = "the upstream wants a client certificate; check tls.cert_file and tls.key_file"
			if c.TLS.CertFile == "" {
				r.hint = "the upstream wants a client certificate: write tls.cert_file and tls.key_file"
			}
		}
		return r, true
	}
	return reason{}, false
}

// after is what follows the last occurrence of sep.
func after(s, sep string) string {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[i+len(sep):]
	}
	return s
}

// explainNet knows what networks do.
func explainNet(err error, c Config) (reason, bool) {
	var dns *net.DNSError
	var iface *client.InterfaceError
	step := "TCP"
	if dial := (*client.DialError)(nil); errors.As(err, &dial) {
		step = strings.ToUpper(string(dial.Step))
	}
	closed := errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	switch {
	case errors.As(err, &iface):
		return reason{text: "TCP: " + iface.Error(), hint: "is the modem there and up? check connect.interface (ip link shows the names)"}, true
	case closed && step == "TLS":
		return reason{text: "TLS: the upstream breaks the handshake off", hint: "the port may not speak TLS: use mqtt:// or ws://, or the upstream's TLS port (8883)"}, true
	case closed && step == "MQTT" && c.TLS.CertFile == "" && c.encrypted():
		// With TLS 1.3 the refusal of a missing certificate comes after our
		// handshake, and the reset that follows may be seen first.
		return reason{text: "MQTT: the upstream closed the connection without an answer",
			hint: "it may want a client certificate (tls.cert_file and tls.key_file); check client_id and login too"}, true
	case errors.As(err, &dns) && dns.IsNotFound:
		return reason{text: fmt.Sprintf("DNS: there is no host %q", dns.Name), hint: "check the address and the name server"}, true
	case errors.As(err, &dns):
		return reason{text: fmt.Sprintf("DNS: %s cannot be looked up: %s", dns.Name, dns.Err), hint: "is the link up? check the name server in /etc/resolv.conf"}, true
	case errors.Is(err, syscall.ECONNREFUSED):
		return reason{text: "TCP: connection refused", hint: "nothing listens on that port; check the port and whether the upstream runs"}, true
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return reason{text: "TCP: no route to the upstream", hint: "is the link up? check the network and the modem"}, true
	case errors.Is(err, syscall.ECONNRESET):
		return reason{text: step + ": connection reset by the upstream"}, true
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return reason{text: step + ": no answer in time"}, true
	case errors.Is(err, errPrimaryBack), errors.Is(err, client.ErrPeerDead), errors.Is(err, errScheduleClosed), errors.Is(err, errAlarmsSent):
		return reason{text: err.Error()}, true
	case closed:
		return reason{text: "the upstream closed the connection"}, true
	}
	return reason{}, false
}
