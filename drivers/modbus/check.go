package modbus

import (
	"fmt"
	"strings"

	"fieldgate/configs/conf"
	"fieldgate/drivers/modbus/wire"
)

// Check reports what is wrong between buses and devices: names that are taken
// twice, buses that do not exist, two buses on one wire, units that share a
// number, and lines that cannot keep up. Each section's own Validate is not
// called. Keys begin with bus[i] and device[i].
func Check(buses []Bus, devices []Device, bad conf.Bad) {
	say := report(bad)
	byName, byWire := map[string]int{}, map[string]string{}
	var names []string
	for i, b := range buses {
		if _, twice := byName[b.Name]; twice && b.Name != "" {
			say(index("bus", i)+".name", "E0302", b.Name, "", "bus %q exists already", b.Name)
			continue
		}
		byName[b.Name] = i
		names = append(names, b.Name)
		key, wire := b.wireKey()
		if other, taken := byWire[wire]; taken && wire != "" {
			say(index("bus", i)+"."+key, "E0303", wire, "put the devices on one bus: only one program can own a line", "%s is used by bus %q already", wire, other)
		}
		byWire[wire] = b.Name
	}
	checkListen(say, buses)
	checkDevices(say, devices, byName, names)
	for i, b := range buses {
		if warning, help := LoadWarning(b, devices); warning != "" {
			say(index("bus", i), "W0301", "", help, "%s", warning)
		}
	}
}

// checkListen finds buses that share a port with one that takes everybody, or
// that takes their device too: whichever bus is there first would read it.
func checkListen(say sayFunc, buses []Bus) {
	others := map[string]int{}
	for _, b := range buses {
		if b.Listen != "" {
			others[b.Listen]++
		}
	}
	for i, b := range buses {
		if others[b.Listen] > 1 && b.Registration == "" {
			say(index("bus", i)+".listen", "E0337", b.Listen, "give each of them its registration", "bus %q shares %s with others and takes every device that dials in", b.Name, b.Listen)
		}
		for _, other := range buses {
			if b.Listen != "" && other.Listen == b.Listen && other.Registration != b.Registration && covers(other.Registration, b.Registration) {
				say(index("bus", i)+".registration", "E0337", b.Registration, "let none begin with another: as DTU-01 and DTU-10", "a device that says %q belongs to bus %q as well, which waits for %q", b.Registration, other.Name, other.Registration)
			}
		}
	}
}

// covers compares two registrations; those that cannot be read are reported
// elsewhere.
func covers(wide, narrow string) bool {
	p, err := wire.ParsePattern(wide)
	q, err2 := wire.ParsePattern(narrow)
	return err == nil && err2 == nil && p.Covers(q)
}

// wireKey is the key that names the wire, and the wire.
func (b *Bus) wireKey() (key, wire string) {
	switch {
	case b.Port != "":
		return "port", b.Port
	case b.TCP != "":
		wire = b.TCP
		if !strings.Contains(wire, ":") {
			wire += ":502"
		}
		return "tcp", wire
	case b.TLS != "":
		wire = b.TLS
		if !strings.Contains(wire, ":") {
			wire += ":802"
		}
		return "tls", wire
	case b.UDP != "":
		return "udp", b.UDP
	case b.Listen != "":
		return "registration", strings.TrimSpace(b.Listen + " " + b.Registration)
	}
	return "rtu_tcp", b.RTUOverTCP
}

func checkDevices(say sayFunc, devices []Device, buses map[string]int, busNames []string) {
	seen := map[string]bool{}
	units := map[string]string{}
	for i, d := range devices {
		key := index("device", i)
		if seen[d.Name] && d.Name != "" {
			say(key+".name", "E0302", d.Name, "", "device %q exists already", d.Name)
		}
		seen[d.Name] = true
		if _, known := buses[d.Bus]; !known && d.Bus != "" {
			help := "known are " + strings.Join(busNames, ", ")
			if near := conf.Nearest(d.Bus, busNames); near != "" {
				help = fmt.Sprintf("did you mean %q?", near)
			}
			say(key+".bus", "E0304", d.Bus, help, "there is no bus %q", d.Bus)
		}
		place := fmt.Sprintf("%s unit %d", d.Bus, d.unit())
		if other, taken := units[place]; taken {
			say(key+".unit", "W0346", "", "", "%s and %s are both %s", other, d.Name, place)
		}
		units[place] = d.Name
	}
}
