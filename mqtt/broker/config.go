package broker

import "fieldgate/configs/conf"

// Config is the [broker] section. Its zero value is one listener on
// 127.0.0.1:1883 for tools on this box.
type Config struct {
	MaxClients       int            `toml:"max_clients"`        // default 100
	MaxPacket        conf.Size      `toml:"max_packet"`         // default 256KiB
	MaxQueued        int            `toml:"max_queued"`         // messages per offline session, default 1000
	MaxInflight      int            `toml:"max_inflight"`       // unacknowledged deliveries per client, default 20
	RetainLimit      int            `toml:"retain_limit"`       // default 10000
	SysInterval      *conf.Duration `toml:"sys_interval"`       // default 10s; 0s: no $SYS
	Persist          *bool          `toml:"persist"`            // default true
	MaxSessionExpiry conf.Duration  `toml:"max_session_expiry"` // default 7d
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
	MaxClients     int        `toml:"max_clients"` // default: the broker's
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
	Auto         string `toml:"auto"`           // "self-signed"
}

// Auth names the password file.
type Auth struct {
	UsersFile string `toml:"users_file"`
}

// ACL is a [[broker.acl]] section; the first one whose user matches decides.
type ACL struct {
	User  string   `toml:"user"`
	Allow []string `toml:"allow"` // "read FILTER", "write FILTER", "readwrite FILTER", "deny FILTER"
}
