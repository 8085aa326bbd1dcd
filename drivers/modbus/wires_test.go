package modbus

import (
	"strings"
	"testing"

	"fieldgate/configs/conf"
	"fieldgate/drivers/modbus/wire"
)

func TestBusLines(t *testing.T) {
	for _, c := range []struct {
		bus    Bus
		kind   wire.Kind
		target string
	}{
		{Bus{TCP: "plc"}, wire.TCP, "plc:502"},
		{Bus{TLS: "plc", CAFile: "ca.pem"}, wire.TCP, "plc:802"},
		{Bus{UDP: "gw:4002"}, wire.RTUOverUDP, "gw:4002"},
		{Bus{RTUOverTCP: "gw:4001"}, wire.RTUOverTCP, "gw:4001"},
		{Bus{Listen: ":5020"}, wire.RTUOverTCP, "listen :5020"},
		{Bus{Listen: ":5020", Protocol: "TCP", Registration: "DTU-1", Heartbeat: "PING"}, wire.TCP, "listen :5020 DTU-1"},
	} {
		cfg := c.bus.Line(nil)
		if cfg.Kind != c.kind || cfg.Target() != c.target {
			t.Errorf("%+v: %s %s, want %s %s", c.bus, cfg.Kind, cfg.Target(), c.kind, c.target)
		}
		if (cfg.TLS != nil) != (c.bus.TLS != "") || (cfg.Listen != nil) != (c.bus.Listen != "") {
			t.Errorf("%+v: TLS %v, Listen %v", c.bus, cfg.TLS, cfg.Listen)
		}
		if cfg.TLS != nil && cfg.TLS.CAFile != c.bus.CAFile || cfg.Listen != nil && string(cfg.Listen.Heartbeat) != c.bus.Heartbeat {
			t.Errorf("%+v: %+v %+v", c.bus, cfg.TLS, cfg.Listen)
		}
	}
}

func TestCheckListen(t *testing.T) {
	for _, c := range []struct {
		name  string
		buses []Bus
		want  string
	}{
		{"two devices", []Bus{{Name: "a", Listen: ":5020", Registration: "1"}, {Name: "b", Listen: ":5020", Registration: "2"}}, ""},
		{"two ports", []Bus{{Name: "a", Listen: ":5020"}, {Name: "b", Listen: ":5021"}}, ""},
		{"one takes everybody", []Bus{{Name: "a", Listen: ":5020"}, {Name: "b", Listen: ":5020", Registration: "2"}}, "bus[0].listen E0337"},
		{"one begins with the other", []Bus{{Name: "a", Listen: ":5020", Registration: "DTU-1"}, {Name: "b", Listen: ":5020", Registration: "DTU-10"}}, "bus[1].registration E0337"},
		{"one is among the other's", []Bus{{Name: "a", Listen: ":5020", Registration: `regex:\d+`}, {Name: "b", Listen: ":5020", Registration: "86"}}, "bus[1].registration E0337"},
		{"one device twice", []Bus{{Name: "a", Listen: ":5020", Registration: "1"}, {Name: "b", Listen: ":5020", Registration: "1"}}, "bus[1].registration E0303"},
	} {
		got := problems(func(bad conf.Bad) { Check(c.buses, nil, bad) })
		if text := strings.Join(got, ","); text != c.want {
			t.Errorf("%s: %q, want %q", c.name, text, c.want)
		}
	}
}
