package configs

import (
	"strings"
	"testing"
)

// TestDoors: page, metrics and broker need ports of their own.
func TestDoors(t *testing.T) {
	listener := "[[broker.listener]]\nname = \"local\"\nbind = \"127.0.0.1:1884\"\nallow_anonymous = true\n"
	bus := func(name, listen string) string {
		return "[[bus]]\nname = \"" + name + "\"\nlisten = \"" + listen + "\"\nregistration = \"" + name + "\"\n" +
			"[[device]]\nname = \"d-" + name + "\"\nbus = \"" + name + "\"\n[[device.tag]]\nname = \"v\"\nreg = \"h0\"\n"
	}
	for _, c := range []struct{ name, text, want string }{
		{"apart", listener + "[web]\nbind = \"127.0.0.1:8081\"\n", ""},
		{"page on the broker's", listener + "[web]\nbind = \"127.0.0.1:1884\"\n", "web.bind has the port of broker.listener[0].bind"},
		{"every network", listener + "[web]\nbind = \":1884\"\nviewer_without_login = true\n", "web.bind has the port of broker.listener[0].bind"},
		{"another address", listener + "[web]\nbind = \"127.0.0.2:1884\"\n", ""},
		{"metrics on the page's", "[metrics]\nbind = \"127.0.0.1:8080\"\n", "metrics.bind has the port of web.bind"},
		{"any port", "[web]\nbind = \"127.0.0.1:0\"\n[metrics]\nbind = \"127.0.0.1:0\"\n", ""},
		{"devices dial in", listener + bus("a", ":5020"), ""},
		{"devices dial in at the broker's", listener + bus("a", ":1884"), "bus[0].listen has the port of broker.listener[0].bind"},
		{"devices dial in at the page's", bus("a", "127.0.0.1:8080"), "bus[0].listen has the port of web.bind"},
		{"buses share a port", bus("a", ":5020") + bus("b", ":5020"), ""},
		{"buses on one port, not alike", bus("a", ":5020") + bus("b", "127.0.0.1:5020"), "bus[1].listen has the port of bus[0].listen"},
	} {
		_, report := LoadText("plant.toml", c.text, Options{})
		var out strings.Builder
		if err := report.Render(&out, false); err != nil {
			t.Fatal(err)
		}
		if report.OK() != (c.want == "") || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: want %q in:\n%s", c.name, c.want, out.String())
		}
	}
}
