package bridge

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
)

// upstreamConn is a client connection with what a bridge needs of its limits.
type upstreamConn struct {
	*client.Conn
	lim limits
}

// Limits implements connection.
func (c upstreamConn) Limits() limits { return c.lim }

// dialClient logs in with a clean session: what was published while we were
// away is no command any more, and what we had in flight is in our own queue.
func dialClient(ctx context.Context, b *Bridge, u *url.URL, incoming func(*mqtt.Message, func())) (connection, error) {
	cfg, err := b.clientConfig(u)
	if err != nil {
		return nil, err
	}
	cfg.OnMessage = incoming
	conn, err := client.Dial(ctx, cfg)
	var code mqtt.ReasonCode
	if errors.As(err, &code) && cfg.Will != nil && (code == mqtt.RetainNotSupported || code == mqtt.QoSNotSupported) {
		// A server says so only by refusing the whole CONNECT (MQTT 5.0 §3.1.2.6, §3.1.2.7).
		cfg.Will.Message.Retain, cfg.Will.Message.QoS = false, 0
		conn, err = client.Dial(ctx, cfg)
	}
	if err != nil {
		return nil, err
	}
	l := conn.Limits()
	return upstreamConn{conn, limits{receiveMaximum: int(l.ReceiveMaximum), maxQoS: l.MaxQoS, retain: l.RetainAvailable,
		maxPacket: l.MaxPacket, v5: l.Version == mqtt.V5}}, nil
}

// clientConfig is the login to one address.
func (b *Bridge) clientConfig(u *url.URL) (client.Config, error) {
	password, err := b.cfg.password()
	if err != nil {
		return client.Config{}, err
	}
	cfg := client.Config{
		URL: u.String(), Version: b.s.version, Fallback: b.s.version == mqtt.V5, Bridge: true,
		ClientID: b.s.clientID, Username: b.s.username, Password: conf.NewSecret(password), CleanStart: true,
		KeepAlive: b.s.keepalive, ConnectTimeout: b.s.timeout, Proxy: b.cfg.Proxy, MaxInflight: windowMax, Log: b.log,
	}
	if b.s.stateTopic != "" {
		cfg.Will = &mqtt.Will{Message: mqtt.Message{Topic: b.s.stateTopic, Payload: []byte("offline"), QoS: 1, Retain: true}}
	}
	if secure(u) {
		if cfg.TLS, err = b.cfg.TLS.config(u.Hostname(), b.now); err != nil {
			return client.Config{}, err
		}
	}
	return cfg, nil
}

func secure(u *url.URL) bool { return strings.HasSuffix(u.Scheme, "s") && u.Scheme != "ws" }
