package bridge

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"fieldgate/buffer"
	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/encode"
)

// Validate reports everything that is wrong with the section. It opens no
// file and asks no network.
func (c Config) Validate(bad conf.Bad) {
	c.validateAddresses(bad)
	c.validateLogin(bad)
	c.validatePace(bad)
	c.Budget.validate(bad.Under("budget"))
	for i, r := range c.Route {
		r.validate(bad.Under(fmt.Sprintf("route[%d]", i)))
	}
	for i, cmd := range c.Command {
		cmd.validate(bad.Under(fmt.Sprintf("command[%d]", i)))
	}
	c.validateReach(bad)
	c.validateLoops(bad)
}

func (c Config) validateAddresses(bad conf.Bad) {
	if c.Name == QuarantineName {
		bad(conf.Problem{Key: "name", Code: "E0802", Text: fmt.Sprintf("name %q is taken: the queue of refused messages has it", c.Name),
			Help: "choose another", Part: c.Name})
	}
	if strings.ContainsAny(c.Name, "/+#\x00") {
		bad(conf.Problem{Key: "name", Code: "E0802", Text: fmt.Sprintf("name %q cannot stand in a topic", c.Name),
			Help: "leave out / + and #", Part: c.Name})
	}
	if c.URL == "" && len(c.URLs) == 0 {
		bad(conf.Problem{Key: "url", Code: "E0801", Text: "an upstream needs an address", Help: `write for example url = "mqtts://mqtt.example.com:8883"`})
	}
	if c.URL != "" {
		validateURL(bad, "url", c.URL)
	}
	for i, u := range c.URLs {
		validateURL(bad, fmt.Sprintf("urls[%d]", i), u)
	}
	oneOf(bad, "failover", "E0804", c.Failover, "primary", "sticky")
	if c.Version != 0 && c.Version != 4 && c.Version != 5 {
		bad(conf.Problem{Key: "version", Code: "E0803", Text: fmt.Sprintf("there is no MQTT version %d", c.Version),
			Help: "5 is MQTT 5 (falls back to 3.1.1), 4 is MQTT 3.1.1"})
	}
	if c.Proxy != "" {
		if u, err := url.Parse(c.Proxy); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "socks5" {
			bad(conf.Problem{Key: "proxy", Code: "E0808", Text: fmt.Sprintf("%q is not a proxy's address", c.Proxy),
				Help: `write "http://HOST:PORT" or "socks5://HOST:PORT"`, Part: c.Proxy})
		}
	}
}

func validateURL(bad conf.Bad, key, text string) {
	if _, err := parseURL(text); err != nil {
		bad(conf.Problem{Key: key, Code: "E0801", Text: err.Error(), Part: text})
	}
}

func (c Config) validateLogin(bad conf.Bad) {
	if !c.Password.IsZero() && c.PasswordFile != "" {
		bad(conf.Problem{Key: "password_file", Code: "E0805", Text: "password and password_file are both set", Help: "leave one of them out"})
	}
	secret := !c.Password.IsZero() || c.PasswordFile != ""
	if secret && c.Username == "" {
		bad(conf.Problem{Key: "password", Code: "W0806", Text: "there is a password and no username", Help: "most brokers refuse that; write username"})
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		bad(conf.Problem{Key: "tls", Code: "E0805", Text: "a client certificate needs cert_file and key_file", Help: "write both or none"})
	}
	if c.TLS.Insecure {
		bad(conf.Problem{Key: "tls.insecure", Code: "W0802", Text: "any certificate is accepted: whoever sits on the way can read and change everything",
			Help: "put the upstream's CA in tls.ca_file instead"})
	}
	for _, text := range c.urls() {
		u, err := parseURL(text)
		if err != nil {
			continue
		}
		if secret && (u.Scheme == "mqtt" || u.Scheme == "ws") && !loopback(u.Hostname()) {
			bad(conf.Problem{Key: "url", Code: "W0803", Text: fmt.Sprintf("the password goes to %s unencrypted", u.Host), Help: "use mqtts or wss", Part: text})
		}
	}
	if _, err := parseGroups(c.TLS.Groups); err != nil {
		bad(conf.Problem{Key: "tls.groups", Code: "E0825", Text: err.Error(), Help: "known are " + strings.Join(groupNames(), ", ")})
	}
	t := c.TLS
	if len(c.urls()) > 0 && !c.encrypted() && (t.CAFile != "" || t.CertFile != "" || t.KeyFile != "" || t.ServerName != "" || len(t.ALPN) > 0 || len(t.Groups) > 0) {
		bad(conf.Problem{Key: "tls", Code: "W0807", Text: "tls is set, but no address is mqtts or wss", Help: "write mqtts:// or leave tls out"})
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c Config) validatePace(bad conf.Bad) {
	if c.StateTopic != "" && c.StateTopic != "off" {
		if err := mqtt.CheckTopic(fill(c.StateTopic, "gateway")); err != nil {
			bad(conf.Problem{Key: "state_topic", Code: "E0809", Text: err.Error(), Help: `"off" publishes no state`, Part: c.StateTopic})
		}
	}
	if c.KeepaliveMax.Std() > 65535*time.Second {
		bad(conf.Problem{Key: "keepalive_max", Code: "E0806", Text: "keepalive_max is longer than 65535s, the longest MQTT knows", Help: `write for example "20m"`})
	}
	if c.Keepalive.Std() > 65535*time.Second {
		bad(conf.Problem{Key: "keepalive", Code: "E0806", Text: "keepalive is longer than 65535s, the longest MQTT knows", Help: `write for example "60s"`})
	}
	if least, most := c.Connect.BackoffMin.Or(DefaultBackoffMin), c.Connect.BackoffMax.Or(DefaultBackoffMax); least > most {
		bad(conf.Problem{Key: "connect.backoff_min", Code: "E0806", Text: fmt.Sprintf("backoff_min %s is longer than backoff_max %s", least, most)})
	}
	share(bad, "connect.jitter", c.Connect.Jitter)
	share(bad, "drain.backlog_share", c.Drain.BacklogShare)
	oneOf(bad, "drain.order", "E0807", c.Drain.Order, "live-first", "strict")
	oneOf(bad, "drain.backlog", "E0807", c.Drain.Backlog, "oldest-first", "newest-first")
	if c.Drain.Order == "strict" && c.Drain.Backlog == "newest-first" {
		bad(conf.Problem{Key: "drain.backlog", Code: "E0807", Text: "strict order begins with the oldest", Help: `leave out order = "strict" or backlog = "newest-first"`})
	}
	c.validateWhen(bad)
	if c.Drain.Rate != "" {
		if _, err := parseRate(c.Drain.Rate); err != nil {
			bad(conf.Problem{Key: "drain.rate", Code: "E0807", Text: err.Error(), Part: c.Drain.Rate})
		}
	}
}

// validateWhen checks the connection schedule.
func (c Config) validateWhen(bad conf.Bad) {
	for i, line := range c.Connect.Schedule {
		if _, err := parseSchedule([]string{line}); err != nil {
			bad(conf.Problem{Key: fmt.Sprintf("connect.schedule[%d]", i), Code: "E0824", Text: err.Error(), Part: line})
		}
	}
	if c.Connect.Alarms && len(c.Connect.Schedule) == 0 {
		bad(conf.Problem{Key: "connect.alarms", Code: "W0824", Text: "connect.alarms has no effect without connect.schedule", Help: "write a schedule, or leave alarms out"})
	}
}

func share(bad conf.Bad, key string, v *float64) {
	if v != nil && !(*v >= 0 && *v <= 1) {
		bad(conf.Problem{Key: key, Code: "E0807", Text: fmt.Sprintf("%s = %v is not a share", key, *v), Help: "write a number from 0 to 1"})
	}
}

func oneOf(bad conf.Bad, key, code, value string, known ...string) {
	if value == "" || slices.Contains(known, value) {
		return
	}
	bad(conf.Problem{Key: key, Code: code, Text: fmt.Sprintf("unknown %s %q", key, value), Help: "write one of " + strings.Join(known, ", "), Part: value})
}

func (r Route) validate(bad conf.Bad) {
	from := orText(r.From, "#")
	if err := mqtt.CheckFilter(from); err != nil {
		bad(conf.Problem{Key: "from", Code: "E0810", Text: fmt.Sprintf("%q: %v", from, err), Part: r.From})
	} else if p, err := r.pattern(); err != nil {
		bad(conf.Problem{Key: "to", Code: "E0811", Text: fmt.Sprintf("%q %v", r.To, err), Part: r.To})
	} else if text := p.expand(vars{gateway: "g", topic: "t", device: "d", tag: "t"}); r.To != "" && strings.HasPrefix(text, "/") {
		bad(conf.Problem{Key: "to", Code: "W0811", Text: fmt.Sprintf("%q begins with an empty level", r.To), Help: "leave out the first /", Part: r.To})
	}
	oneOf(bad, "format", "E0812", r.Format, append([]string{encode.AsIs}, encode.Formats...)...)
	r.validateFormat(bad)
	if r.QoS != nil && (*r.QoS < 0 || *r.QoS > 2) {
		bad(conf.Problem{Key: "qos", Code: "E0814", Text: fmt.Sprintf("there is no QoS %d", *r.QoS), Help: "write 0, 1 or 2"})
	}
	oneOf(bad, "retain", "E0815", r.Retain, "keep", "strip")
	oneOf(bad, "compress", "E0817", r.Compress, encode.None, encode.Gzip, encode.Zstd)
	if _, ok := buffer.ParsePriority(r.Priority); !ok {
		oneOf(bad, "priority", "E0818", r.Priority, "alarm", "normal", "bulk")
	}
	if r.Where != "" {
		if _, err := compileWhere(r.Where); err != nil {
			bad(conf.Problem{Key: "where", Code: "E0819", Text: err.Error(), Help: "names: value ts quality reason unit device tag topic type payload", Part: r.Where})
		}
	}
	if _, err := parseTypes(r.Types); err != nil {
		bad(conf.Problem{Key: "types", Code: "E0820", Text: err.Error()})
	}
}

func (r Route) validateFormat(bad conf.Bad) {
	switch {
	case r.Format == encode.Template:
		if err := encode.CheckTemplate(r.Template); err != nil {
			bad(conf.Problem{Key: "template", Code: "E0813", Text: err.Error()})
		}
	case r.Template != "":
		bad(conf.Problem{Key: "template", Code: "W0813", Text: "template is not used", Help: `write format = "template"`})
	}
	b := r.Batch
	if b.MaxSamples < 0 || b.MaxSamples > MaxBatchSamples {
		bad(conf.Problem{Key: "batch.max_samples", Code: "E0816", Text: fmt.Sprintf("max_samples = %d is not possible", b.MaxSamples),
			Help: fmt.Sprintf("write a number from 1 to %d", MaxBatchSamples)})
	}
	if b.MaxBytes > MaxBatchBytes {
		bad(conf.Problem{Key: "batch.max_bytes", Code: "E0816", Text: fmt.Sprintf("max_bytes = %s is too much for one message", b.MaxBytes),
			Help: fmt.Sprintf("write at most %s", conf.Size(MaxBatchBytes))})
	}
	if b.MaxSamples > 1 && !encode.CanBatch(orText(r.Format, encode.AsIs)) {
		bad(conf.Problem{Key: "batch.max_samples", Code: "E0816", Text: fmt.Sprintf("format %q holds one sample a message", orText(r.Format, encode.AsIs)),
			Help: `write format = "json", "group" or "columns", or leave batch out`})
	}
	if r.Compress != "" && r.Compress != encode.None && orText(r.Format, encode.AsIs) == encode.AsIs {
		bad(conf.Problem{Key: "compress", Code: "W0817", Text: `compress has no effect on format "as-is"`, Help: `write a format, or leave compress out`})
	}
}

func (c Command) validate(bad conf.Bad) {
	if c.From == "" {
		bad(conf.Problem{Key: "from", Code: "E0821", Text: "a command needs from: the remote topics that may come down", Help: `write for example from = "factory/{gateway}/cmd/#"`})
		return
	}
	from := fill(c.From, "gateway")
	if err := mqtt.CheckFilter(from); err != nil {
		bad(conf.Problem{Key: "from", Code: "E0821", Text: fmt.Sprintf("%q: %v", c.From, err), Part: c.From})
		return
	}
	if _, err := parsePattern(c.To, from); err != nil {
		bad(conf.Problem{Key: "to", Code: "E0822", Text: fmt.Sprintf("%q %v", c.To, err), Help: "to is the topic here that the command goes to", Part: c.To})
	}
	if c.QoS != nil && (*c.QoS < 0 || *c.QoS > 2) {
		bad(conf.Problem{Key: "qos", Code: "E0814", Text: fmt.Sprintf("there is no QoS %d", *c.QoS), Help: "write 0, 1 or 2"})
	}
}
