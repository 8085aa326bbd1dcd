package broker

import "fieldgate/configs/conf"

// Config is the [broker] section. Its zero value is one listener on
// 127.0.0.1:1883 for tools on this box.
type Config struct {
	MaxClients       int            `toml:"max_clients"`        // default 100
	MaxSessions      int            `toml:"max_sessions"`       // with the offline ones, default 10 × max_clients
	MaxPacket        conf.Size      `toml:"max_packet"`         // default 256KiB
	MaxQueued        int            `toml:"max_queued"`         // messages per offline session, default 1000
	MaxQueuedBytes   conf.Size      `toml:"max_queued_bytes"`   // of all sessions together, default 256MiB
	MaxInflight      int            `toml:"max_inflight"`       // unacknowledged deliveries per client, default 100
	MaxOutBuffer     conf.Size      `toml:"max_out_buffer"`     // unsent bytes per client, default 1MiB
	MaxSubscriptions int            `toml:"max_subscriptions"`  // per client, default 1000
	MaxLevels        int            `toml:"max_levels"`         // topic levels, default and most 128
	RetainLimit      int            `toml:"retain_limit"`       // messages, default 10000
	RetainBytes      conf.Size      `toml:"retain_bytes"`       // default 64MiB
	WhenFull         string         `toml:"when_full"`          // a slow subscriber's queue is full: "slow" the publisher (default) or "refuse" with 0x97
	ConnectTimeout   conf.Duration  `toml:"connect_timeout"`    // TLS handshake and CONNECT, default 5s
	MaxKeepAlive     conf.Duration  `toml:"max_keepalive"`      // longest that MQTT 5 clients may ask for, default 1h
	SysInterval      *conf.Duration `toml:"sys_interval"`       // default 10s; 0s: no $SYS
	SysLog           bool           `toml:"sys_log"`            // the broker's log under $SYS/broker/log/E, W, N, I; default off
	Persist          *bool          `toml:"persist"`            // default true
	MaxSessionExpiry conf.Duration  `toml:"max_session_expiry"` // default 7d
	MaxQoS           *int           `toml:"max_qos"`            // default 2
	Retain           *bool          `toml:"retain"`             // false: retained messages are refused; default true
	Wildcards        *bool          `toml:"wildcards"`          // false: subscriptions with + and # are refused; default true
	Shared           *bool          `toml:"shared"`             // false: $share is refused; default true
	SubscriptionIDs  *bool          `toml:"subscription_ids"`   // default true
	LANHint          *bool          `toml:"lan_hint"`           // say so when somebody from the network tries the port of a listener on loopback; default true
	Listener         []Listener     `toml:"listener"`
	Auth             Auth           `toml:"auth"`
	ACL              []ACL          `toml:"acl"`
}

// Listener is a [[broker.listener]] section.
type Listener struct {
	Name           string     `toml:"name"`
	Bind           string     `toml:"bind"` // host:port, or unix:/path
	AllowAnonymous bool       `toml:"allow_anonymous"`
	RiskAccepted   bool       `toml:"risk_accepted"`
	WebSocket      *WebSocket `toml:"websocket"`
	TLS            *TLS       `toml:"tls"`
	MaxClients     int        `toml:"max_clients"`  // default: the broker's
	MaxPacket      conf.Size  `toml:"max_packet"`   // default: the broker's
	MaxConnects    int        `toml:"max_connects"` // new connections per second, default 100
	MaxRate        int        `toml:"max_rate"`     // messages per second of one client; 0: no limit
}

// WebSocket makes a listener speak MQTT over WebSocket.
type WebSocket struct {
	Path    string   `toml:"path"` // default /mqtt
	Origins []string `toml:"origins"`
}

// TLS is a listener's certificate.
type TLS struct {
	CertFile     string `toml:"cert_file"`
	KeyFile      string `toml:"key_file"`
	ClientCAFile string `toml:"client_ca_file"` // client certificates: user = common name
	UserFrom     string `toml:"user_from"`      // "cn" (default) or "san": the first URI, DNS name or address of the certificate
	Auto         string `toml:"auto"`           // "self-signed"
}

// Auth names the password file.
type Auth struct {
	UsersFile string `toml:"users_file"`
}

// ACL is a [[broker.acl]] section; the first one whose user matches decides.
type ACL struct {
	User  string   `toml:"user"`  // a name, "*" for every user with a name, "anonymous" for those without
	Allow []string `toml:"allow"` // "read FILTER", "write FILTER", "readwrite FILTER", "deny FILTER"
}
