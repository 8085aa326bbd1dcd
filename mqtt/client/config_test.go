package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/mqtttest"
	"fieldgate/mqtt/packet"
)

func TestParseURL(t *testing.T) {
	for text, want := range map[string]endpoint{
		"mqtt://h":                   {"mqtt", "h:1883", "h", ""},
		"mqtt://h/":                  {"mqtt", "h:1883", "h", ""},
		"tcp://h:1":                  {"mqtt", "h:1", "h", ""},
		"mqtts://h":                  {"mqtts", "h:8883", "h", ""},
		"ssl://u:p@h:9":              {"mqtts", "h:9", "h", ""},
		"mqtt://[::1]":               {"mqtt", "[::1]:1883", "::1", ""},
		"ws://h":                     {"ws", "h:80", "h", "/"},
		"wss://h/mqtt?token=a%2Fb":   {"wss", "h:443", "h", "/mqtt?token=a%2Fb"},
		"unix:///run/fieldgate.sock": {"unix", "/run/fieldgate.sock", "", ""},
	} {
		got, _, err := parseURL(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "h:1883", "http://h", "mqtt://", "mqtt://:1883", "mqtt://h/path", "unix://sock", "unix://", "mqtt://u:secret@h:x", "::"} {
		_, _, err := parseURL(text)
		if err == nil {
			t.Errorf("%q accepted", text)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%v shows the password", err)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for what, cfg := range map[string]Config{
		"URL":        {},
		"version":    {URL: "mqtt://h", Version: 6},
		"version 2":  {URL: "mqtt://h", Version: 2},
		"keep alive": {URL: "mqtt://h", KeepAlive: 24 * time.Hour},
		"negative":   {URL: "mqtt://h", KeepAlive: -1},
		"max packet": {URL: "mqtt://h", MaxPacket: -1},
		"will":       {URL: "mqtt://h", Will: &mqtt.Will{Message: mqtt.Message{Topic: "a/#"}}},
		"proxy":      {URL: "mqtt://h", Proxy: "ftp://h"},
		"proxy host": {URL: "mqtt://h", Proxy: "socks5://"},
	} {
		_, err := Dial(context.Background(), cfg)
		var d *DialError
		if !errors.As(err, &d) || d.Step != StepConfig || d.Error() == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What the configuration says arrives in the CONNECT.
func TestHello(t *testing.T) {
	will := &mqtt.Will{Delay: 3, Message: mqtt.Message{Topic: "w", Payload: []byte("x"), QoS: 1, Retain: true}}
	for _, c := range []struct {
		what string
		cfg  Config
		want packet.Connect
	}{
		{"defaults", Config{}, packet.Connect{Version: mqtt.V5, Password: nil,
			Props: packet.ConnectProps{ReceiveMaximum: DefaultReceiveMaximum, MaxPacket: DefaultMaxPacket}}},
		{"5.0", Config{
			ClientID: "c", Username: "u", Password: conf.NewSecret("p"), CleanStart: true, SessionExpiry: 9, KeepAlive: 1500 * time.Millisecond,
			Will: will, ReceiveMaximum: 5, MaxPacket: 1000, TopicAliasMax: 4, Bridge: true,
		}, packet.Connect{
			Version: mqtt.V5, ClientID: "c", Username: "u", HasUsername: true, Password: []byte("p"), HasPassword: true, CleanStart: true,
			KeepAlive: 2, Will: will, Props: packet.ConnectProps{SessionExpiry: 9, ReceiveMaximum: 5, MaxPacket: 1000, TopicAliasMax: 4},
		}},
		{"3.1.1 kept session", Config{Version: mqtt.V311, ClientID: "c", SessionExpiry: 9, Bridge: true},
			packet.Connect{Version: mqtt.V311, ClientID: "c", Bridge: true}},
		{"3.1.1 clean", Config{Version: mqtt.V311, ClientID: "c"}, packet.Connect{Version: mqtt.V311, ClientID: "c", CleanStart: true}},
		{"3.1.1 without client id", Config{Version: mqtt.V311, SessionExpiry: 9}, packet.Connect{Version: mqtt.V311, CleanStart: true}},
		{"3.1.1 password only", Config{Version: mqtt.V311, ClientID: "c", Password: conf.NewSecret("p")},
			packet.Connect{Version: mqtt.V311, ClientID: "c", CleanStart: true, HasUsername: true, HasPassword: true, Password: []byte("p")}},
		{"login in the URL", Config{URL: "mqtt://u:p@h", Version: mqtt.V311, ClientID: "c"},
			packet.Connect{Version: mqtt.V311, ClientID: "c", CleanStart: true, HasUsername: true, Username: "u", HasPassword: true, Password: []byte("p")}},
	} {
		t.Run(c.what, func(t *testing.T) {
			got := make(chan *packet.Connect, 1)
			c.cfg.URL = or(c.cfg.URL, "mqtt://h")
			c.cfg.Dialer = mqtttest.Pipe(t, func(p *mqtttest.Peer) {
				got <- p.Accept(nil)
				p.ExpectClosed()
			})
			mustDial(t, c.cfg)
			if diff := cmp.Diff(&c.want, within(t, "CONNECT", got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	full := &packet.Connack{SessionPresent: true, Props: packet.ConnackProps{
		SessionExpiry: 7, HasSessionExpiry: true, ReceiveMaximum: 3, MaxQoS: 1, HasMaxQoS: true, NoRetain: true, MaxPacket: 500,
		AssignedClientID: "x", TopicAliasMax: 2, NoWildcards: true, NoSubscriptionIDs: true, NoShared: true,
		ServerKeepAlive: 11, HasKeepAlive: true, ResponseInfo: "r", ServerReference: "s", User: []mqtt.UserProperty{{Name: "a", Value: "b"}},
	}}
	for _, c := range []struct {
		what string
		cfg  Config
		a    *packet.Connack
		want Limits
	}{
		{"silence", Config{KeepAlive: time.Minute, SessionExpiry: 5}, &packet.Connack{}, Limits{
			Version: mqtt.V5, ReceiveMaximum: 0xFFFF, MaxQoS: 2, RetainAvailable: true, KeepAlive: time.Minute,
			SessionExpiry: 5, SessionKept: true, WildcardAvailable: true, SubIDsAvailable: true, SharedAvailable: true}},
		{"everything", Config{KeepAlive: time.Minute}, full, Limits{
			Version: mqtt.V5, SessionPresent: true, SessionKept: true, SessionExpiry: 7, ReceiveMaximum: 3, MaxQoS: 1, MaxPacket: 500,
			AssignedClientID: "x", AliasMax: 2, KeepAlive: 11 * time.Second, ResponseInfo: "r", ServerReference: "s",
			User: []mqtt.UserProperty{{Name: "a", Value: "b"}}}},
		{"3.1.1", Config{Version: mqtt.V311, SessionExpiry: 5}, &packet.Connack{}, Limits{
			Version: mqtt.V311, ReceiveMaximum: 0xFFFF, MaxQoS: 2, RetainAvailable: true, SessionExpiry: 0xFFFFFFFF, SessionKept: true, WildcardAvailable: true}},
	} {
		t.Run(c.what, func(t *testing.T) {
			cfg := script(t, c.a, func(p *mqtttest.Peer) { p.ExpectClosed() })
			c.cfg.URL, c.cfg.Dialer, c.cfg.ClientID = cfg.URL, cfg.Dialer, "c"
			if diff := cmp.Diff(c.want, mustDial(t, c.cfg).Limits()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
