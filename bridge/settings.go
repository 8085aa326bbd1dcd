package bridge

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"fieldgate/mqtt"
)

// Defaults of the [[upstream]] section.
const (
	DefaultKeepalive    = 60 * time.Second
	DefaultKeepaliveMax = 20 * time.Minute // what AWS IoT allows
	DefaultTimeout      = 15 * time.Second
	DefaultBackoffMin   = time.Second
	DefaultBackoffMax   = 2 * time.Minute
	DefaultJitter       = 0.3
	DefaultSpread       = 30 * time.Second
	DefaultBacklogShare = 0.5
	DefaultBatchBytes   = 32 << 10
	DefaultMaxAge       = 30 * time.Second
	DefaultStateTopic   = "fieldgate/{gateway}/status"
	DefaultClientID     = "{gateway}"
	DefaultRouteQoS     = 1
	DefaultCommandQoS   = 1
)

// ports are what a URL without a port means.
var ports = map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "80", "wss": "443"}

// aliases are other makers' words for the schemes.
var aliases = map[string]string{"tcp": "mqtt", "ssl": "mqtts", "tls": "mqtts", "mqtt+ssl": "mqtts"}

// ID is the name of the upstream: Name, or the host of its first URL.
func (c Config) ID() string {
	if c.Name != "" {
		return c.Name
	}
	for _, text := range c.urls() {
		if u, err := parseURL(text); err == nil {
			return u.Hostname()
		}
	}
	return "upstream"
}

// urls are all addresses, in the order in which they are tried.
func (c Config) urls() []string {
	var all []string
	if c.URL != "" {
		all = append(all, c.URL)
	}
	return append(all, c.URLs...)
}

// encrypted reports whether some address speaks TLS.
func (c Config) encrypted() bool {
	for _, text := range c.urls() {
		if u, err := parseURL(text); err == nil && secure(u) {
			return true
		}
	}
	return false
}

// parseURL reads an address and puts the scheme's port in.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf(`%q is not an address; write for example "mqtts://mqtt.example.com:8883"`, text)
	}
	if a, ok := aliases[u.Scheme]; ok {
		return nil, fmt.Errorf("scheme %q is called %q here", u.Scheme, a)
	}
	port, ok := ports[u.Scheme]
	switch {
	case !ok:
		return nil, fmt.Errorf("unknown scheme %q; write mqtt, mqtts, ws or wss", u.Scheme)
	case u.User != nil:
		return nil, fmt.Errorf("the address holds a user name; write username and password as keys of their own")
	case u.Hostname() == "":
		return nil, fmt.Errorf("%q names no host", text)
	case (u.Scheme == "mqtt" || u.Scheme == "mqtts") && u.Path != "" && u.Path != "/":
		return nil, fmt.Errorf("a path (%s) needs the scheme ws or wss", u.Path)
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	return u, nil
}

// settings is a Config with the defaults put in and everything compiled.
type settings struct {
	name, gateway string
	urls          []*url.URL
	primary       bool // failover = "primary": go back to the first when it is there again
	version       mqtt.Version
	clientID      string
	username      string
	keepalive     time.Duration
	keepaliveMax  time.Duration // not above keepalive: it is fixed
	timeout       time.Duration
	stateTopic    string // empty: none
	backMin       time.Duration
	backMax       time.Duration
	jitter        float64
	spread        time.Duration
	schedule      schedule
	alarmsPass    bool
	newest        bool // the backlog begins with the newest
	rate          float64
	strict        bool
	share         float64
	routes        []*route
	commands      []*command
	looks         bool // some command may bring back what a route sends up
}

// compile makes settings of a configuration that Validate finds no error in;
// of any other it returns the first thing it cannot make sense of.
func (c Config) compile(gateway string, o compileOptions) (*settings, error) {
	s := &settings{
		name: c.ID(), gateway: gateway, primary: c.Failover != "sticky", version: mqtt.V5,
		clientID: fill(orText(c.ClientID, DefaultClientID), gateway), username: c.Username,
		keepalive: c.Keepalive.Or(DefaultKeepalive), keepaliveMax: c.KeepaliveMax.Or(DefaultKeepaliveMax), timeout: c.Connect.Timeout.Or(DefaultTimeout),
		backMin: c.Connect.BackoffMin.Or(DefaultBackoffMin), backMax: c.Connect.BackoffMax.Or(DefaultBackoffMax),
		spread: c.Connect.Spread.Or(DefaultSpread), alarmsPass: c.Connect.Alarms, newest: c.Drain.Backlog == "newest-first",
		jitter: DefaultJitter, share: DefaultBacklogShare, strict: c.Drain.Order == "strict",
	}
	for _, text := range c.urls() {
		u, err := parseURL(text)
		if err != nil {
			return nil, fmt.Errorf("upstream %s: url: %w", s.name, err)
		}
		s.urls = append(s.urls, u)
	}
	if len(s.urls) == 0 {
		return nil, fmt.Errorf("upstream %s: no url", s.name)
	}
	if c.Version == 4 {
		s.version = mqtt.V311
	}
	if c.StateTopic != "off" {
		s.stateTopic = fill(orText(c.StateTopic, DefaultStateTopic), gateway)
	}
	if c.Connect.Jitter != nil {
		s.jitter = min(1, max(0, *c.Connect.Jitter))
	}
	plan, err := parseSchedule(c.Connect.Schedule)
	if err != nil {
		return nil, fmt.Errorf("upstream %s: connect.schedule: %w", s.name, err)
	}
	s.schedule = plan
	if c.Drain.BacklogShare != nil {
		s.share = min(1, max(0, *c.Drain.BacklogShare))
	}
	if c.Drain.Rate != "" {
		rate, err := parseRate(c.Drain.Rate)
		if err != nil {
			return nil, fmt.Errorf("upstream %s: drain.rate: %w", s.name, err)
		}
		s.rate = rate
	}
	return s, s.compileMaps(c, o)
}

func (s *settings) compileMaps(c Config, o compileOptions) error {
	for i, r := range c.routesOrDefault() {
		compiled, err := r.compile(s.gateway, o)
		if err != nil {
			return fmt.Errorf("upstream %s: route[%d]: %w", s.name, i, err)
		}
		compiled.nearState = s.stateTopic != "" && mqtt.Overlap(compiled.target.filter(compiled.from), s.stateTopic)
		s.routes = append(s.routes, compiled)
	}
	for i, cmd := range c.Command {
		compiled, err := cmd.compile(s.gateway)
		if err != nil {
			return fmt.Errorf("upstream %s: command[%d]: %w", s.name, i, err)
		}
		s.commands = append(s.commands, compiled)
		for _, r := range s.routes {
			s.looks = s.looks || mqtt.Overlap(compiled.from, r.target.filter(r.from))
		}
	}
	return nil
}

// routesOrDefault: without routes every value topic and the status go up as
// they are.
func (c Config) routesOrDefault() []Route {
	if len(c.Route) > 0 {
		return c.Route
	}
	return []Route{{From: "#", Types: []string{mqtt.KindSample.String(), mqtt.KindStatus.String()}}}
}

// password is the secret, read from its file at each attempt so that a new
// one needs no restart.
func (c Config) password() (string, error) {
	if c.PasswordFile == "" {
		return c.Password.Reveal(), nil
	}
	b, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("read password_file: %w", err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// fill puts the gateway's id in.
func fill(text, gateway string) string { return strings.ReplaceAll(text, "{gateway}", gateway) }

func orText(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
