package modbus

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"fieldgate/configs/conf"
)

func problems(validate func(conf.Bad)) []string {
	var out []string
	validate(func(p conf.Problem) { out = append(out, p.Key+" "+p.Code) })
	return out
}

func TestBusValidate(t *testing.T) {
	good := Bus{Name: "a", Port: "/dev/ttyUSB0", Baud: 9600, Mode: "8E1", Protocol: "rtu", RS485: RS485{RTS: "ioctl"}, Echo: "auto", Retries: ptr(0)}
	for _, c := range []struct {
		name string
		bus  Bus
		want string
	}{
		{"serial", good, ""},
		{"tcp", Bus{Name: "a", TCP: "192.168.10.20"}, ""},
		{"tcp with port", Bus{Name: "a", TCP: "[::1]:1502"}, ""},
		{"rtu over tcp", Bus{Name: "a", RTUOverTCP: "10.0.0.7:4001"}, ""},
		{"tls", Bus{Name: "a", TLS: "10.0.0.7", CAFile: "ca.pem", CertFile: "c.pem", KeyFile: "k.pem", ServerName: "plc"}, ""},
		{"udp", Bus{Name: "a", UDP: "10.0.0.7:4001"}, ""},
		{"udp needs a port", Bus{Name: "a", UDP: "10.0.0.7"}, "udp E0331"},
		{"tcp and tls", Bus{Name: "a", TCP: "h", TLS: "h"}, "tls E0330"},
		{"tls keys alone", Bus{Name: "a", TCP: "h", ServerName: "plc"}, "server_name E0336"},
		{"half a certificate", Bus{Name: "a", TLS: "h", CertFile: "c.pem"}, "cert_file E0336"},
		{"protocol on tls", Bus{Name: "a", TLS: "h", Protocol: "rtu"}, "protocol E0333"},
		{"listen", Bus{Name: "a", Listen: ":5020", Protocol: "tcp", Registration: "DTU-1", Heartbeat: "PING"}, ""},
		{"listen without port", Bus{Name: "a", Listen: "here"}, "listen E0331"},
		{"listen to ascii", Bus{Name: "a", Listen: ":5020", Protocol: "ascii"}, "protocol E0333"},
		{"listen, bad patterns", Bus{Name: "a", Listen: ":5020", Registration: "regex:(", Heartbeat: "hex:0"}, "registration E0337,heartbeat E0337"},
		{"heartbeat like a frame", Bus{Name: "a", Listen: ":5020", Protocol: "tcp", Heartbeat: "hex:fe"}, "heartbeat E0337"},
		{"heartbeat alone", Bus{Name: "a", TCP: "h", Heartbeat: "PING"}, "heartbeat E0337"},
		{"nothing", Bus{}, "name E0301, E0330"},
		{"two wires", Bus{Name: "a", Port: "/dev/x", TCP: "h"}, "tcp E0330"},
		{"no path", Bus{Name: "a", Port: "ttyUSB0"}, "port E0331"},
		{"url", Bus{Name: "a", TCP: "tcp://10.0.0.1"}, "tcp E0331"},
		{"port number", Bus{Name: "a", TCP: "10.0.0.1:99999"}, "tcp E0331"},
		{"rtu over tcp needs a port", Bus{Name: "a", RTUOverTCP: "10.0.0.7"}, "rtu_tcp E0331"},
		{"baud", Bus{Name: "a", Port: "/dev/x", Baud: -1}, "baud E0332"},
		{"mode", Bus{Name: "a", Port: "/dev/x", Mode: "8X1"}, "mode E0332"},
		{"baud on tcp", Bus{Name: "a", TCP: "h", Baud: 9600}, "tcp W0332"},
		{"protocol", Bus{Name: "a", Port: "/dev/x", Protocol: "tcp"}, "protocol E0333"},
		{"echo", Bus{Name: "a", Port: "/dev/x", Echo: "maybe"}, "echo E0333"},
		{"rts", Bus{Name: "a", Port: "/dev/x", RS485: RS485{RTS: "kernel"}}, "rs485.rts E0333"},
		{"rts delay", Bus{Name: "a", Port: "/dev/x", RS485: RS485{RTS: "ioctl", ActiveLow: true, DelayBefore: conf.Duration(time.Millisecond), DelayAfter: conf.Duration(101 * time.Millisecond)}}, "rs485.delay_after E0335"},
		{"half a millisecond", Bus{Name: "a", Port: "/dev/x", RS485: RS485{RTS: "ioctl", DelayBefore: conf.Duration(500 * time.Microsecond)}}, "rs485.delay_before E0335"},
		{"rts of the adapter", Bus{Name: "a", Port: "/dev/x", RS485: RS485{ActiveLow: true}}, "rs485 W0333"},
		{"rts without a line", Bus{Name: "a", TCP: "h", RS485: RS485{RTS: "ioctl"}}, "rs485 W0333"},
		{"retries", Bus{Name: "a", Port: "/dev/x", Retries: ptr(-1)}, "retries E0334"},
		{"pipelining", Bus{Name: "a", TCP: "h", MaxInFlight: 9}, "max_in_flight E0334"},
		{"timeout", Bus{Name: "a", TCP: "h", Timeout: conf.Duration(time.Hour)}, "timeout E0335"},
		{"no timeout", Bus{Name: "a", TCP: "h", Timeout: 1}, "timeout E0335"},
	} {
		if got := strings.Join(problems(c.bus.Validate), ","); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestDeviceValidate(t *testing.T) {
	base := func(change func(*Device)) Device {
		d := Device{Name: "d", Bus: "b", Unit: 1, Tags: []Tag{tag("a", "h1"), tag("sf", "h2:int16")}}
		change(&d)
		return d
	}
	first := func(change func(*Tag)) Device { return base(func(d *Device) { change(&d.Tags[0]) }) }
	for _, c := range []struct {
		name string
		d    Device
		want string
	}{
		{"good", base(func(*Device) {}), ""},
		{"name", base(func(d *Device) { d.Name = "a/b" }), "name E0301"},
		{"no bus", base(func(d *Device) { d.Bus = "" }), "bus E0304"},
		{"unit", base(func(d *Device) { d.Unit = 256 }), "unit E0340"},
		{"reserved unit", base(func(d *Device) { d.Unit = 250 }), "unit W0340"},
		{"poll", base(func(d *Device) { d.Poll = Poll(time.Millisecond) }), "poll E0344"},
		{"order", base(func(d *Device) { d.Order = "ABDC" }), "order E0205"},
		{"max_gap", base(func(d *Device) { d.MaxGap = -1 }), "max_gap E0341"},
		{"max_gap auto", base(func(d *Device) { d.MaxGap = "auto" }), ""},
		{"max_gap from the file", base(func(d *Device) { d.MaxGap = int64(125) }), ""},
		{"max_gap too wide", base(func(d *Device) { d.MaxGap = int64(1 << 40) }), "max_gap E0341"},
		{"max_gap a word", base(func(d *Device) { d.MaxGap = "wide" }), "max_gap E0341"},
		{"max_gap a truth", base(func(d *Device) { d.MaxGap = true }), "max_gap E0341"},
		{"no_read", base(func(d *Device) { d.NoRead = []string{"h3", "h4..h9", "h4..0x9", "40101..40110", "c0..7"} }), ""},
		{"no_read of nothing", base(func(d *Device) { d.NoRead = []string{"x", "h9..h8", "h1..i9", "h3..y"} }), "no_read[0] E0202,no_read[1] E0347,no_read[2] E0347,no_read[3] E0202"},
		{"no_read of a tag", base(func(d *Device) { d.NoRead = []string{"h2..5"} }), "tags[1].reg E0347"},
		{"no_read of a scale_tag", base(func(d *Device) { d.NoRead = []string{"h77"}; d.Tags[0].ScaleTag = "h77" }), "tags[0].scale_tag E0347"},
		{"atomic", base(func(d *Device) { d.Atomic = [][]string{{"a", "sf"}} }), ""},
		{"atomic of one", base(func(d *Device) { d.Atomic = [][]string{{"a"}} }), "atomic[0] E0348"},
		{"atomic of nobody", base(func(d *Device) { d.Atomic = [][]string{{"a", "sff"}} }), "atomic[0][1] E0348"},
		{"atomic twice", base(func(d *Device) { d.Atomic = [][]string{{"a", "sf"}, {"sf", "a"}} }), "atomic[1][0] E0348,atomic[1][1] E0348"},
		{"atomic and single", base(func(d *Device) { d.Atomic, d.OneRequestPerTag = [][]string{{"a", "sf"}}, true }), "atomic[0] E0348"},
		{"atomic of two areas", base(func(d *Device) { d.Atomic = [][]string{{"a", "sf"}}; d.Tags[1].Reg = "i2" }), "atomic[0] E0348"},
		{"atomic of two polls", base(func(d *Device) { d.Atomic = [][]string{{"a", "sf"}}; d.Tags[1].Poll = Poll(time.Minute) }), "atomic[0] E0348"},
		{"atomic too far apart", base(func(d *Device) { d.Atomic = [][]string{{"a", "sf"}}; d.Tags[1].Reg = "h126" }), "atomic[0] E0348"},
		{"atomic just fits", base(func(d *Device) { d.Atomic = [][]string{{"a", "sf"}}; d.Tags[1].Reg = "h125" }), ""},
		{"atomic beyond max_registers", base(func(d *Device) { d.Atomic, d.MaxRegisters = [][]string{{"a", "sf"}}, 4; d.Tags[1].Reg = "h5" }), "atomic[0] E0348"},
		{"atomic over no_read", base(func(d *Device) { d.Atomic, d.NoRead = [][]string{{"a", "sf"}}, []string{"h3"}; d.Tags[1].Reg = "h5" }), "atomic[0] E0348"},
		{"max_registers", base(func(d *Device) { d.MaxRegisters = 126 }), "max_registers E0341"},
		{"offline", base(func(d *Device) { d.Offline = Offline{After: -1, BackoffMax: conf.Duration(24 * time.Hour)} }), "offline.after E0342,offline.backoff_max E0342"},
		{"no tags", Device{Name: "d", Bus: "b"}, " W0343"},
		{"tag twice", base(func(d *Device) { d.Tag = []Tag{tag("a", "h9")} }), "tag[0].name E0302"},
		{"tag name", first(func(g *Tag) { g.Name = "a#" }), "tags[0].name E0301"},
		{"no register", first(func(g *Tag) { g.Reg = "" }), "tags[0].reg E0201"},
		{"type", first(func(g *Tag) { g.Reg = "40103:flaot32" }), "tags[0].reg E0203"},
		{"plain digits", first(func(g *Tag) { g.Reg = "100" }), "tags[0].reg E0207"},
		{"long form", base(func(d *Device) { d.Tag = []Tag{tag("x", "h1:foo")} }), "tag[0].reg E0203"},
		{"scale of 0", first(func(g *Tag) { g.Scale = ptr(0.0) }), "tags[0].scale E0210"},
		{"range", first(func(g *Tag) { g.Range = []float64{1} }), "tags[0].range E0211"},
		{"enum", first(func(g *Tag) { g.Enum = map[string]any{"0": nil} }), "tags[0].enum.0 E0212"},
		{"two bits", first(func(g *Tag) { g.Reg, g.Bits = "h1.3", "4..7" }), "tags[0].bits E0218"},
		{"deadband", first(func(g *Tag) { g.Deadband = "x%" }), "tags[0].deadband E0217"},
		{"report", first(func(g *Tag) { g.Report = "always" }), "tags[0].report E0219"},
		{"scale_tag", first(func(g *Tag) { g.ScaleTag = "sff" }), "tags[0].scale_tag E0220"},
		{"scale_tag of itself", first(func(g *Tag) { g.ScaleTag = "a" }), "tags[0].scale_tag E0220"},
		{"scale_tag is a register", first(func(g *Tag) { g.ScaleTag = "h77:int16" }), ""},
		{"write to an input", first(func(g *Tag) { g.Reg, g.Write = "i1", &Write{} }), "tags[0].write E0221"},
		{"write bounds", first(func(g *Tag) { g.Write = &Write{Min: ptr(5.0), Max: ptr(1.0), Step: ptr(0.0), Rate: "often"} }), "tags[0].write.min E0221,tags[0].write.step E0221,tags[0].write.rate E0222"},
		{"too long for the device", base(func(d *Device) { d.MaxRegisters = 3; d.Tags[0].Reg = "h1:float64" }), "tags[0].reg E0208"},
		{"overlapping writes", base(func(d *Device) { d.Tags = []Tag{writable(tag("a", "h1:uint32")), writable(tag("b", "h2"))} }), "tags[1].reg W0345"},
		{"bits beside each other", base(func(d *Device) {
			d.Tags = []Tag{writable(tag("a", "h1.0")), writable(tag("b", "h1.1")), writable(tag("c", "h1:u8h")), writable(Tag{Name: "d", Reg: "h1", Bits: "2..5"})}
		}), ""},
		{"the same bit", base(func(d *Device) {
			d.Tags = []Tag{writable(tag("a", "h1.0")), writable(Tag{Name: "b", Reg: "h1", Bits: "0..3"})}
		}), "tags[1].reg W0345"},
		{"all at once", base(func(d *Device) { d.Unit = 999; d.Order = "X"; d.Tags[0].Reg = "q"; d.Tags[1].Reg = "h70000" }),
			"unit E0340,order E0205,tags[0].reg E0202,tags[1].reg E0206"},
	} {
		if got := strings.Join(problems(c.d.Validate), ","); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestProblemsNameThePartAndTheRemedy(t *testing.T) {
	var got []conf.Problem
	Device{Name: "d", Bus: "b", Tags: []Tag{tag("a", "40103:flaot32")}}.Validate(func(p conf.Problem) { got = append(got, p) })
	want := conf.Problem{Key: "tags[0].reg", Code: "E0203", Part: "flaot32", Text: `unknown type "flaot32"`, Help: `did you mean "float32"?`}
	if len(got) != 1 || got[0] != want {
		t.Errorf("%+v", got)
	}
}

func TestCheck(t *testing.T) {
	buses := []Bus{{Name: "a", Port: "/dev/x"}, {Name: "a", TCP: "h"}, {Name: "b", Port: "/dev/x"}, {Name: "c", TCP: "h"}, {Name: "d", TCP: "h:502"}}
	slow := sdm(8)
	slow.Bus, slow.Name, slow.Unit, slow.Poll = "a", "hot", 9, Poll(50*time.Millisecond)
	devices := []Device{
		{Name: "x", Bus: "a"}, {Name: "x", Bus: "a", Unit: 2}, {Name: "y", Bus: "aa", Unit: 1}, {Name: "z", Bus: "a", Unit: 1}, slow,
	}
	var got []string
	help := ""
	Check(buses, devices, func(p conf.Problem) {
		got = append(got, p.Key+" "+p.Code)
		if p.Code == "E0304" {
			help = p.Help
		}
	})
	slices.Sort(got)
	want := "[bus[0] W0301 bus[1].name E0302 bus[2].port E0303 bus[4].tcp E0303 device[1].name E0302 device[2].bus E0304 device[3].unit W0346]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v\nwant %s", got, want)
	}
	if help != `did you mean "a"?` {
		t.Error(help)
	}
}

func TestNewRefusesAWrongConfiguration(t *testing.T) {
	if _, err := New(Bus{Name: "b", TCP: "h"}, []Device{{Name: "d", Bus: "b", Tags: []Tag{tag("a", "h1:foo")}}}, Options{}); err == nil || !strings.Contains(err.Error(), "tags[0].reg") {
		t.Error(err)
	}
	d, err := New(Bus{Name: "b", TCP: "h"}, []Device{{Name: "d", Bus: "other"}}, Options{})
	if err != nil || len(d.Tags()) != 0 {
		t.Error(err)
	}
}
