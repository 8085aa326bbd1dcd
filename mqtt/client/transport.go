package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// transport connects up to the point where MQTT begins. Every error is a
// *DialError.
func (c *Config) transport(ctx context.Context, e endpoint) (net.Conn, error) {
	nc, err := c.connect(ctx, e)
	if err != nil {
		return nil, err
	}
	setUserTimeout(nc)
	if e.tls() {
		t := tls.Client(nc, c.tlsConfig(e))
		if err := t.HandshakeContext(ctx); err != nil {
			_ = nc.Close()
			return nil, failed(StepTLS, e.address, cause(ctx, err))
		}
		nc = t
	}
	if e.ws() {
		w, err := c.webSocket(ctx, nc, e)
		if err != nil {
			_ = nc.Close()
			return nil, failed(StepWebSocket, e.address, cause(ctx, err))
		}
		return w, nil
	}
	return nc, nil
}

// Reach connects to the broker's port, through the proxy if there is one, and
// speaks neither TLS nor MQTT: it finds out whether somebody listens. Every
// error is a *DialError.
func Reach(ctx context.Context, cfg Config) (net.Conn, error) {
	cfg, e, err := cfg.prepare()
	if err != nil {
		return nil, &DialError{Step: StepConfig, Address: "broker", Err: err}
	}
	return cfg.connect(ctx, e)
}

// connect makes the connection to the broker's port, through the proxy if
// there is one.
func (c *Config) connect(ctx context.Context, e endpoint) (net.Conn, error) {
	if e.scheme == "unix" {
		return c.dial(ctx, "unix", e.address)
	}
	if c.Proxy == "" {
		return c.dial(ctx, "tcp", e.address)
	}
	return c.throughProxy(ctx, e.address)
}

func (c *Config) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dial := c.Dialer
	if dial == nil {
		dial = NewDialer(c.Interface).DialContext
	}
	nc, err := dial(ctx, network, address)
	if err == nil {
		return nc, nil
	}
	step := StepTCP
	if dns := (*net.DNSError)(nil); errors.As(err, &dns) {
		step = StepDNS
	}
	return nil, failed(step, address, cause(ctx, err))
}

func (c *Config) tlsConfig(e endpoint) *tls.Config {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLS != nil {
		t = c.TLS.Clone()
	}
	if t.ServerName == "" {
		t.ServerName = e.host
	}
	return t
}

// withContext bounds what f does with nc by the context.
func withContext(ctx context.Context, nc net.Conn, f func() error) error {
	if deadline, ok := ctx.Deadline(); ok {
		_ = nc.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	err := f()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	_ = nc.SetDeadline(time.Time{}) // where it fails, so does what comes next
	return cause(ctx, err)
}

// cause puts the context's word in place of the error that its end has led to.
func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
