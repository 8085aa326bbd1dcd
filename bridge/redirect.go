package bridge

import (
	"errors"
	"net"
	"net/url"
	"strings"

	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
)

// redirect is the address that an upstream of MQTT 5 points to when it says
// "use another server" (0x9C) or "server moved" (0x9D); nil: it says nothing
// that can be used. The reference is a host, with or without a port, or a list
// of them (MQTT 5.0 §4.11); the first counts. The way there is the same as to
// from: so is the check of the certificate, for the new name.
func redirect(err error, from *url.URL) *url.URL {
	var no *client.Refused
	if !errors.As(err, &no) || no.Reason != mqtt.UseAnotherServer && no.Reason != mqtt.ServerMoved {
		return nil
	}
	fields := strings.Fields(no.Reference)
	if len(fields) == 0 {
		return nil
	}
	to := *from
	to.Host = strings.TrimSuffix(fields[0], ",")
	if _, _, err := net.SplitHostPort(to.Host); err != nil {
		to.Host = net.JoinHostPort(strings.Trim(to.Host, "[]"), from.Port())
	}
	u, err := parseURL(to.String())
	if err != nil || u.Host == from.Host {
		return nil
	}
	return u
}
