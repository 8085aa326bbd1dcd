package bridge

import "fieldgate/configs/conf"

// Config is an [[upstream]] section: a remote broker that we log in to.
type Config struct {
	Name         string        `toml:"name"` // default: the host of the URL
	URL          string        `toml:"url"`  // mqtt|mqtts|ws|wss
	URLs         []string      `toml:"urls"`
	Failover     string        `toml:"failover"`  // primary|sticky
	Version      int           `toml:"version"`   // 5 (falls back to 4), 4
	ClientID     string        `toml:"client_id"` // default "{gateway}"
	Username     string        `toml:"username"`
	Password     conf.Secret   `toml:"password"`
	PasswordFile string        `toml:"password_file"`
	TLS          TLS           `toml:"tls"`
	Keepalive    conf.Duration `toml:"keepalive"`     // default 60s: where the learning begins
	KeepaliveMax conf.Duration `toml:"keepalive_max"` // default 20m; not above keepalive: nothing is learnt
	Metered      bool          `toml:"metered"`       // every byte costs: smaller handshakes
	Proxy        string        `toml:"proxy"`         // http://host:port or socks5://host:port
	StateTopic   string        `toml:"state_topic"`   // online|offline, will; default "fieldgate/{gateway}/status"; "off": none
	Connect      Connect       `toml:"connect"`
	Drain        Drain         `toml:"drain"`
	Budget       Budget        `toml:"budget"`
	Disabled     bool          `toml:"disabled"`
	Route        []Route       `toml:"route"`
	Command      []Command     `toml:"command"`
}

// TLS is how we check the upstream and who we are to it.
type TLS struct {
	CAFile     string   `toml:"ca_file"` // default: the system's
	CertFile   string   `toml:"cert_file"`
	KeyFile    string   `toml:"key_file"`
	ServerName string   `toml:"server_name"`
	ALPN       []string `toml:"alpn"`
	Groups     []string `toml:"groups"`   // key exchanges, best first; default: Go's, with metered x25519 alone
	Insecure   bool     `toml:"insecure"` // accept any certificate; check warns
}

// Connect is when, how often and by which way we try.
type Connect struct {
	Timeout    conf.Duration `toml:"timeout"`     // default 15s
	BackoffMin conf.Duration `toml:"backoff_min"` // default 1s
	BackoffMax conf.Duration `toml:"backoff_max"` // default 2m
	Jitter     *float64      `toml:"jitter"`      // default 0.3
	Spread     conf.Duration `toml:"spread"`      // default 30s: random start after an outage of the upstream
	Interface  string        `toml:"interface"`   // network interface; default: by the routes
	Schedule   []string      `toml:"schedule"`    // "mon-fri 22:00-06:00"; default: always
	Alarms     bool          `toml:"alarms"`      // alarms connect outside of the schedule too
}

// Drain is how the backlog leaves after an outage.
type Drain struct {
	Rate         string   `toml:"rate"`          // "200/s"; default: no limit
	Order        string   `toml:"order"`         // live-first (default) | strict
	Backlog      string   `toml:"backlog"`       // oldest-first (default) | newest-first
	BacklogShare *float64 `toml:"backlog_share"` // default 0.5
}

// Budget is what the link may carry, both ways, with the headers of IP and
// TCP. Alarms pass beyond it.
type Budget struct {
	Rate  string    `toml:"rate"`  // bytes: "16KiB/s", "1MB/h"; default: no limit
	Month conf.Size `toml:"month"` // "500MB"; default: no limit
	Day   int       `toml:"day"`   // of the month, on which it begins, 1 to 28; default 1
}

// Route is an [[upstream.route]] section: what goes up, and in what form.
type Route struct {
	From     string   `toml:"from"`   // local filter
	To       string   `toml:"to"`     // default "{topic}"
	Format   string   `toml:"format"` // as-is|json|value|group|columns|influx|senml|senml-cbor|template
	Template string   `toml:"template"`
	QoS      *int     `toml:"qos"`    // default 1
	Retain   string   `toml:"retain"` // keep|strip, default keep
	Batch    Batch    `toml:"batch"`
	Compress string   `toml:"compress"` // none|gzip|zstd
	Priority string   `toml:"priority"` // alarm|normal|bulk
	Where    string   `toml:"where"`
	Types    []string `toml:"types"`
}

// Batch joins samples into one message.
type Batch struct {
	MaxSamples int           `toml:"max_samples"` // default 1
	MaxBytes   conf.Size     `toml:"max_bytes"`   // default 32KiB
	MaxWait    conf.Duration `toml:"max_wait"`
}

// Command is an [[upstream.command]] section: what may come down.
type Command struct {
	From   string        `toml:"from"`    // remote filter
	To     string        `toml:"to"`      // local topic; {1} {2} … are the + levels
	QoS    *int          `toml:"qos"`     // default 1
	MaxAge conf.Duration `toml:"max_age"` // default 30s
}
