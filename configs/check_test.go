package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each check, with the one problem it finds, or none.
func TestChecks(t *testing.T) {
	const bus = "[[bus]]\nname = \"plc\"\ntcp = \"10.0.0.1\"\n"
	const device = "[[device]]\nname = \"boiler\"\nbus = \"plc\"\ntags = [ { name = \"temp\", reg = \"h100\" } ]\n"
	const place = "[gateway]\nid = \"gw\"\n[gateway.place]\nenterprise = \"acme\"\n"
	const upstream = "[[upstream]]\nurl = \"mqtts://a.example\"\n"
	const up = upstream + "[[upstream.route]]\nfrom = \"acme/#\"\n"
	for _, c := range []struct{ name, text, code, part string }{
		{"clean", bus + device, "", ""},
		{"version", "version = 2", "E0116", "version 2"},
		{"device twice", bus + device + "[[device]]\nname = \"boiler\"\nbus = \"plc\"\nunit = 2\ntags = [ { name = \"t\", reg = \"h1\" } ]\n", "E0302", "boiler"},
		{"device and instrument", bus + device + "[[serial]]\nname = \"boiler\"\nport = \"tcp://10.0.0.9:4001\"\ncontent = \"split\"\ntags = [ { name = \"t\", index = 0 } ]\n", "E0302", "boiler"},
		{"bus twice", bus + device + "[[bus]]\nname = \"plc\"\ntcp = \"10.0.0.2\"\n", "E0302", "plc"},
		{"tag in both forms", bus + device + "[[device.tag]]\nname = \"temp\"\nreg = \"h5\"\n", "E0302", "temp"},
		{"upstream twice", upstream + upstream, "E0302", "a.example"},
		{"unknown bus", strings.Replace(bus+device, "bus = \"plc\"", "bus = \"plk\"", 1), "E0304", `did you mean "plc"?`},
		{"no bus at all", device, "E0304", "plc"},
		{"bus without device", bus, "W0123", "plc"},
		{"two buses, one port", bus + device + "[[bus]]\nname = \"b\"\ntcp = \"10.0.0.1:502\"\n[[device]]\nname = \"c\"\nbus = \"b\"\ntags = [ { name = \"t\", reg = \"h1\" } ]\n", "E0303", "10.0.0.1:502"},
		{"bare ttyUSB", "[[bus]]\nname = \"l\"\nport = \"/dev/ttyUSB0\"\n[[device]]\nname = \"c\"\nbus = \"l\"\ntags = [ { name = \"t\", reg = \"h1\" } ]\n", "W0401", "by-id"},
		{"one topic", "[publish]\ntopic = \"x/{device}{tag}\"\n" + bus + strings.Replace(device, "boiler", "a", 1) + "[[device]]\nname = \"at\"\nbus = \"plc\"\nunit = 2\ntags = [ { name = \"emp\", reg = \"h1\" } ]\n", "E0124", "share the topic x/atemp"},
		{"set topic", "[publish]\ntopic = \"x/{device}/{tag}\"\n" + bus + "[[device]]\nname = \"d\"\nbus = \"plc\"\ntags = [ { name = \"t\", reg = \"h1\", write = {} } ]\n", "", ""},
		{"reserved topic", "[publish]\nbase = \"x\"\ntopic = \"x/{device}/{tag}\"\n" + bus + strings.Replace(device, "boiler", "status", 1), "E0125", "x/status/temp"},
		{"beyond 65535", bus + strings.Replace(device, "h100", "h65535:float32", 1), "E0206", "65535"},
		{"two writes to one place", bus + "[[device]]\nname = \"d\"\nbus = \"plc\"\ntags = [ { name = \"a\", reg = \"h10:uint32\", write = {} }, { name = \"b\", reg = \"h11\", write = {} } ]\n", "W0345", "same place"},
		{"route for nothing", place + bus + device + upstream + "[[upstream.route]]\nfrom = \"other/#\"\ntypes = [\"sample\"]\n", "W0126", "acme/boiler/temp"},
		{"slip in a route", place + bus + device + upstream + "[[upstream.route]]\nfrom = \"acmee/#\"\n", "W0126", "acme/boiler/temp"},
		{"route for clients", place + bus + device + upstream + "[[upstream.route]]\nfrom = \"sensors/#\"\n", "", ""},
		{"shadowed route", place + bus + device + upstream + "[[upstream.route]]\nfrom = \"acme/#\"\n[[upstream.route]]\nfrom = \"acme/boiler/+\"\n", "W0804", "route 1"},
		{"command to a read-only tag", place + bus + device + up + "[[upstream.command]]\nfrom = \"cmd/+/+/set\"\nto = \"acme/{1}/{2}/set\"\n", "W0127", "read only"},
		{"command to nothing", place + bus + device + up + "[[upstream.command]]\nfrom = \"cmd/+/+/set\"\nto = \"acm/{1}/{2}/set\"\n", "W0127", "acme/boiler/temp/set"},
		{"command to a tag", place + bus + strings.Replace(device, "h100\"", "h100\", write = {}", 1) + up + "[[upstream.command]]\nfrom = \"cmd/+/+/set\"\nto = \"acme/{1}/{2}/set\"\n", "", ""},
		{"a circle in one upstream", place + bus + strings.Replace(device, "h100\"", "h100\", write = {}", 1) + up + "[[upstream.command]]\nfrom = \"acme/+/+/set\"\nto = \"acme/{1}/{2}/set\"\n", "W0805", "comes back down"},
		{"a circle of two upstreams", place + bus + strings.Replace(device, "h100\"", "h100\", write = {}", 1) + up +
			"[[upstream]]\nname = \"b\"\nclient_id = \"b\"\nurl = \"mqtts://a.example\"\n[[upstream.command]]\nfrom = \"acme/+/+/set\"\nto = \"acme/{1}/{2}/set\"\n", "W0805", "upstream a.example: what route 1"},
		{"one client id", up + "[[upstream]]\nname = \"b\"\nurl = \"mqtts://a.example\"\n", "W0808", "throw each other out"},
		{"two upstreams apart", place + bus + strings.Replace(device, "h100\"", "h100\", write = {}", 1) + up +
			"[[upstream]]\nname = \"b\"\nurl = \"mqtts://b.example\"\n[[upstream.command]]\nfrom = \"acme/+/+/set\"\nto = \"acme/{1}/{2}/set\"\n", "", ""},
		{"open listener", "[[broker.listener]]\nbind = \":1883\"\nallow_anonymous = true\n[[broker.acl]]\nuser = \"anonymous\"\nallow = [\"read #\"]\n", "E0510", "without a password"},
		{"overloaded line", "[[bus]]\nname = \"l\"\nport = \"/dev/serial/by-id/x\"\nbaud = 1200\n[[device]]\nname = \"c\"\nbus = \"l\"\npoll = \"100ms\"\ntags = [ { name = \"t\", reg = \"h1\" }, { name = \"u\", reg = \"h100\" } ]\n", "W0301", "of line time per second"},
		{"home assistant off", "[homeassistant]\nenabled = false\n", "", ""},
		{"home assistant on", "[homeassistant]\nenabled = true\n", "E0106", "not supported"},
		{"log level", "[log]\nlevel = \"warning\"\n", "E0130", `did you mean "warn"?`},
		{"long window", "[log]\nrepeat_window = \"2d\"\n", "E0130", "longer than a day"},
		{"misplaced key", bus + strings.Replace(device, "tags", "baud = 9600\ntags", 1), "E0103", "belongs in [[bus]]"},
		{"wrong case", bus + strings.Replace(device, "bus =", "Bus =", 1), "E0103", `did you mean "bus"?`},
		{"later key, misspelt", bus + strings.Replace(device, "tags", "templat = \"x\"\ntags", 1), "E0103", `did you mean "template"?`},
		{"sparkplug", upstream + "sparkplug = { group = \"a\" }\n", "E0106", "Sparkplug"},
		{"computed tag", bus + device + "[[device.computed]]\nname = \"x\"\nexpr = \"temp > 3 and boiler.temp < tag('temp') + abs(-1)\"\n", "", ""},
		{"computed of nothing", bus + device + "[[device.computed]]\nname = \"x\"\nexpr = \"1\"\n", "E0349", "it names no tag"},
		{"computed of nobody", bus + device + "[[device.computed]]\nname = \"x\"\nexpr = \"tenp * 2\"\n", "E0349", `did you mean "temp"?`},
		{"computed of another device", bus + device + "[[device.computed]]\nname = \"x\"\nexpr = \"y.temp * 2\"\n", "E0349", "there is no tag y/temp"},
		{"computed with a mistake", bus + device + "[[device.computed]]\nname = \"x\"\nexpr = \"temp >\"\n", "E0349", "(column "},
		{"computed with a loop", bus + device + "[[device.computed]]\nname = \"x\"\nexpr = \"all([temp], # > 1)\"\n", "E0349", "expr:"},
		{"computed twice", bus + device + "[[device.computed]]\nname = \"temp\"\nexpr = \"temp * 2\"\n", "E0302", "temp"},
		{"computed of itself", bus + device + "[[device.computed]]\nname = \"x\"\nexpr = \"x + temp\"\n", "E0349", "follows from itself"},
		{"computed without expr", bus + device + "[[device.computed]]\nname = \"x\"\n", "E0349", "has no expr"},
		{"templates", "[template.x]\na = 1\n", "E0106", "templates"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, r := LoadText("f.toml", c.text, Options{SkipFiles: true})
			switch text := rendered(r); {
			case c.code == "" && len(r.Problems) > 0:
				t.Error("\n" + text)
			case c.code != "" && (len(r.Problems) != 1 || r.Problems[0].Code != c.code || !strings.Contains(text, c.part)):
				t.Errorf("want %s with %q\n%s", c.code, c.part, text)
			case c.code != "" && r.Problems[0].Line == 0:
				t.Errorf("no place\n%s", text)
			}
		})
	}
}

// by-id and ttyUSB0 are one port where one is a link to the other.
func TestPortsFollowLinks(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "ttyS9"), filepath.Join(dir, "by-id")
	if err := os.WriteFile(real, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	text := "[[bus]]\nname = \"a\"\nport = " + quote(real) + "\n[[serial]]\nname = \"s\"\nport = " + quote(link) +
		"\ncontent = \"split\"\ntags = [ { name = \"t\", index = 0 } ]\n[[device]]\nname = \"c\"\nbus = \"a\"\ntags = [ { name = \"t\", reg = \"h1\" } ]\n"
	_, r := LoadText("f.toml", text, Options{})
	if len(r.Problems) != 1 || r.Problems[0].Code != "E0303" || !strings.Contains(r.Problems[0].Text, "same as") {
		t.Error(rendered(r))
	}
}
