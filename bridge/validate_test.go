package bridge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fieldgate/configs/conf"
)

func problems(c Config) (list []conf.Problem) {
	c.Validate(func(p conf.Problem) { list = append(list, p) })
	return list
}

func TestValidateGood(t *testing.T) {
	for name, c := range map[string]Config{
		"least": {URL: "mqtts://mqtt.example.com:8883"},
		"whole": {
			Name: "cloud-a", URLs: []string{"mqtts://a.example.com", "wss://b.example.com/mqtt"}, Failover: "sticky", Version: 5, ClientID: "{gateway}",
			Username: "plant7", Password: conf.NewSecret("x"), TLS: TLS{CAFile: "ca.pem", CertFile: "c", KeyFile: "k", ALPN: []string{"mqtt"}},
			Keepalive: conf.Duration(time.Minute), Proxy: "socks5://10.0.0.1:1080", StateTopic: "off",
			Connect: Connect{Jitter: ptr(0.3)}, Drain: Drain{Rate: "200/s", Order: "live-first", BacklogShare: ptr(0.5)},
			Route: []Route{
				{From: "acme/#", To: "factory/{gateway}/{topic}", Where: "value > 80 or quality != 'good'", Types: []string{"sample"}, Priority: "alarm", Retain: "strip"},
				{From: "acme/#", To: "factory/{gateway}/batch", Format: "columns", QoS: ptr(1), Batch: Batch{MaxSamples: 600, MaxBytes: 32 << 10, MaxWait: conf.Duration(time.Minute)}, Compress: "gzip"},
				{From: "acme/+/x", To: "t/{1}", Format: "template", Template: `{"v":{{.Value}}}`, Types: []string{"message", "event"}},
			},
			Command: []Command{{From: "factory/{gateway}/cmd/+/+/set", To: "acme/shanghai/boiler-house/l2/{1}/{2}/set", QoS: ptr(1), MaxAge: conf.Duration(time.Minute)}},
		},
	} {
		for _, p := range problems(c) {
			// the third route of the whole one is covered by the second on purpose
			if !(name == "whole" && p.Code == "W0804" && p.Key == "route[2].from") {
				t.Errorf("%s: %+v", name, p)
			}
		}
	}
}

func TestValidateBad(t *testing.T) {
	base := Config{URL: "mqtts://host"}
	with := func(f func(*Config)) Config {
		c := base
		f(&c)
		return c
	}
	route := func(r Route) Config { return with(func(c *Config) { c.Route = []Route{r} }) }
	for _, c := range []struct {
		cfg  Config
		want string // "CODE key"
		text string
	}{
		{Config{}, "E0801 url", "needs an address"},
		{Config{URL: "mqtts:/host"}, "E0801 url", "not an address"},
		{Config{URL: "http://host"}, "E0801 url", `unknown scheme "http"`},
		{Config{URL: "ssl://host"}, "E0801 url", `called "mqtts" here`},
		{Config{URL: "mqtt://u:p@host"}, "E0801 url", "keys of their own"},
		{Config{URL: "mqtt://host/path"}, "E0801 url", "needs the scheme ws"},
		{Config{URLs: []string{"mqtt://a", "b"}}, "E0801 urls[1]", "not an address"},
		{with(func(c *Config) { c.Name = "a/b" }), "E0802 name", "cannot stand in a topic"},
		{with(func(c *Config) { c.Version = 3 }), "E0803 version", "no MQTT version 3"},
		{with(func(c *Config) { c.Failover = "any" }), "E0804 failover", `unknown failover "any"`},
		{with(func(c *Config) { c.TLS.CertFile = "x" }), "E0805 tls", "cert_file and key_file"},
		{with(func(c *Config) { c.Username, c.Password, c.PasswordFile = "u", conf.NewSecret("p"), "f" }), "E0805 password_file", "both set"},
		{with(func(c *Config) { c.Keepalive = conf.Duration(24 * time.Hour) }), "E0806 keepalive", "65535"},
		{with(func(c *Config) { c.Connect.BackoffMin = conf.Duration(time.Hour) }), "E0806 connect.backoff_min", "longer than"},
		{with(func(c *Config) { c.Connect.Jitter = ptr(2.0) }), "E0807 connect.jitter", "not a share"},
		{with(func(c *Config) { c.Drain.Rate = "fast" }), "E0807 drain.rate", "not a rate"},
		{with(func(c *Config) { c.Drain.Order = "random" }), "E0807 drain.order", "live-first, strict"},
		{with(func(c *Config) { c.Drain.BacklogShare = ptr(-0.1) }), "E0807 drain.backlog_share", "not a share"},
		{with(func(c *Config) { c.Proxy = "host:3128" }), "E0808 proxy", "not a proxy"},
		{with(func(c *Config) { c.StateTopic = "a/#" }), "E0809 state_topic", "wildcard"},
		{with(func(c *Config) { c.TLS.Insecure = true }), "W0802 tls.insecure", "any certificate"},
		{Config{URL: "mqtt://host", Username: "u", Password: conf.NewSecret("p")}, "W0803 url", "unencrypted"},
		{with(func(c *Config) { c.Password = conf.NewSecret("p") }), "W0806 password", "no username"},
		{Config{URL: "mqtt://host", TLS: TLS{CAFile: "x"}}, "W0807 tls", "no address is mqtts"},
		{route(Route{From: "a/#/b"}), "E0810 route[0].from", "#"},
		{route(Route{From: "a/+", To: "x/{2}"}), "E0811 route[0].to", "has 1 + levels"},
		{route(Route{To: "/x"}), "W0811 route[0].to", "empty level"},
		{route(Route{Format: "xml"}), "E0812 route[0].format", `unknown format "xml"`},
		{route(Route{Format: "template", Template: "{{.Nope}}"}), "E0813 route[0].template", "Nope"},
		{route(Route{Template: "x"}), "W0813 route[0].template", "not used"},
		{route(Route{QoS: ptr(3)}), "E0814 route[0].qos", "no QoS 3"},
		{with(func(c *Config) { c.Drain.Backlog = "newest" }), "E0807 drain.backlog", "oldest-first, newest-first"},
		{with(func(c *Config) { c.Drain = Drain{Order: "strict", Backlog: "newest-first"} }), "E0807 drain.backlog", "begins with the oldest"},
		{route(Route{Retain: "maybe"}), "E0815 route[0].retain", "keep, strip"},
		{route(Route{Format: "value", Batch: Batch{MaxSamples: 10}}), "E0816 route[0].batch.max_samples", "one sample a message"},
		{route(Route{Format: "json", Batch: Batch{MaxSamples: -1}}), "E0816 route[0].batch.max_samples", "not possible"},
		{route(Route{Format: "json", Batch: Batch{MaxBytes: 1 << 30}}), "E0816 route[0].batch.max_bytes", "too much"},
		{route(Route{Format: "json", Compress: "lz4"}), "E0817 route[0].compress", "none, gzip, zstd"},
		{route(Route{Compress: "gzip"}), "W0817 route[0].compress", "no effect"},
		{route(Route{Priority: "high"}), "E0818 route[0].priority", "alarm, normal, bulk"},
		{route(Route{Where: "valeu > 1"}), "E0819 route[0].where", "unknown name valeu"},
		{route(Route{Types: []string{"samples"}}), "E0820 route[0].types", `unknown type "samples"`},
		{with(func(c *Config) { c.Route = []Route{{From: "acme/#"}, {From: "acme/+/x"}} }), "W0804 route[1].from", "no message reaches"},
		{with(func(c *Config) { c.Command = []Command{{To: "a"}} }), "E0821 command[0].from", "needs from"},
		{with(func(c *Config) { c.Command = []Command{{From: "a+", To: "a"}} }), "E0821 command[0].from", "whole level"},
		{with(func(c *Config) { c.Command = []Command{{From: "a/+", To: "x/{2}"}} }), "E0822 command[0].to", "has 1 + levels"},
		{with(func(c *Config) { c.Command = []Command{{From: "a", To: ""}} }), "E0822 command[0].to", "is empty"},
		{with(func(c *Config) { c.Command = []Command{{From: "a", To: "b", QoS: ptr(-1)}} }), "E0814 command[0].qos", "no QoS -1"},
		{with(func(c *Config) {
			c.Route, c.Command = []Route{{From: "acme/#"}}, []Command{{From: "acme/+/set", To: "acme/{1}/set"}}
		}), "W0805 command[0].from", "up again by the same route"},
	} {
		var got []string
		found := false
		for _, p := range problems(c.cfg) {
			got = append(got, fmt.Sprintf("%s %s: %s (%s)", p.Code, p.Key, p.Text, p.Help))
			found = found || p.Code+" "+p.Key == c.want && strings.Contains(p.Text+" "+p.Help, c.text)
		}
		if !found {
			t.Errorf("want %s with %q, got %q", c.want, c.text, got)
		}
	}
}

// What Validate finds no error in must compile.
func TestValidateMatchesCompile(t *testing.T) {
	for _, c := range []Config{
		{URL: "mqtt://h"}, {URL: "mqtt://h", Route: []Route{{}}}, {URL: "ws://h", Route: []Route{{Format: "group", Batch: Batch{MaxSamples: 5}}}},
		{URL: "mqtt://h", Command: []Command{{From: "#", To: "in/{#}"}}}, {URL: "mqtt://[::1]:1883", Version: 4},
	} {
		for _, p := range problems(c) {
			if p.Code[0] == 'E' {
				t.Errorf("%+v: %+v", c, p)
			}
		}
		newWorld(t, c)
	}
}

func TestID(t *testing.T) {
	for want, c := range map[string]Config{
		"a":        {Name: "a", URL: "mqtt://h"},
		"h":        {URL: "mqtt://h:1"},
		"i":        {URLs: []string{"mqtt://i"}},
		"upstream": {},
	} {
		if got := c.ID(); got != want {
			t.Errorf("ID of %+v is %q, want %q", c, got, want)
		}
	}
}
