package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"fieldgate/mqtt"
)

// remedy is a sentence for the person who reads the error.
func remedy(step Step, err error) string {
	switch step {
	case StepDNS:
		return dnsRemedy(err)
	case StepTCP:
		return tcpRemedy(err)
	case StepProxy:
		return "check the proxy's address, its user and password, and that it may connect to the broker"
	case StepTLS:
		return tlsRemedy(err)
	case StepWebSocket:
		return "check the path and the port of the URL; brokers often use /mqtt"
	case StepMQTT:
		return mqttRemedy(err)
	}
	return ""
}

func dnsRemedy(err error) string {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return "check the spelling of the host name"
	}
	return "check that the link is up and that this machine has a name server"
}

func tcpRemedy(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: check the port (usually 1883, with TLS 8883) and that the broker runs"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "no way there: check the cable or modem, and the default route"
	case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission):
		return "check the path of the socket and the rights on it"
	case timedOut(err):
		return "no answer: check the address, and that no firewall drops the port"
	}
	return "check that the link is up and the address is right"
}

func tlsRemedy(err error) string {
	var (
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		op      *net.OpError
	)
	switch {
	case errors.As(err, &unknown):
		return "set ca_file to the certificate of the authority that signed the broker's"
	case errors.As(err, &host):
		return "the certificate is for another name: use that name in the URL, or set server_name to it"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "check this machine's clock first, then the broker's certificate"
	case errors.As(err, &record):
		return "this port does not speak TLS: use mqtt:// or ws://, or the broker's TLS port (usually 8883)"
	case errors.As(err, &op) && op.Op == "remote error":
		return "the broker refused our side: set cert_file and key_file to a certificate that it knows, and check its TLS versions"
	case timedOut(err):
		return "no answer: the port may not speak TLS"
	case closed(err):
		return "the port may not speak TLS: use mqtt:// or ws://, or the broker's TLS port (usually 8883)"
	}
	return "check that the port speaks TLS, and the certificates"
}

func mqttRemedy(err error) string {
	var code mqtt.ReasonCode
	switch {
	case errors.As(err, &code):
		return reasonRemedy(code)
	case timedOut(err):
		return "something listens there but does not answer: check that the port is the broker's, and without TLS if the URL says mqtt://"
	case closed(err):
		return "the broker closed without an answer: check client id and login, and whether the port wants TLS"
	}
	return "check that the port is a broker's"
}

func reasonRemedy(code mqtt.ReasonCode) string {
	switch code {
	case mqtt.UnsupportedProtocolVersion:
		return "set version = 4 (MQTT 3.1.1)"
	case mqtt.ClientIDNotValid:
		return "set client_id to one that the broker allows"
	case mqtt.BadUserNameOrPassword, mqtt.NotAuthorized:
		return "check username and password, and what the broker allows this client id"
	case mqtt.BadAuthenticationMethod:
		return "the broker wants an authentication that is not supported: use user name and password or a certificate"
	case mqtt.ServerUnavailable, mqtt.ServerBusy, mqtt.ConnectionRateExceeded:
		return "the broker is overloaded or starting: wait"
	case mqtt.Banned:
		return "the broker has banned this client: ask its operator"
	case mqtt.UseAnotherServer, mqtt.ServerMoved:
		return "change the URL to the server that the broker names"
	case mqtt.QoSNotSupported, mqtt.RetainNotSupported, mqtt.TopicNameInvalid, mqtt.PayloadFormatInvalid, mqtt.PacketTooLarge:
		return "the broker does not take the will as it is: change its topic, QoS, retain or size"
	case mqtt.MalformedPacket, mqtt.ProtocolError:
		return "one of the two ends does not follow the standard: check that the port is a broker's, or try version = 4 (MQTT 3.1.1)"
	}
	return "ask the broker's operator"
}

func timedOut(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// closed reports that the peer hung up.
func closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) ||
		strings.Contains(err.Error(), "WebSocket closed")
}
