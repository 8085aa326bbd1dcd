package bridge

import (
	"context"
	"errors"
	"io"
	"net/url"
	"strings"
	"syscall"

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

// mutesMost is how many times in a row an upstream may close the connection
// without an answer before it is taken for one that knows only MQTT 3.1.1.
const mutesMost = 2

// dialClient logs in with a clean session: what was published while we were
// away is no command any more, and what we had in flight is in our own queue.
func dialClient(ctx context.Context, b *Bridge, u *url.URL, incoming func(*mqtt.Message, func())) (connection, error) {
	cfg, err := b.clientConfig(u)
	if err != nil {
		return nil, err
	}
	cfg.OnMessage = incoming
	if cfg.Dialer == nil {
		cfg.Dialer = client.NewDialer(cfg.Interface).DialContext
	}
	cfg.Dialer = b.meter.over(cfg.Dialer)
	conn, err := b.agree(ctx, cfg)
	if code, ok := errors.AsType[mqtt.ReasonCode](err); ok && cfg.Will != nil && (code == mqtt.RetainNotSupported || code == mqtt.QoSNotSupported) {
		// A server says so only by refusing the whole CONNECT (MQTT 5.0 §3.1.2.6, §3.1.2.7).
		cfg.Will.Message.Retain, cfg.Will.Message.QoS = false, 0
		conn, err = b.agree(ctx, cfg)
	}
	if err != nil {
		if dial, ok := errors.AsType[*client.DialError](err); ok && dial.Step == client.StepTLS {
			b.tickets.failed()
		}
		return nil, err
	}
	l := conn.Limits()
	return upstreamConn{conn, limits{receiveMaximum: int(l.ReceiveMaximum), maxQoS: l.MaxQoS, retain: l.RetainAvailable,
		maxPacket: l.MaxPacket, v5: l.Version == mqtt.V5}}, nil
}

// agree dials with MQTT 5 and falls back to 3.1.1 where the upstream refuses
// 5, or has never answered it. A link that goes down during CONNECT looks like
// an upstream that closes without an answer, and a connection that fell back
// stays so for its whole life, without reasons and without the numbers that
// tell repeats; so one closed connection is not enough.
func (b *Bridge) agree(ctx context.Context, cfg client.Config) (*client.Conn, error) {
	if cfg.Version != mqtt.V5 {
		return client.Dial(ctx, cfg)
	}
	five := cfg
	five.Fallback = false
	conn, err := client.Dial(ctx, five)
	if err == nil {
		b.mutes = -1 // it knows 5
		return conn, nil
	}
	code, refused := errors.AsType[mqtt.ReasonCode](err)
	switch {
	case refused && code == mqtt.UnsupportedProtocolVersion:
	case !refused && b.mutes >= 0 && closedUnanswered(err):
		if b.mutes++; b.mutes < mutesMost {
			return nil, err
		}
	default:
		return nil, err
	}
	cfg.Version = mqtt.V311
	if refused || b.knowsOld {
		return client.Dial(ctx, cfg)
	}
	return b.fallBack(ctx, five, cfg, err)
}

// fallBack makes sure, once, that it is the version that the upstream does not
// like: 3.1.1 works, and 5 does not at the same time.
func (b *Bridge) fallBack(ctx context.Context, five, old client.Config, cause error) (*client.Conn, error) {
	trial, err := client.Dial(ctx, old)
	if err != nil {
		return nil, cause
	}
	_ = trial.Close()
	conn, err := client.Dial(ctx, five)
	switch {
	case err == nil:
		b.mutes = -1
		return conn, nil
	case !closedUnanswered(err):
		return nil, err
	}
	b.knowsOld = true
	return client.Dial(ctx, old)
}

// closedUnanswered reports that CONNECT went out and the connection ended.
func closedUnanswered(err error) bool {
	dial, ok := errors.AsType[*client.DialError](err)
	return ok && dial.Step == client.StepMQTT &&
		(errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET))
}

// clientConfig is the login to one address.
func (b *Bridge) clientConfig(u *url.URL) (client.Config, error) {
	password, err := b.cfg.password()
	if err != nil {
		return client.Config{}, err
	}
	cfg := client.Config{
		URL: u.String(), Version: b.s.version, Fallback: true, Bridge: true,
		ClientID: b.s.clientID, Username: b.s.username, Password: conf.NewSecret(password), CleanStart: true,
		KeepAlive: b.s.keepalive, ConnectTimeout: b.s.timeout, Proxy: b.cfg.Proxy, Interface: b.cfg.Connect.Interface, Dialer: b.dialer, MaxInflight: windowMax, Log: b.log,
	}
	if b.pulse != nil {
		cfg.KeepAlive, cfg.Pulse = b.pulse.announce(), b.pulse
	}
	if b.s.stateTopic != "" {
		cfg.Will = &mqtt.Will{Message: mqtt.Message{Topic: b.s.stateTopic, Payload: []byte("offline"), QoS: 1, Retain: true}}
	}
	if secure(u) {
		if cfg.TLS, err = b.cfg.tlsConfig(u.Hostname(), b.now); err != nil {
			return client.Config{}, err
		}
		if b.cfg.Metered {
			about, err := b.cfg.TLS.fingerprint(u.Host, cfg.TLS)
			if err != nil {
				return client.Config{}, err
			}
			b.tickets.use(cfg.TLS, about)
		}
	}
	return cfg, nil
}

func secure(u *url.URL) bool { return strings.HasSuffix(u.Scheme, "s") && u.Scheme != "ws" }
