package configs

import (
	"net"
	"strings"

	"fieldgate/configs/conf"
)

// door is an address that the gateway listens on.
type door struct {
	key  string
	bind string
}

// checkDoors finds page, metrics, listeners and buses that devices dial in to
// on one port. Two listeners are the broker's own check. Two buses may share a
// port, where both name it in the same words.
func (l *loader) checkDoors() {
	var doors []door
	for i, b := range l.file.Broker.Listener {
		doors = append(doors, door{at("broker.listener", i) + ".bind", b.Bind})
	}
	listeners := len(doors)
	doors = append(doors, door{"web.bind", l.file.Web.Address()}, door{"metrics.bind", l.file.Metrics.Bind})
	shared := map[string]bool{}
	for i, b := range l.file.Bus {
		if b.Listen != "" && !shared[b.Listen] {
			doors = append(doors, door{at("bus", i) + ".listen", b.Listen})
			shared[b.Listen] = true
		}
	}
	for i := listeners; i < len(doors); i++ {
		for _, other := range doors[:i] {
			if sameDoor(doors[i].bind, other.bind) {
				l.bad("")(conf.Problem{Key: doors[i].key, Code: "E0502", Part: doors[i].bind,
					Text: doors[i].key + " has the port of " + other.key + " (" + other.bind + ")",
					Help: sharing(doors[i], other)})
				break
			}
		}
	}
}

// sharing is what to do about two doors on one port.
func sharing(a, b door) string {
	if strings.HasPrefix(a.key, "bus[") && strings.HasPrefix(b.key, "bus[") {
		return "buses share a port where both write it alike; otherwise give each its own"
	}
	return "give each its own port"
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
