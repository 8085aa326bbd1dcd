package configs

import (
	"fmt"
	"slices"
	"strings"

	"fieldgate/configs/conf"
	"fieldgate/configs/tree"
)

// checkVersion refuses a file that was written for another program.
func (l *loader) checkVersion() {
	if v := l.file.Version; v != Version {
		p := conf.Problem{Key: "version", Code: "E0116", Text: fmt.Sprintf("version %d is not known; this program reads version %d", v, Version),
			Help: fmt.Sprintf("write version = %d, or install the program that the file was made for", Version)}
		l.bad("")(p)
	}
}

// named is a name of the file and where it stands.
type named struct{ name, path string }

// checkNames finds names that are there twice. Devices and instruments share
// one space, because each is a level of the topics; so do buses and
// instruments, because each is a driver.
func (l *loader) checkNames() {
	f := l.file
	var buses, devices, upstreams, listeners []named
	for i, b := range f.Bus {
		buses = append(buses, named{b.Name, at("bus", i)})
	}
	for i, d := range f.Device {
		devices = append(devices, named{d.Name, at("device", i)})
		tags := tagNames(at("device", i)+".tags", d.Tags, func(i int) string { return d.Tags[i].Name })
		tags = append(tags, tagNames(at("device", i)+".tag", d.Tag, func(i int) string { return d.Tag[i].Name })...)
		tags = append(tags, tagNames(at("device", i)+".computed", d.Computed, func(i int) string { return d.Computed[i].Name })...)
		l.twice("tag", tags)
	}
	for i, s := range f.Serial {
		devices = append(devices, named{s.Name, at("serial", i)})
		buses = append(buses, named{s.Name, at("serial", i)})
	}
	for i, u := range f.Upstream {
		upstreams = append(upstreams, named{u.ID(), at("upstream", i)})
	}
	for i, b := range f.Broker.Listener {
		listeners = append(listeners, named{b.Name, at("broker.listener", i)})
	}
	l.twice("device", devices)
	l.twice("bus", buses)
	l.twice("upstream", upstreams)
	l.twice("listener", listeners)
}

func at(section string, i int) string { return fmt.Sprintf("%s[%d]", section, i) }

func tagNames[T any](path string, list []T, name func(int) string) []named {
	var out []named
	for i := range list {
		out = append(out, named{name(i), at(path, i)})
	}
	return out
}

// twice reports each name that an earlier section has already. Names that
// differ in their case only are allowed, as topics tell them apart.
func (l *loader) twice(what string, list []named) {
	first := map[string]string{}
	for _, n := range list {
		if n.name == "" {
			continue
		}
		other, taken := first[n.name]
		if !taken {
			first[n.name] = n.path
			continue
		}
		if other == n.path || l.reported(n.path+".name") {
			continue
		}
		l.bad(n.path)(conf.Problem{Key: "name", Code: "E0302", Part: n.name,
			Text: fmt.Sprintf("a second %s is called %q", what, n.name),
			Help: "rename one of them; the first is at " + l.whereIs(other+".name")})
	}
}

// reported says whether a key has a problem already: its section may know
// better.
func (l *loader) reported(key string) bool {
	for _, p := range l.report.Problems {
		if p.Key == key {
			return true
		}
	}
	return false
}

// whereIs names the place of a key in words: file:line.
func (l *loader) whereIs(path string) string {
	v, _ := l.root.find(tree.ParsePath(path))
	if v == l.root || v.file == nil {
		return path
	}
	line, _ := v.file.line(v.node.Key.Start)
	return fmt.Sprintf("%s:%d", v.file.name, line)
}

// checkBusNames finds devices on buses that are not there, and buses without a
// device. While a file or a bus is missing, neither can be told.
func (l *loader) checkBusNames() {
	if l.broken {
		return
	}
	var known []string
	for _, b := range l.file.Bus {
		known = append(known, b.Name)
	}
	used, lost := map[string]bool{}, false
	for i, d := range l.file.Device {
		used[d.Bus] = true
		if slices.Contains(known, d.Bus) && d.Bus != "" {
			continue
		}
		lost = true
		if d.Bus != "" { // a missing bus is the device's own problem
			l.bad(at("device", i))(unknownBus(d.Bus, known))
		}
	}
	for i, b := range l.file.Bus {
		if b.Name != "" && !used[b.Name] && !lost {
			l.bad(at("bus", i))(conf.Problem{Key: "name", Code: "W0123", Part: b.Name,
				Text: fmt.Sprintf("no device is on bus %s", b.Name), Help: fmt.Sprintf("add a [[device]] with bus = %q, or remove the bus", b.Name)})
		}
	}
}

func unknownBus(name string, known []string) conf.Problem {
	p := conf.Problem{Key: "bus", Code: "E0304", Part: name, Text: fmt.Sprintf("there is no bus %q", name)}
	switch near := conf.Nearest(name, known); {
	case near != "":
		p.Help = fmt.Sprintf("did you mean %q?", near)
	case len(known) > 0:
		p.Help = "known buses: " + strings.Join(known, ", ")
	default:
		p.Help = fmt.Sprintf("add [[bus]] with name = %q and a port or tcp", name)
	}
	return p
}
