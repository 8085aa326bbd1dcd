package bridge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
)

func TestExplain(t *testing.T) {
	dial := func(step client.Step, err error) error {
		return &client.DialError{Step: step, Address: "h:1", Err: err, Remedy: "do this"}
	}
	for _, c := range []struct {
		err  error
		cfg  Config
		want string
		pace pace
	}{
		{nil, Config{}, "connection closed|", normalPace},
		{errors.New("odd"), Config{}, "odd|", normalPace},
		{dial(client.StepWebSocket, errors.New("404")), Config{}, "WEBSOCKET: 404|do this", normalPace},
		{dial(client.StepMQTT, mqtt.BadUserNameOrPassword), Config{Username: "u"}, `MQTT: wrong user name or password for "u", or not allowed to connect (bad user name or password (0x86))|check username and password; after a change: fieldgate reload`, slowPace},
		{mqtt.NotAuthorized, Config{}, "MQTT: the upstream wants a login (not authorized (0x87))|write username and password", slowPace},
		{mqtt.ClientIDNotValid, Config{}, "MQTT: client id not valid (0x85)|write the client_id that the upstream expects", slowPace},
		{&client.Refused{Packet: "connection", Reason: mqtt.SessionTakenOver}, Config{}, "MQTT: session taken over (0x8E)|another client uses the same client_id; give each gateway its own", takenPace},
		{mqtt.QuotaExceeded, Config{}, "MQTT: quota exceeded (0x97)|the upstream asks for less; see drain.rate and batch", busyPace},
		{mqtt.ServerMoved, Config{}, "MQTT: server moved (0x9D)|the upstream has moved; change url", normalPace},
		{dial(client.StepMQTT, mqtt.ServerUnavailable), Config{}, "MQTT: server unavailable (0x88)|do this", normalPace},
		{dial(client.StepDNS, &net.DNSError{Name: "h", IsNotFound: true}), Config{}, `DNS: there is no host "h"|check the address and the name server`, normalPace},
		{dial(client.StepDNS, &net.DNSError{Name: "h", Err: "timeout", IsTimeout: true}), Config{}, "DNS: h cannot be looked up: timeout|is the link up? check the name server in /etc/resolv.conf", normalPace},
		{fmt.Errorf("x: %w", syscall.EHOSTUNREACH), Config{}, "TCP: no route to the upstream|is the link up? check the network and the modem", normalPace},
		{dial(client.StepTCP, os.ErrDeadlineExceeded), Config{}, "TCP: no answer in time|do this", normalPace},
		{dial(client.StepMQTT, context.DeadlineExceeded), Config{}, "MQTT: no answer in time|do this", normalPace},
		{dial(client.StepMQTT, io.EOF), Config{}, "the upstream closed the connection|do this", normalPace},
		{dial(client.StepMQTT, syscall.ECONNRESET), Config{URL: "mqtts://h"}, "MQTT: the upstream closed the connection without an answer|it may want a client certificate (tls.cert_file and tls.key_file); check client_id and login too", normalPace},
		{errors.New("remote error: tls: certificate required"), Config{URL: "mqtts://h"}, "TLS: the upstream refuses the handshake: certificate required|the upstream wants a client certificate: write tls.cert_file and tls.key_file", busyPace},
		{dial(client.StepTLS, io.EOF), Config{}, "TLS: the upstream breaks the handshake off|the port may not speak TLS: use mqtt:// or ws://, or the upstream's TLS port (8883)", normalPace},
		{dial(client.StepTLS, tls.RecordHeaderError{Msg: "x"}), Config{}, "TLS: this port does not speak TLS|use mqtt:// or ws://, or the upstream's TLS port (8883)", normalPace},
		{fmt.Errorf("read: %w", client.ErrPeerDead), Config{}, "read: the broker does not answer keep-alive pings|", normalPace},
	} {
		r := explain(c.err, c.cfg)
		if got := r.text + "|" + r.hint; got != c.want || r.pace != c.pace {
			t.Errorf("%v:\n got %s, pace %d\nwant %s, pace %d", c.err, got, r.pace, c.want, c.pace)
		}
	}
}

func TestCoarse(t *testing.T) {
	for d, want := range map[time.Duration]string{8 * time.Second: "8 s", 5 * time.Minute: "5 min", 3 * time.Hour: "3 h", 72 * time.Hour: "3 d"} {
		if got := coarse(d); got != want {
			t.Errorf("coarse(%s) = %q", d, got)
		}
	}
}
