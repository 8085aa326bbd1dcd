package configs

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"fieldgate/configs/conf"
)

// wire is a serial port or an endpoint that one section uses.
type wire struct {
	kind   string // "port", "endpoint"
	key    string // the key that names it
	target string
	same   string // what makes two of them one
	mode   string // line settings, of a port
}

// checkPorts finds two sections on one wire, and ports whose name will change.
func (l *loader) checkPorts() {
	first := map[string]wire{}
	for _, w := range l.wires() {
		if w.kind == "port" {
			l.checkPortName(w)
			l.checkUART(w)
		}
		other, taken := first[w.kind+" "+w.same]
		if !taken {
			first[w.kind+" "+w.same] = w
			continue
		}
		p := conf.Problem{Key: w.key, Part: w.target, Code: "E0303", Text: "a second section uses port " + w.target,
			Help: "a port has one owner: put its devices on one bus; the first is at " + l.whereIs(other.key)}
		if other.target != w.target {
			p.Text += ", which is the same as " + other.target
		}
		if w.kind == "endpoint" {
			p.Text = "a second section connects to " + w.target
			p.Help = "many devices take one connection only: put the devices on one bus; the first is at " + l.whereIs(other.key)
		}
		l.bad("")(p)
	}
}

func (l *loader) wires() []wire {
	var list []wire
	add := func(kind, key, target, same, mode string) {
		if target != "" {
			list = append(list, wire{kind, key, target, same, mode})
		}
	}
	for i, b := range l.file.Bus {
		path := at("bus", i)
		add("port", path+".port", b.Port, l.realPort(b.Port), b.Mode)
		add("endpoint", path+".tcp", b.TCP, withPort(b.TCP, "502"), "")
		add("endpoint", path+".tls", b.TLS, withPort(b.TLS, "802"), "")
		add("endpoint", path+".udp", b.UDP, "udp "+b.UDP, "")
		add("endpoint", path+".rtu_tcp", b.RTUOverTCP, b.RTUOverTCP, "")
	}
	for i, s := range l.file.Serial {
		if address, ok := strings.CutPrefix(s.Port, "tcp://"); ok {
			add("endpoint", at("serial", i)+".port", address, address, "")
		} else {
			add("port", at("serial", i)+".port", s.Port, l.realPort(s.Port), s.Mode)
		}
	}
	return list
}

// realPort follows the links of a port that is there: by-id and ttyUSB0 may be
// the same.
func (l *loader) realPort(path string) string {
	if path == "" || l.opts.SkipFiles {
		return path
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return filepath.Clean(path)
}

func withPort(address, port string) string {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	return net.JoinHostPort(strings.Trim(address, "[]"), port)
}

// checkPortName warns of names that the kernel gives out in the order of
// plugging in.
func (l *loader) checkPortName(w wire) {
	base := strings.TrimPrefix(w.target, "/dev/")
	if strings.HasPrefix(base, "ttyUSB") || strings.HasPrefix(base, "ttyACM") {
		l.bad("")(conf.Problem{Key: w.key, Part: w.target, Code: "W0401",
			Text: fmt.Sprintf("%s may be another adapter after the next start", w.target),
			Help: "use the name under /dev/serial/by-id; fieldgate ports lists them"})
	}
}
