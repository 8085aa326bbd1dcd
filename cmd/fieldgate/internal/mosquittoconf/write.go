package mosquittoconf

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// Result says what Write could not take over.
type Result struct {
	Bridges int
	Notes   int      // comments about options without a counterpart
	Refused []string // bridges that cannot work as they are, with the reason
}

// Write writes [[upstream]] sections. source is the file's name, for people.
func Write(w io.Writer, f File, source string) (Result, error) {
	var res Result
	out := &writer{w: w}
	out.line("# Bridges of %s, made by: fieldgate config import mosquitto", source)
	for i := range f.Bridges {
		b := &bridge{Bridge: &f.Bridges[i], res: &res}
		out.line("")
		b.write(out)
		res.Bridges++
	}
	if len(f.Others) > 0 {
		out.line("")
		out.line("# Not about bridges, and not taken over: %s.", strings.Join(keys(f.Others), ", "))
		out.line("# Password files of mosquitto can be used as they are: [broker.auth] users_file.")
	}
	return res, out.err
}

func keys(options []Option) (list []string) {
	seen := map[string]bool{}
	for _, o := range options {
		if !seen[o.Key] {
			seen[o.Key] = true
			list = append(list, o.Key)
		}
	}
	return list
}

// writer remembers the first error.
type writer struct {
	w   io.Writer
	err error
}

func (w *writer) line(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.w, format+"\n", args...)
	}
}

// bridge is one section on its way.
type bridge struct {
	*Bridge
	res *Result
}

func (b *bridge) note(w *writer, o Option, text string) {
	b.res.Notes++
	value := o.Value
	if strings.Contains(o.Key, "password") || strings.Contains(o.Key, "psk") {
		value = "…"
	}
	w.line("# line %d, %s %s: %s", o.Line, o.Key, value, text)
}

func (b *bridge) write(w *writer) {
	w.line("# line %d: connection %s", b.Line, b.Name)
	b.comments(w)
	w.line("[[upstream]]")
	name := strings.NewReplacer("/", "-", "+", "-", "#", "-").Replace(b.Name)
	w.line("name = %s", quote(name))
	b.addresses(w)
	b.login(w)
	b.times(w)
	b.state(w)
	b.tls(w)
	b.topics(w)
}

// comments says of each option without a counterpart why it has none.
func (b *bridge) comments(w *writer) {
	for _, o := range b.Options {
		text, known := options[o.Key]
		switch {
		case !known:
			text = "not known to this import"
		case o.Key == "cleansession" && o.Value != "true":
			text = "the session at the upstream is always clean: what waits is in our own queue, and a command that waited is never carried out"
		case o.Key == "start_type" && o.Value == "lazy":
			text = "there is no lazy start: a gateway keeps its connection, or keeps to connect.schedule"
		case o.Key == "start_type" && o.Value == "once":
			text = "an upstream is tried again, always"
		}
		if text == "" {
			continue
		}
		b.note(w, o, text)
		if text == refusedPSK {
			b.refuse("bridge " + b.Name + ": " + strings.TrimPrefix(refusedPSK, "REFUSED: "))
		}
	}
}

func (b *bridge) refuse(text string) {
	for _, r := range b.res.Refused {
		if r == text {
			return
		}
	}
	b.res.Refused = append(b.res.Refused, text)
}

func (b *bridge) encrypted() bool {
	_, ca := b.get("bridge_cafile", "bridge_capath", "bridge_certfile", "bridge_psk")
	return ca || b.isTrue("bridge_tls_use_os_certs", false)
}

// addresses: mosquitto's port is 1883 with TLS too, where none is named.
func (b *bridge) addresses(w *writer) {
	text, ok := b.get("address", "addresses")
	list := strings.Fields(text)
	if !ok || len(list) == 0 {
		b.refuse("bridge " + b.Name + ": it has no address")
		w.line(`url = "mqtt://address.is.missing"`)
		return
	}
	scheme := "mqtt"
	if b.encrypted() {
		scheme = "mqtts"
	}
	urls := make([]string, len(list))
	for i, a := range list {
		host, port, err := net.SplitHostPort(a)
		if err != nil {
			host, port = strings.Trim(a, "[]"), "1883"
		}
		urls[i] = quote(scheme + "://" + net.JoinHostPort(host, port))
	}
	if len(urls) == 1 {
		w.line("url = %s", urls[0])
		return
	}
	w.line("urls = [%s]", strings.Join(urls, ", "))
	if b.isTrue("round_robin", false) {
		w.line(`failover = "sticky" # round_robin: stays where it works, and takes the next when it does not`)
	} else {
		w.line(`failover = "primary"`)
	}
}

func (b *bridge) login(w *writer) {
	switch v, _ := b.get("bridge_protocol_version"); v {
	case "mqttv50":
		w.line("version = 5")
	case "mqttv31":
		w.line("version = 4 # mqttv31 is not spoken to upstreams; 3.1.1 is")
	case "mqttv311":
		w.line("version = 4")
	default:
		w.line("version = 4 # mosquitto's default; 5 gives reasons, expiry, and numbers to drop repeats by")
	}
	id, ok := b.get("remote_clientid", "clientid")
	if !ok {
		id = "{gateway}." + b.Name
	}
	w.line("client_id = %s", quote(id))
	if user, ok := b.get("remote_username", "username"); ok {
		w.line("username = %s", quote(user))
	}
	if password, ok := b.get("remote_password", "password"); ok {
		w.line("password = %s # better: password_file, or credential:NAME", quote(password))
	}
}

func (b *bridge) times(w *writer) {
	if n, ok := b.number("keepalive_interval", 0); ok && n > 0 {
		w.line(`keepalive = "%ds"`, n)
	}
	base, ok := b.number("restart_timeout", 0)
	if !ok {
		return
	}
	if most, ok := b.number("restart_timeout", 1); ok && most >= base {
		w.line(`connect = { backoff_min = "%ds", backoff_max = "%ds" }`, max(1, base), max(1, most))
		return
	}
	w.line(`connect = { backoff_min = "%ds", backoff_max = "%ds", jitter = 0.0 }`, max(1, base), max(1, base))
}

// number is the i-th number of an option.
func (b *bridge) number(name string, i int) (n int, ok bool) {
	v, _ := b.get(name)
	f := strings.Fields(v)
	if i >= len(f) {
		return 0, false
	}
	n, err := strconv.Atoi(f[i])
	return n, err == nil && n >= 0 && n < 1<<20
}

func (b *bridge) state(w *writer) {
	topic, named := b.get("notification_topic")
	switch {
	case !b.isTrue("notifications", true) || b.isTrue("notifications_local_only", false):
		w.line(`state_topic = "off"`)
	case named:
		w.line("state_topic = %s # online and offline, where mosquitto says 1 and 0", quote(topic))
	}
}

func (b *bridge) tls(w *writer) {
	if !b.encrypted() {
		return
	}
	var parts []string
	for _, k := range [][2]string{{"bridge_cafile", "ca_file"}, {"bridge_certfile", "cert_file"}, {"bridge_keyfile", "key_file"}} {
		if v, ok := b.get(k[0]); ok {
			parts = append(parts, k[1]+" = "+quote(v))
		}
	}
	if v, ok := b.get("bridge_alpn"); ok {
		parts = append(parts, "alpn = ["+quote(v)+"]")
	}
	if b.isTrue("bridge_insecure", false) {
		parts = append(parts, "insecure = true")
	}
	if len(parts) > 0 {
		w.line("tls = { %s }", strings.Join(parts, ", "))
	}
}

// quote is a basic string of TOML 1.0.
func quote(s string) string {
	var t strings.Builder
	t.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			t.WriteByte('\\')
			t.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&t, `\u%04X`, r)
		default:
			t.WriteRune(r)
		}
	}
	t.WriteByte('"')
	return t.String()
}
