package broker

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// handshake completes TLS and takes the user's name from the client's certificate.
func (c *conn) handshake(ctx context.Context, t *tls.Conn) error {
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	c.nameFromCertificate(t.ConnectionState())
	return nil
}

// nameFromCertificate is only called for verified chains: a listener with a
// client CA requires and verifies.
func (c *conn) nameFromCertificate(state tls.ConnectionState) {
	if len(state.VerifiedChains) == 0 {
		return
	}
	leaf := state.VerifiedChains[0][0]
	if c.l.userFromSAN() {
		switch {
		case len(leaf.URIs) > 0:
			c.cert = leaf.URIs[0].String()
		case len(leaf.DNSNames) > 0:
			c.cert = leaf.DNSNames[0]
		case len(leaf.EmailAddresses) > 0:
			c.cert = leaf.EmailAddresses[0]
		}
		return
	}
	c.cert = leaf.Subject.CommonName
}

// readConnect reads the first packet. Before a client has shown who it is, it
// gets maxConnectPacket bytes, allocated as they come, and the connect timeout.
func (c *conn) readConnect() (*packet.Connect, error) {
	for {
		header, body, n, err := packet.Split(c.in.data, maxConnectPacket)
		if len(c.in.data) > 0 && c.in.data[0] != 0x10 { // TLS begins with 0x16, which would be CONNECT with wrong flags
			return nil, c.notMQTT()
		}
		if err != nil {
			return nil, err
		}
		if n > 0 {
			p, err := packet.Decode(header, body, mqtt.V311)
			if err != nil {
				c.version = versionOf(body)
				return nil, err
			}
			connect := *p.(*packet.Connect)
			connect.Password = append([]byte(nil), connect.Password...)
			if w := connect.Will; w != nil {
				w.Message.Payload = append([]byte(nil), w.Message.Payload...)
			}
			c.in.data = c.in.data[n:]
			return &connect, nil
		}
		if err := c.in.read(); err != nil {
			return nil, err
		}
	}
}

// versionOf guesses in which version a client that sent a wrong CONNECT wants
// its answer.
func versionOf(body []byte) mqtt.Version {
	if strings.HasPrefix(string(body), "\x00\x04MQTT") && len(body) > 6 {
		if body[6] >= byte(mqtt.V5) && body[6] < 0x80 {
			return mqtt.V5
		}
		return mqtt.V311
	}
	return mqtt.V31
}

var errNotConnect = errors.New("the first packet is not CONNECT")

// notMQTT names what else tries to talk to us.
func (c *conn) notMQTT() error {
	switch first := c.in.data[0]; {
	case first == 0x16:
		return fmt.Errorf("the client speaks TLS, but this listener does not; use a listener with tls, or a client without")
	case strings.HasPrefix("GET ", string(c.in.data[:min(4, len(c.in.data))])):
		return fmt.Errorf("the client speaks HTTP; for MQTT over WebSocket use a listener with websocket")
	}
	return errNotConnect
}

// refuseConnect ends a connection that did not get as far as a session.
// A CONNACK only answers what was meant as a CONNECT, and before MQTT 5 not
// one that does not conform [MQTT-3.1.4-1].
func (c *conn) refuseConnect(err error) {
	var wrong *packet.Error
	if errors.As(err, &wrong) && c.version != 0 && (c.version == mqtt.V5 || wrong.Reason == mqtt.UnsupportedProtocolVersion) {
		text := wrong.Text
		if wrong.Reason == mqtt.UnsupportedProtocolVersion {
			text = "" // whoever that is gets the plainest CONNACK there is
		}
		c.connack(wrong.Reason, text)
	}
	if isTimeout(err) {
		err = errors.New("no CONNECT in time")
	}
	c.in.release()
	c.b.stats.connectsRefused.Add(1)
	c.l.logRefused(c.nc, err)
}

// connack writes a CONNACK that ends the connection, with what is wrong in
// words where the client's version and its largest packet have room for that.
func (c *conn) connack(reason mqtt.ReasonCode, text string) {
	p := &packet.Connack{Reason: reason, Props: packet.ConnackProps{ReasonString: text}}
	if c.version != mqtt.V5 {
		p.Props.ReasonString = ""
	}
	b, err := p.Append(nil, c.version)
	if err != nil || len(b) > c.maxPacket { // [MQTT-3.2.2-19]
		p.Props.ReasonString = ""
		b, err = p.Append(nil, c.version)
	}
	if err == nil && len(b) <= c.maxPacket {
		c.nc.SetWriteDeadline(time.Now().Add(lingerTimeout))
		c.nc.Write(b)
	}
}

// refusal is why a CONNECT is not accepted; the client is told the text.
type refusal struct {
	reason mqtt.ReasonCode
	text   string
}

func (r *refusal) Error() string { return r.text + ": " + r.reason.String() }

// admit decides about a CONNECT and attaches the connection to its session.
// It returns false where the connection is over.
func (c *conn) admit(ctx context.Context, p *packet.Connect) bool {
	c.version = p.Version
	if p.Props.MaxPacket > 0 {
		c.maxPacket = int(min(p.Props.MaxPacket, packet.MaxPacket))
	}
	who, err := c.identify(ctx, p)
	if err == nil {
		err = c.checkWill(p.Will)
	}
	if err == nil {
		err = c.attach(ctx, p, who)
	}
	if err == nil {
		return true
	}
	var r *refusal
	if !errors.As(err, &r) {
		r = &refusal{mqtt.ServerUnavailable, ""}
	} else {
		err = r
	}
	if r.reason == mqtt.BadUserNameOrPassword || r.reason == mqtt.NotAuthorized {
		c.b.stats.authFailures.Add(1)
	}
	c.b.stats.connectsRefused.Add(1)
	c.l.logRefused(c.nc, fmt.Errorf("client %q, user %q: %w", p.ClientID, p.Username, err))
	c.connack(r.reason, r.text)
	c.in.release()
	return false
}

// identify checks who the client is: by its certificate, its password, or by
// leave of the listener.
func (c *conn) identify(ctx context.Context, p *packet.Connect) (identity, error) {
	who := identity{client: p.ClientID, local: c.l.local}
	if p.Props.Auth != nil {
		return who, &refusal{mqtt.BadAuthenticationMethod, fmt.Sprintf("authentication method %q", p.Props.Auth.Method)}
	}
	if err := c.checkClientID(p); err != nil {
		return who, err
	}
	who.client = p.ClientID
	switch {
	case c.cert != "":
		who.user, who.cert = c.cert, true // the certificate has the last word, whatever CONNECT says
	case p.HasUsername && p.Username != "":
		wait, cancel := context.WithTimeout(ctx, c.b.set.Load().connectTimeout)
		defer cancel()
		if !c.b.users.Load().check(wait.Done(), p.Username, p.Password) {
			return who, &refusal{mqtt.BadUserNameOrPassword, "wrong user name or password"}
		}
		who.user = p.Username
	case !c.l.anonymous():
		return who, &refusal{mqtt.NotAuthorized, "this listener wants a user name and a password"}
	}
	return who, nil
}

// checkClientID assigns a client id where the client has none and may.
func (c *conn) checkClientID(p *packet.Connect) error {
	switch {
	case len(p.ClientID) > maxClientID:
		return &refusal{mqtt.ClientIDNotValid, fmt.Sprintf("client id has more than %d bytes", maxClientID)}
	case p.ClientID != "":
		return nil
	case p.Version == mqtt.V31, p.Version == mqtt.V311 && !p.CleanStart: // [MQTT-3.1.3-8]
		return &refusal{mqtt.ClientIDNotValid, "client id is empty"}
	}
	var random [10]byte
	if _, err := rand.Read(random[:]); err != nil {
		return err
	}
	c.assigned = true
	p.ClientID = "auto-" + strings.ToLower(base32.StdEncoding.EncodeToString(random[:]))
	return nil
}

func (c *conn) checkWill(w *mqtt.Will) error {
	set := c.b.set.Load()
	switch {
	case w == nil:
	case w.Message.QoS > set.maxQoS: // [MQTT-3.2.2-12]
		return &refusal{mqtt.QoSNotSupported, "QoS of the will"}
	case w.Message.Retain && !set.retain: // [MQTT-3.2.2-13]
		return &refusal{mqtt.RetainNotSupported, "retained will"}
	case mqtt.CheckTopic(w.Message.Topic) != nil, !c.b.levelsFit(w.Message.Topic), system(w.Message.Topic):
		return &refusal{mqtt.TopicNameInvalid, fmt.Sprintf("topic %q of the will", w.Message.Topic)}
	}
	return nil
}

// accept is the CONNACK of an accepted connection. It announces what differs
// from what the client asked for or may take for granted.
func (c *conn) accept(p *packet.Connect, present bool) *packet.Connack {
	set := c.b.set.Load()
	a := &packet.Connack{SessionPresent: present}
	if c.version != mqtt.V5 {
		return a
	}
	props := &a.Props
	if c.assigned {
		props.AssignedClientID = p.ClientID
	}
	if c.s.expiry != p.Props.SessionExpiry {
		props.SessionExpiry, props.HasSessionExpiry = c.s.expiry, true
	}
	if most := uint16(min(set.maxKeepAlive/time.Second, 65535)); p.KeepAlive == 0 || p.KeepAlive > most {
		props.ServerKeepAlive, props.HasKeepAlive = most, true
	}
	props.ReceiveMaximum = maxReceive
	props.MaxQoS, props.HasMaxQoS = set.maxQoS, set.maxQoS < 2
	props.NoRetain = !set.retain
	props.MaxPacket = uint32(c.l.maxPacket())
	props.TopicAliasMax = maxTopicAliasIn
	props.NoWildcards, props.NoShared, props.NoSubscriptionIDs = !set.wildcards, !set.shared, !set.subscriptionIDs
	return a
}

// limits takes over what the client announced in CONNECT.
func (c *conn) limits(p *packet.Connect) {
	set := c.b.set.Load()
	c.window, c.quiet = set.maxInflight, p.Props.NoProblemInfo
	keep := time.Duration(p.KeepAlive) * time.Second
	if c.version == mqtt.V5 {
		if p.Props.ReceiveMaximum > 0 {
			c.window = min(c.window, int(p.Props.ReceiveMaximum))
		}
		c.aliasMax = min(int(p.Props.TopicAliasMax), maxTopicAliasOut)
		if keep == 0 || keep > set.maxKeepAlive {
			keep = set.maxKeepAlive.Truncate(time.Second)
		}
	}
	c.keep = keep + keep/2 // [MQTT-3.1.2-22]
	c.maxOut = set.maxOut
}
