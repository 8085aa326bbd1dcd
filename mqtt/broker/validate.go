package broker

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// Validate reports everything that is wrong with the section.
func (c Config) Validate(bad conf.Bad) {
	c.validateNumbers(bad)
	c.validateAccess(bad)
	names, binds := map[string]int{}, map[string]int{}
	for i, l := range c.Listener {
		under := bad.Under(fmt.Sprintf("listener[%d]", i))
		l.validate(under, c)
		if first, ok := names[listenerName(l)]; ok {
			under(conf.Problem{Key: "name", Code: "E0501", Text: fmt.Sprintf("listener[%d] has the name %q already", first, listenerName(l)), Part: l.Name})
		}
		if first, ok := binds[l.Bind]; ok && !strings.HasSuffix(l.Bind, ":0") {
			under(conf.Problem{Key: "bind", Code: "E0502", Text: fmt.Sprintf("listener[%d] is bound to %q already", first, l.Bind), Part: l.Bind, Help: "give each listener its own port"})
		}
		names[listenerName(l)], binds[l.Bind] = i, i
	}
}

func (c Config) validateNumbers(bad conf.Bad) {
	number := func(key string, n, least, most int64) {
		if n != 0 && (n < least || n > most) {
			bad(conf.Problem{Key: key, Code: "E0503", Text: fmt.Sprintf("%d is out of bounds", n), Help: fmt.Sprintf("%d to %d", least, most)})
		}
	}
	number("max_clients", int64(c.MaxClients), 1, 100_000)
	number("max_sessions", int64(c.MaxSessions), 1, 1_000_000)
	number("max_packet", int64(c.MaxPacket), 256, packet.MaxPacket)
	number("max_queued", int64(c.MaxQueued), 1, 10_000_000)
	number("max_queued_bytes", int64(c.MaxQueuedBytes), 64<<10, 1<<50)
	number("max_inflight", int64(c.MaxInflight), 1, 65535)
	number("max_out_buffer", int64(c.MaxOutBuffer), 4<<10, 1<<30)
	number("max_subscriptions", int64(c.MaxSubscriptions), 1, 1_000_000)
	number("max_levels", int64(c.MaxLevels), 1, mqtt.MaxTopicLevels)
	number("retain_limit", int64(c.RetainLimit), 1, 10_000_000)
	number("retain_bytes", int64(c.RetainBytes), 64<<10, 1<<40)
	number("max_keepalive", int64(c.MaxKeepAlive/conf.Duration(time.Second)), 5, 65535)
	number("connect_timeout", int64(c.ConnectTimeout/conf.Duration(time.Millisecond)), 100, 60_000)
	number("max_session_expiry", int64(c.MaxSessionExpiry/conf.Duration(time.Second)), 1, 1<<32)
	if c.SysInterval != nil && *c.SysInterval != 0 && c.SysInterval.Std() < time.Second {
		bad(conf.Problem{Key: "sys_interval", Code: "E0503", Text: "$SYS cannot be published more than once a second", Help: `"0s" turns it off`})
	}
	if c.MaxQoS != nil && (*c.MaxQoS < 0 || *c.MaxQoS > 2) {
		bad(conf.Problem{Key: "max_qos", Code: "E0503", Text: fmt.Sprintf("%d is no QoS", *c.MaxQoS), Help: "0, 1 or 2"})
	}
	if c.WhenFull != "" && c.WhenFull != "slow" && c.WhenFull != "refuse" {
		bad(conf.Problem{Key: "when_full", Code: "E0504", Text: fmt.Sprintf("unknown word %q", c.WhenFull), Help: `"slow" or "refuse"`, Part: c.WhenFull})
	}
}

func (c Config) validateAccess(bad conf.Bad) {
	for i, s := range c.ACL {
		if s.User == "" {
			bad(conf.Problem{Key: fmt.Sprintf("acl[%d].user", i), Code: "E0505", Text: "no user", Help: `name one, or "*" for every user, or "anonymous"`})
		}
		for j, text := range s.Allow {
			if _, err := parseRule(text); err != nil {
				bad(conf.Problem{Key: fmt.Sprintf("acl[%d].allow[%d]", i, j), Code: "E0506", Text: err.Error(), Help: `"read FILTER", "write FILTER", "readwrite FILTER" or "deny FILTER"`, Part: text})
			}
		}
		if k := slices.IndexFunc(c.ACL[:i], func(o ACL) bool { return o.User == s.User || o.User == "*" && s.User != "anonymous" }); k >= 0 {
			bad(conf.Problem{Key: fmt.Sprintf("acl[%d]", i), Code: "W0507", Text: fmt.Sprintf("never reached: acl[%d] with user %q comes first", k, c.ACL[k].User), Help: "the first section whose user matches decides; put this one before it"})
		}
	}
	if path := c.Auth.UsersFile; path != "" {
		if _, err := readUsers(path); err != nil {
			help := "fieldgate passwd add NAME writes it"
			if !os.IsNotExist(err) {
				help = ""
			}
			bad(conf.Problem{Key: "auth.users_file", Code: "E0508", Text: err.Error(), Help: help, Part: path})
		}
	}
}

func (l Listener) validate(bad conf.Bad, c Config) {
	open := l.validateBind(bad)
	l.validateTLS(bad)
	if w := l.WebSocket; w != nil && w.Path != "" && !strings.HasPrefix(w.Path, "/") {
		bad(conf.Problem{Key: "websocket.path", Code: "E0509", Text: fmt.Sprintf("path %q does not begin with /", w.Path), Part: w.Path})
	}
	for key, n := range map[string]int{"max_clients": l.MaxClients, "max_connects": l.MaxConnects, "max_rate": l.MaxRate} {
		if n < 0 {
			bad(conf.Problem{Key: key, Code: "E0503", Text: fmt.Sprintf("%d is out of bounds", n), Help: "leave it out for the default"})
		}
	}
	certificates := l.TLS != nil && l.TLS.ClientCAFile != ""
	if open && !l.RiskAccepted {
		switch {
		case l.AllowAnonymous && !certificates:
			bad(conf.Problem{Key: "allow_anonymous", Code: "E0510", Text: "the listener is open to the network without a password",
				Help: "take allow_anonymous out and add users (fieldgate passwd add NAME), bind it to 127.0.0.1, or set risk_accepted = true"})
		case l.TLS == nil:
			bad(conf.Problem{Key: "bind", Code: "E0511", Text: "passwords would cross the network in clear text",
				Help: `add tls = { auto = "self-signed" }, bind it to 127.0.0.1, or set risk_accepted = true`})
		}
	}
	if open && len(c.ACL) == 0 {
		bad(conf.Problem{Key: "", Code: "W0512", Text: "no [[broker.acl]]: clients from the network may neither read nor write",
			Help: `for example: [[broker.acl]] user = "*" allow = ["read #"]`})
	}
	if !l.AllowAnonymous && !certificates && c.Auth.UsersFile == "" {
		help := "set [broker.auth] users_file and run: fieldgate passwd add NAME"
		if !open {
			help = "for tools on this box: allow_anonymous = true; else " + help
		}
		bad(conf.Problem{Key: "", Code: "E0513", Text: "nobody can log in: no users_file, no client_ca_file, no allow_anonymous", Help: help})
	}
}

// validateBind reports whether the listener can be reached from the network.
func (l Listener) validateBind(bad conf.Bad) (open bool) {
	if path, ok := strings.CutPrefix(l.Bind, "unix:"); ok {
		if !strings.HasPrefix(path, "/") || len(path) > 107 {
			bad(conf.Problem{Key: "bind", Code: "E0514", Text: fmt.Sprintf("%q is no path of a socket", l.Bind), Help: "unix:/absolute/path of at most 107 bytes", Part: l.Bind})
		}
		return false
	}
	_, port, err := net.SplitHostPort(l.Bind)
	n, perr := strconv.Atoi(port)
	if err != nil || perr != nil || n < 0 || n > 65535 {
		bad(conf.Problem{Key: "bind", Code: "E0514", Text: fmt.Sprintf("%q is no address", l.Bind), Help: `"127.0.0.1:1883", ":8883" for all addresses, or "unix:/run/fieldgate/mqtt.sock"`, Part: l.Bind})
		return false
	}
	return !loopback(l.Bind)
}

func (l Listener) validateTLS(bad conf.Bad) {
	t := l.TLS
	if t == nil {
		return
	}
	bad = bad.Under("tls")
	switch {
	case t.Auto != "" && t.Auto != "self-signed":
		bad(conf.Problem{Key: "auto", Code: "E0515", Text: fmt.Sprintf("unknown word %q", t.Auto), Help: `"self-signed"`, Part: t.Auto})
	case (t.CertFile == "") != (t.KeyFile == ""):
		bad(conf.Problem{Key: "", Code: "E0516", Text: "cert_file and key_file belong together"})
	case t.CertFile == "" && t.Auto == "":
		bad(conf.Problem{Key: "", Code: "E0516", Text: "no certificate", Help: `name cert_file and key_file, or auto = "self-signed"`})
	case t.Auto == "":
		if _, err := loadPair(t, l.Bind); err != nil {
			bad(conf.Problem{Key: "cert_file", Code: "E0517", Text: err.Error(), Part: t.CertFile})
		}
	}
	if t.ClientCAFile != "" {
		if _, err := loadPool(t.ClientCAFile); err != nil {
			bad(conf.Problem{Key: "client_ca_file", Code: "E0517", Text: err.Error(), Part: t.ClientCAFile})
		}
	}
	if t.UserFrom != "" && t.UserFrom != "cn" && t.UserFrom != "san" {
		bad(conf.Problem{Key: "user_from", Code: "E0515", Text: fmt.Sprintf("unknown word %q", t.UserFrom), Help: `"cn" or "san"`, Part: t.UserFrom})
	}
}
