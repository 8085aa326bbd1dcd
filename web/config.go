package web

import (
	"net"

	"fieldgate/configs/conf"
)

// DefaultBind is where the page is when the file does not say.
const DefaultBind = "127.0.0.1:8080"

// Config is the [web] section.
type Config struct {
	Bind               *string `toml:"bind"` // default 127.0.0.1:8080; "" = off
	ViewerWithoutLogin bool    `toml:"viewer_without_login"`
}

// Metrics is the [metrics] section.
type Metrics struct {
	Bind string `toml:"bind"` // "" = on the web listener at /metrics
	Tags bool   `toml:"tags"` // also export tag values as fieldgate_tag_value
}

// Address is where to listen; empty: nowhere.
func (c Config) Address() string {
	if c.Bind == nil {
		return DefaultBind
	}
	return *c.Bind
}

// Validate reports what is wrong with the section.
func (c Config) Validate(bad conf.Bad) {
	checkBind(c.Address(), c.ViewerWithoutLogin, bad)
}

// Validate reports what is wrong with the section.
func (m Metrics) Validate(bad conf.Bad) {
	checkBind(m.Bind, true, bad)
}

func checkBind(address string, open bool, bad conf.Bad) {
	if address == "" {
		return
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		bad(conf.Problem{Key: "bind", Code: "E0901", Part: address,
			Text: "bind is not an address with a port", Help: `write for example "127.0.0.1:8080", or "" for off`})
		return
	}
	if !open && !loopback(host) {
		bad(conf.Problem{Key: "bind", Code: "E0902", Part: address,
			Text: "the page would be open to the network without a login",
			Help: "bind to 127.0.0.1, or allow everybody to read it with viewer_without_login = true (nobody can write through the page)"})
	}
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
