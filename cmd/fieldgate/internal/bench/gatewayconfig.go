package bench

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
)

// plant is the size of the simulated plant: devices with tags of int16 each.
type plant struct {
	devices, tags int
	addresses     []string // of the devices, Modbus TCP
}

// The ports of devices are below those that connections get (Linux: 32768 on),
// so that nobody's connection sits on the port of a device that starts later.
const lowestPort, highestPort = 10000, 32000

// newPlant gives each device a free port.
func newPlant(devices, tags int) (plant, error) {
	p := plant{devices: devices, tags: tags}
	for port := lowestPort + rand.IntN(10000); len(p.addresses) < devices; port++ {
		if port > highestPort {
			return p, fmt.Errorf("only %d ports are free", len(p.addresses))
		}
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue // taken
		}
		p.addresses = append(p.addresses, ln.Addr().String())
		ln.Close()
	}
	return p, nil
}

// simulation is the file for `fieldgate sim`: half of the tags move, so that
// they are published every poll, the other half stand still.
func (p plant) simulation() string {
	var b strings.Builder
	for d, address := range p.addresses {
		fmt.Fprintf(&b, "[[plc]]\nname = \"dev%d\"\nbind = %q\npoints = [\n", d, address)
		for t := range p.tags {
			wave := `wave = "constant", min = 20`
			if t%2 == 0 {
				wave = `wave = "ramp", min = 0, max = 30000, period = "1h"`
			}
			fmt.Fprintf(&b, "  { name = \"tag%d\", reg = \"h%d:int16\", %s },\n", t, t, wave)
		}
		b.WriteString("]\n")
	}
	return b.String()
}

// gatewayConfig is the file for `fieldgate run`: everything by default but the
// places it listens on.
func gatewayConfig(dir, broker, web string) string {
	return fmt.Sprintf(`[gateway]
id = "bench"
[buffer]
dir = %q
min_free = "1MiB"
[web]
bind = %q
[publish]
topic = "bench/{device}/{tag}"
[[broker.listener]]
name = "bench"
bind = %q
allow_anonymous = true
`, dir, web, broker)
}

// devicesConfig is what reads the plant once a second.
func (p plant) devicesConfig() string {
	var b strings.Builder
	for d, address := range p.addresses {
		b.WriteString(deviceConfig(fmt.Sprintf("dev%d", d), address, "1s", p.tags))
	}
	return b.String()
}

func deviceConfig(name, address, poll string, tags int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[[bus]]\nname = \"bus-%s\"\ntcp = %q\n[[device]]\nname = %q\nbus = \"bus-%s\"\nunit = 1\npoll = %q\ntags = [\n", name, address, name, name, poll)
	for t := range tags {
		fmt.Fprintf(&b, "  { name = \"tag%d\", reg = \"h%d:int16\" },\n", t, t)
	}
	b.WriteString("]\n")
	return b.String()
}
