package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/url"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

// Defaults of Config.
const (
	DefaultConnectTimeout = 15 * time.Second
	DefaultReceiveMaximum = 100
	DefaultMaxInflight    = 100
	DefaultMaxPacket      = 1 << 20
	DefaultAliasOut       = 64
)

// Config says where to connect and as whom. The only required field is URL.
type Config struct {
	// URL is mqtt://host:1883, mqtts://host:8883, ws://host:80/path,
	// wss://host:443/path or unix:///path/of/socket; these are the default
	// ports, and tcp and ssl are other names of mqtt and mqtts. User
	// and password in it count where Username and Password are not set.
	URL string

	Version  mqtt.Version // default V5
	Fallback bool         // try 3.1.1 where the broker refuses 5.0, or closes without an answer
	Bridge   bool         // before 5.0: set the bridge bit (no echo from mosquitto); with Fallback, without it where it is refused

	ClientID   string // "": the broker assigns one (5.0), or a session of one connection (3.1.1)
	Username   string
	Password   conf.Secret
	CleanStart bool

	// SessionExpiry is how many seconds the broker keeps our session after
	// the connection; 0xFFFFFFFF: for ever. Before 5.0 0 means a clean
	// session, and anything else one that is kept.
	SessionExpiry uint32

	KeepAlive time.Duration // 0: none; rounded up to seconds, at most 65535 s
	Pulse     Pulse         // pings more often than KeepAlive asks for, as it sees fit; nil: as KeepAlive says
	Will      *mqtt.Will

	TLS    *tls.Config // for mqtts and wss; nil: the system's authorities. ServerName defaults to the host, ALPN is NextProtos
	Header http.Header // of the WebSocket handshake

	// Dialer makes the transport connection; nil: a net.Dialer. network is
	// "tcp" or "unix". With a Proxy it connects to the proxy.
	Dialer func(ctx context.Context, network, address string) (net.Conn, error)
	// Interface is the network interface that the connection leaves by; "": the
	// one that the routes say. Not used with a Dialer of one's own.
	Interface string
	Proxy     string // http://[user:password@]host:port or socks5://…; "": none

	ConnectTimeout time.Duration // for everything up to the CONNACK; default 15 s

	ReceiveMaximum uint16 // messages of QoS > 0 that OnMessage may have unacknowledged; default 100. Announced in 5.0; beyond it nothing is read
	MaxInflight    uint16 // messages of QoS > 0 that we have open to it at most, if its Receive Maximum allows as many; default 100
	MaxPacket      int    // bytes of the largest packet we take; default 1 MiB. Announced in 5.0
	TopicAliasMax  uint16 // aliases that the broker may use; default 0, none
	AliasOut       int    // aliases that we use, if the broker's maximum allows as many; default 64, negative: none

	// Session keeps unfinished exchanges beyond the connection. nil: they
	// end with it.
	Session *Session

	// OnMessage gets every message that comes, in the goroutine that reads:
	// while it runs nothing else is read, so it must not wait for this Conn.
	// It may keep the message, which nobody else holds. With QoS > 0 the
	// broker gets its answer after ack, which may be called later, from any
	// goroutine, more than once and after the connection has ended. Until
	// then the message counts against ReceiveMaximum; answers leave in the
	// order of the messages [MQTT-4.6.0-2]. nil: messages are acknowledged
	// and dropped.
	OnMessage func(m *mqtt.Message, ack func())

	Log *slog.Logger // nil: silent
}

// endpoint is where a URL leads.
type endpoint struct {
	scheme  string // mqtt, mqtts, ws, wss, unix
	address string // host:port, or the path of a socket
	host    string
	path    string // of a WebSocket, with its query
}

func (e endpoint) tls() bool { return e.scheme == "mqtts" || e.scheme == "wss" }
func (e endpoint) ws() bool  { return e.scheme == "ws" || e.scheme == "wss" }

var defaultPorts = map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "80", "wss": "443"}

var schemeAliases = map[string]string{"tcp": "mqtt", "ssl": "mqtts", "tls": "mqtts", "mqtt+ssl": "mqtts"}

const urlHelp = "write mqtt://HOST:1883, mqtts://HOST:8883, ws://HOST/PATH, wss://HOST/PATH or unix:///PATH"

// parseURL takes a broker's URL apart.
func parseURL(text string) (endpoint, *url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return endpoint{}, nil, fmt.Errorf("the broker's URL cannot be read; %s", urlHelp) // err would show a password in it
	}
	e := endpoint{scheme: u.Scheme, host: u.Hostname()}
	if s, ok := schemeAliases[u.Scheme]; ok {
		e.scheme = s
	}
	if e.scheme == "unix" {
		if e.address = u.Path; e.address == "" || u.Host != "" {
			return e, u, fmt.Errorf("URL %q names no socket; write unix:///PATH", u.Redacted())
		}
		return e, u, nil
	}
	port, known := defaultPorts[e.scheme]
	if !known || e.host == "" {
		return e, u, fmt.Errorf("URL %q has no known scheme and host; %s", u.Redacted(), urlHelp)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	e.address = net.JoinHostPort(e.host, port)
	if e.ws() {
		e.path = u.RequestURI()
	} else if u.Path != "" && u.Path != "/" {
		return e, u, fmt.Errorf("URL %q has a path, which only ws:// and wss:// can have", u.Redacted())
	}
	return e, u, nil
}

// prepare fills in the defaults, and refuses what cannot work.
func (c Config) prepare() (Config, endpoint, error) {
	e, u, err := parseURL(c.URL)
	if err != nil {
		return c, e, err
	}
	if u.User != nil && c.Username == "" && c.Password.IsZero() {
		password, _ := u.User.Password()
		c.Username, c.Password = u.User.Username(), conf.NewSecret(password)
	}
	if c.Version == 0 {
		c.Version = mqtt.V5
	}
	if c.Version < mqtt.V31 || c.Version > mqtt.V5 {
		return c, e, fmt.Errorf("MQTT protocol level %d does not exist; use 5 (MQTT 5.0), 4 (3.1.1) or 3 (3.1)", c.Version)
	}
	if c.KeepAlive < 0 || c.KeepAlive > math.MaxUint16*time.Second {
		return c, e, fmt.Errorf("keep alive of %s; the most that MQTT allows is 65535 s", c.KeepAlive)
	}
	if c.MaxPacket < 0 {
		return c, e, fmt.Errorf("largest packet of %d bytes", c.MaxPacket)
	}
	c.MaxPacket = or(c.MaxPacket, DefaultMaxPacket)
	c.ConnectTimeout = or(c.ConnectTimeout, DefaultConnectTimeout)
	c.ReceiveMaximum = or(c.ReceiveMaximum, DefaultReceiveMaximum)
	c.MaxInflight = or(c.MaxInflight, DefaultMaxInflight)
	c.AliasOut = or(c.AliasOut, DefaultAliasOut)
	if c.Session == nil {
		c.Session = NewSession()
		c.Session.private = true
	}
	if c.ClientID == "" {
		c.ClientID = c.Session.assignedID()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c, e, nil
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
