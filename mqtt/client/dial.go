package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// Dial connects to the broker and returns when it has accepted. The context
// and ConnectTimeout bound this call, not the connection.
//
// An error is a *DialError, which names the step and the remedy; it unwraps to
// *Refused where the broker said no. Where the broker does not know MQTT 5.0
// and Fallback is set, Dial connects again with 3.1.1; Limits tells what was
// agreed on.
func Dial(ctx context.Context, cfg Config) (*Conn, error) {
	cfg, e, err := cfg.prepare()
	if err != nil {
		return nil, &DialError{Step: StepConfig, Address: "broker", Err: err}
	}
	if cfg.Session.busy() {
		return nil, &DialError{Step: StepConfig, Address: e.address, Err: errSessionBusy}
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout)
	defer cancel()
	var first error
	for _, a := range cfg.attempts() {
		c, err := cfg.attempt(ctx, e, a)
		if err == nil {
			return c, nil
		}
		if first == nil || !closed(err) {
			first = err
		}
		if ctx.Err() != nil || !worthAnother(err) {
			break
		}
		cfg.Log.Warn("broker does not accept the protocol", "address", e.address, "version", a.version, "bridge", a.bridge, "err", err)
	}
	return nil, first
}

// try is one way of saying CONNECT.
type try struct {
	version mqtt.Version
	bridge  bool
}

// attempts are the ways to try, in order.
func (c *Config) attempts() []try {
	first := try{c.Version, c.Bridge && c.Version != mqtt.V5}
	list := []try{first}
	if !c.Fallback {
		return list
	}
	if c.Version == mqtt.V5 && c.Bridge {
		list = append(list, try{mqtt.V311, true})
	}
	if plain := (try{min(c.Version, mqtt.V311), false}); plain != first {
		list = append(list, plain)
	}
	return list
}

// worthAnother reports an error by which a broker of an older version may have
// meant that it does not know ours: it says so, it closes without an answer,
// or the answer cannot be read.
func worthAnother(err error) bool {
	var dial *DialError
	if !errors.As(err, &dial) || dial.Step != StepMQTT {
		return false
	}
	return errors.Is(err, mqtt.UnsupportedProtocolVersion) || closed(err) ||
		errors.Is(err, mqtt.MalformedPacket) || errors.Is(err, mqtt.ProtocolError)
}

func (c *Config) attempt(ctx context.Context, e endpoint, a try) (*Conn, error) {
	hello := c.hello(a)
	first, err := hello.Append(nil, a.version)
	if err != nil {
		return nil, &DialError{Step: StepConfig, Address: e.address, Err: err, Remedy: "change the client id, login or will"}
	}
	nc, err := c.transport(ctx, e)
	if err != nil {
		return nil, err
	}
	conn := newConn(*c, nc)
	answer := &packet.Connack{}
	err = withContext(ctx, nc, func() error {
		if _, err := nc.Write(first); err != nil {
			return err
		}
		answer, err = conn.readConnack(a.version)
		return err
	})
	if err == nil && answer.Reason != mqtt.Success {
		err = &Refused{"CONNECT", answer.Reason, answer.Props.ReasonString, answer.Props.ServerReference}
	}
	if err == nil && a.version == mqtt.V5 && hello.CleanStart && answer.SessionPresent { // [MQTT-3.2.2-4]
		err = fmt.Errorf("a session is present after a clean start: %w", mqtt.ProtocolError)
	}
	if err == nil {
		conn.limits = limitsOf(hello, answer)
		err = conn.start()
	}
	if err != nil {
		_ = nc.Close()
		return nil, handshakeFailed(e, err)
	}
	return conn, nil
}

// handshakeFailed finds the step: with TLS 1.3 a client learns only now that
// its certificate was refused.
func handshakeFailed(e endpoint, err error) *DialError {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return failed(StepTLS, e.address, err)
	}
	return failed(StepMQTT, e.address, err)
}

// hello is the CONNECT packet.
func (c *Config) hello(a try) *packet.Connect {
	p := &packet.Connect{
		Version:     a.version,
		Bridge:      a.bridge,
		CleanStart:  c.CleanStart,
		KeepAlive:   uint16((c.KeepAlive + time.Second - 1) / time.Second),
		ClientID:    c.ClientID,
		Username:    c.Username,
		HasUsername: c.Username != "",
		HasPassword: !c.Password.IsZero(),
		Password:    []byte(c.Password.Reveal()),
		Will:        c.Will,
	}
	if a.version != mqtt.V5 {
		p.HasUsername = p.HasUsername || p.HasPassword // 3.1.1 [MQTT-3.1.2-22]
		p.CleanStart = c.CleanStart || c.SessionExpiry == 0 || c.ClientID == ""
		return p
	}
	p.Props = packet.ConnectProps{
		SessionExpiry:  c.SessionExpiry,
		ReceiveMaximum: c.ReceiveMaximum,
		MaxPacket:      uint32(min(c.MaxPacket, packet.MaxPacket)),
		TopicAliasMax:  c.TopicAliasMax,
	}
	return p
}

// readConnack reads the answer to our CONNECT.
func (c *Conn) readConnack(v mqtt.Version) (*packet.Connack, error) {
	header, body, err := c.r.Next()
	if err != nil {
		return nil, err
	}
	if t := packet.TypeOf(header); t != packet.TypeConnack {
		return nil, fmt.Errorf("the answer to CONNECT is %s: %w", t, mqtt.ProtocolError)
	}
	// A broker without 5.0 answers as it can; in 5.0 there are three bytes at least.
	older := v == mqtt.V5 && len(body) == 2
	if older {
		v = mqtt.V311
	}
	p, err := packet.Decode(header, body, v)
	if err != nil {
		return nil, err
	}
	answer := p.(*packet.Connack)
	if older && answer.Reason == mqtt.Success {
		return nil, fmt.Errorf("the answer to CONNECT is one of MQTT 3.1.1: %w", mqtt.MalformedPacket)
	}
	return answer, nil
}
