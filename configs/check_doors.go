package configs

import (
	"net"

	"fieldgate/configs/conf"
)

// door is an address that the gateway listens on.
type door struct {
	key  string
	bind string
}

// checkDoors finds page, metrics and listeners on one port. Two listeners are
// the broker's own check.
func (l *loader) checkDoors() {
	var doors []door
	for i, b := range l.file.Broker.Listener {
		doors = append(doors, door{at("broker.listener", i) + ".bind", b.Bind})
	}
	listeners := len(doors)
	doors = append(doors, door{"web.bind", l.file.Web.Address()}, door{"metrics.bind", l.file.Metrics.Bind})
	for i := listeners; i < len(doors); i++ {
		for _, other := range doors[:i] {
			if sameDoor(doors[i].bind, other.bind) {
				l.bad("")(conf.Problem{Key: doors[i].key, Code: "E0502", Part: doors[i].bind,
					Text: doors[i].key + " has the port of " + other.key + " (" + other.bind + ")",
					Help: "give each its own port"})
				break
			}
		}
	}
}

// sameDoor reports whether two sockets would be in each other's way.
func sameDoor(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return hostA == hostB || everyHost(hostA) || everyHost(hostB)
}

func everyHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}
