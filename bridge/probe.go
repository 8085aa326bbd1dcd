package bridge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
)

// Step is one step of Test.
type Step struct {
	Name string // "address", "route", "dns", "tcp", "tls", "mqtt", "publish", "subscribe"
	OK   bool
	Text string // a sentence without a full stop
	Hint string // what to change; empty where it is OK
	Took time.Duration
}

// TestOptions are what Test needs beside the configuration.
type TestOptions struct {
	Gateway string
	Build   time.Time        // see Options
	Floor   func() time.Time // see Options
}

// Test goes to the upstream step by step and says what each brought. It stops
// at the first step that fails; with several addresses it tests the first one
// that works, and all steps of those before. It changes nothing there: it
// publishes one message on "fieldgate/GATEWAY/test", not retained.
func Test(ctx context.Context, cfg Config, o TestOptions) []Step {
	b, err := New(cfg, Options{Gateway: o.Gateway, Base: "fieldgate/" + o.Gateway, Buffer: noStore{}, Build: o.Build, Floor: o.Floor})
	if err != nil {
		return []Step{{Name: "address", Text: err.Error(), Hint: "correct the configuration; fieldgate check shows where"}}
	}
	var steps []Step
	for i, u := range b.s.urls {
		p := &probe{b: b, u: u}
		if len(b.s.urls) > 1 {
			p.add("address", time.Now(), nil, "%s, address %d of %d", u, i+1, len(b.s.urls))
		}
		p.run(ctx)
		steps = append(steps, p.steps...)
		if p.ok() {
			break
		}
	}
	return steps
}

// noStore stands in for the buffer where nothing is queued.
type noStore struct{ Appender }

func (noStore) Wall(s clock.Stamp) (time.Time, bool) {
	ok, _ := clock.Synced()
	return clock.Wall(s), ok
}

// probe tests one address.
type probe struct {
	b     *Bridge
	u     *url.URL
	steps []Step
}

func (p *probe) ok() bool {
	for _, s := range p.steps {
		if !s.OK {
			return false
		}
	}
	return true
}

// add notes a step. The text is used where err is nil.
func (p *probe) add(name string, began time.Time, err error, format string, args ...any) bool {
	s := Step{Name: name, OK: err == nil, Took: time.Since(began)}
	if err != nil {
		r := explain(err, p.b.cfg)
		s.Text, s.Hint = r.text, r.hint
	} else {
		s.Text = fmt.Sprintf(format, args...)
	}
	p.steps = append(p.steps, s)
	return s.OK
}

func (p *probe) run(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 4*p.b.s.timeout)
	defer cancel()
	if p.b.cfg.Proxy == "" && !p.network(ctx) {
		return
	}
	p.login(ctx)
}

// network tests what lies below MQTT, where no proxy does it for us.
func (p *probe) network(ctx context.Context) bool {
	began := time.Now()
	addrs := []string{p.u.Hostname()}
	if net.ParseIP(p.u.Hostname()) == nil {
		found, err := net.DefaultResolver.LookupHost(ctx, p.u.Hostname())
		if !p.add("dns", began, err, "%s is %s", p.u.Hostname(), strings.Join(found, ", ")) {
			return false
		}
		addrs = found
	}
	began = time.Now()
	// Connecting a datagram socket sends nothing; it asks the kernel for the way.
	way, err := net.Dial("udp", net.JoinHostPort(addrs[0], p.u.Port()))
	local := ""
	if err == nil {
		local = way.LocalAddr().(*net.UDPAddr).IP.String()
		way.Close()
	}
	if !p.add("route", began, err, "packets leave from %s", local) {
		return false
	}
	return p.connect(ctx)
}

func (p *probe) connect(ctx context.Context) bool {
	began := time.Now()
	d := client.NewDialer(p.b.cfg.Connect.Interface)
	d.Timeout = p.b.s.timeout
	conn, err := d.DialContext(ctx, "tcp", p.u.Host)
	if err != nil {
		return p.add("tcp", began, err, "")
	}
	defer conn.Close()
	p.add("tcp", began, nil, "connected to %s", conn.RemoteAddr())
	if !secure(p.u) {
		return true
	}
	began = time.Now()
	cfg, err := p.b.cfg.tlsConfig(p.u.Hostname(), p.b.now)
	if err != nil {
		return p.add("tls", began, err, "")
	}
	ctx, cancel := context.WithTimeout(ctx, p.b.s.timeout)
	defer cancel()
	t := tls.Client(conn, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		return p.add("tls", began, &client.DialError{Step: client.StepTLS, Address: p.u.Host, Err: err}, "")
	}
	st := t.ConnectionState()
	cert := st.PeerCertificates[0]
	return p.add("tls", began, nil, "%s, certificate of %s by %s, valid until %s", tls.VersionName(st.Version),
		orText(cert.Subject.CommonName, strings.Join(cert.DNSNames, " ")), orText(cert.Issuer.CommonName, "an unnamed authority"), cert.NotAfter.UTC().Format(time.DateOnly))
}

// login connects as the gateway does. It adds "-test" to the client id, so as
// not to throw a running gateway out, unless the upstream insists on the id.
func (p *probe) login(ctx context.Context) {
	began := time.Now()
	cfg, err := p.b.clientConfig(p.u)
	if err != nil {
		p.add("mqtt", began, err, "")
		return
	}
	cfg.Will = nil
	id := cfg.ClientID
	cfg.ClientID += "-test"
	conn, err := client.Dial(ctx, cfg)
	var code mqtt.ReasonCode
	if errors.As(err, &code) && (code == mqtt.ClientIDNotValid || code == mqtt.NotAuthorized) {
		cfg.ClientID = id
		conn, err = client.Dial(ctx, cfg)
	}
	if err != nil {
		p.add("mqtt", began, err, "")
		return
	}
	defer conn.Close()
	p.add("mqtt", began, nil, "logged in as %q%s, %s", cfg.ClientID, as(cfg.Username), describe(conn.Limits()))
	p.publish(ctx, conn)
	p.subscribe(ctx, conn)
}

func as(user string) string {
	if user == "" {
		return ""
	}
	return fmt.Sprintf(", user %q", user)
}

// describe is what the upstream allows, where it matters.
func describe(l client.Limits) string {
	if l.Version != mqtt.V5 {
		return "MQTT 3.1.1"
	}
	s := fmt.Sprintf("MQTT 5, at most %d messages unacknowledged", l.ReceiveMaximum)
	if l.MaxPacket > 0 {
		s += fmt.Sprintf(", packets up to %d bytes", l.MaxPacket)
	}
	if l.MaxQoS < 2 {
		s += fmt.Sprintf(", QoS up to %d", l.MaxQoS)
	}
	if !l.RetainAvailable {
		s += ", no retained messages"
	}
	return s
}

func (p *probe) publish(ctx context.Context, conn *client.Conn) {
	began := time.Now()
	topic := "fieldgate/" + p.b.s.gateway + "/test"
	err := conn.Publish(ctx, mqtt.Message{Topic: topic, Payload: []byte("fieldgate upstream test"), QoS: min(1, conn.Limits().MaxQoS)})
	var code mqtt.ReasonCode
	if errors.As(err, &code) && code == mqtt.NotAuthorized {
		p.steps = append(p.steps, Step{Name: "publish", Took: time.Since(began), Text: fmt.Sprintf("not allowed to publish on %s (%s)", topic, code),
			Hint: "the topics of your routes may be allowed all the same; look at the upstream's access rules"})
		return
	}
	p.add("publish", began, err, "acknowledged on %s after %s", topic, time.Since(began).Round(time.Millisecond))
}

func (p *probe) subscribe(ctx context.Context, conn *client.Conn) {
	for _, c := range p.b.s.commands {
		began := time.Now()
		codes, err := conn.Subscribe(ctx, mqtt.Subscription{Filter: c.from, QoS: c.qos})
		if err == nil && len(codes) == 1 && codes[0].Failed() {
			err = codes[0]
		}
		var code mqtt.ReasonCode
		if errors.As(err, &code) {
			p.steps = append(p.steps, Step{Name: "subscribe", Took: time.Since(began), Text: fmt.Sprintf("not allowed to subscribe to %s (%s)", c.from, code),
				Hint: "allow it in the upstream's access rules, or correct command.from"})
			continue
		}
		if !p.add("subscribe", began, err, "%s", c.from) {
			return
		}
	}
}
