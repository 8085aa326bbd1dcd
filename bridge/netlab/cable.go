package netlab

import (
	"encoding/json"
	"fmt"
	"os"
)

// Most is how many cables may lead out of one namespace.
const Most = 200

// ethernet is the length of the header that the kernel counts with each packet
// on a virtual cable.
const ethernet = 14

// Cable joins two namespaces with one network, 10.200.n.0/30.
type Cable struct {
	n         int
	near, far *Space
}

// Join lays cable n (1 to Most; once per namespace) from one namespace to
// another. The addresses of the ends know each other: no ARP goes over it. A
// packet on it is a packet: none stands for several.
func Join(near, far *Space, n int) (*Cable, error) {
	if n < 1 || n > Most {
		panic(fmt.Sprintf("netlab: cable %d", n)) // a wrong call
	}
	c := &Cable{n: n, near: near, far: far}
	if err := near.run("", "ip", "link", "add", c.device(), "type", "veth", "peer", "name", c.device(), "netns", fmt.Sprint(far.pid())); err != nil {
		return nil, err
	}
	mac := map[*Space]string{near: fmt.Sprintf("02:00:00:00:%02x:01", n), far: fmt.Sprintf("02:00:00:00:%02x:02", n)}
	for _, end := range []struct {
		at, other   *Space
		own, remote string
	}{{near, far, c.Near(), c.Far()}, {far, near, c.Far(), c.Near()}} {
		// Where IPv6 is compiled out there is nothing to turn off.
		off := "/proc/sys/net/ipv6/conf/" + c.device() + "/disable_ipv6"
		if _, err := os.Stat("/proc/sys/net/ipv6"); err == nil {
			if err := end.at.run("", "sh", "-c", "echo 1 >"+off); err != nil {
				return nil, err
			}
		}
		for _, words := range [][]string{
			{"link", "set", c.device(), "address", mac[end.at], "gso_max_segs", "1", "up"},
			{"address", "add", end.own + "/30", "dev", c.device()},
			{"neighbour", "replace", end.remote, "lladdr", mac[end.other], "dev", c.device(), "nud", "permanent"},
		} {
			if err := end.at.run("", "ip", words...); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

func (c *Cable) device() string { return fmt.Sprintf("wan%d", c.n) }

// Near and Far are the addresses of its ends.
func (c *Cable) Near() string { return fmt.Sprintf("10.200.%d.1", c.n) }

// Far is the address at the other end.
func (c *Cable) Far() string { return fmt.Sprintf("10.200.%d.2", c.n) }

// Remove takes the cable out for good. It goes with either namespace too, but
// the kernel takes its time for that.
func (c *Cable) Remove() error { return c.near.run("", "ip", "link", "delete", c.device()) }

// Cut takes the cable away: whoever sends over it is told at once that there is
// no way. Mend puts it back.
func (c *Cable) Cut() error { return c.near.run("", "ip", "link", "set", c.device(), "down") }

// Mend undoes Cut.
func (c *Cable) Mend() error {
	// The neighbour is forgotten with the link, the route comes with the address.
	if err := c.near.run("", "ip", "link", "set", c.device(), "up"); err != nil {
		return err
	}
	return c.near.run("", "ip", "neighbour", "replace", c.Far(), "lladdr", fmt.Sprintf("02:00:00:00:%02x:02", c.n), "dev", c.device(), "nud", "permanent")
}

// Count is what has gone over a cable: packets, and their bytes with the
// headers of IP and all above it.
type Count struct {
	UpPackets, DownPackets int64 // up: from the near end
	UpBytes, DownBytes     int64
}

// Bytes is both directions together.
func (c Count) Bytes() int64 { return c.UpBytes + c.DownBytes }

// Sub is what came after an earlier count.
func (c Count) Sub(o Count) Count {
	return Count{c.UpPackets - o.UpPackets, c.DownPackets - o.DownPackets, c.UpBytes - o.UpBytes, c.DownBytes - o.DownBytes}
}

// Count reads the counters of the near end's interface.
func (c *Cable) Count() (Count, error) {
	out, err := c.near.output("", "ip", "-j", "-s", "link", "show", "dev", c.device())
	if err != nil {
		return Count{}, err
	}
	return parseCount(out)
}

// parseCount reads the JSON of `ip -s link`.
func parseCount(text []byte) (Count, error) {
	type way struct {
		Bytes, Packets int64
	}
	var links []struct {
		Stats *struct {
			Rx, Tx way
		} `json:"stats64"`
	}
	if err := json.Unmarshal(text, &links); err != nil {
		return Count{}, fmt.Errorf("read the counters of ip: %w", err)
	}
	if len(links) != 1 || links[0].Stats == nil {
		return Count{}, fmt.Errorf("read the counters of ip: %d interfaces in %.80q", len(links), text)
	}
	up, down := links[0].Stats.Tx, links[0].Stats.Rx
	return Count{up.Packets, down.Packets, up.Bytes - ethernet*up.Packets, down.Bytes - ethernet*down.Packets}, nil
}
