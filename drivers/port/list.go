package port

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Info is a serial port of this machine, found without opening it.
type Info struct {
	Path    string   // the name to put into the file: by-id, else by-path, else the node
	Node    string   // "/dev/ttyUSB0"
	ByID    string   // "" where udev gives none
	ByPath  string   // names the socket instead of the adapter: for twins without a serial number
	Driver  string   // kernel driver, "ftdi_sio"
	Product string   // what the adapter says of itself
	Serial  string   // the adapter's serial number; "" makes by-id ambiguous with two alike
	Latency int      // FTDI latency timer in ms, 0: none
	Holders []Holder // who has it open, as far as that can be seen
	Access  string   // "" when this process may open it, else why not and what to do
	Warning string   // something that will bite: a twin, a mini UART
}

// List finds the serial ports in /sys/class/tty and their stable names.
// It opens none: opening resets speed and format of a port in use.
func List() ([]Info, error) { return list("/") }

func list(root string) ([]Info, error) {
	class := filepath.Join(root, "sys/class/tty")
	entries, err := os.ReadDir(class)
	if err != nil {
		return nil, err
	}
	byID := links(filepath.Join(root, "dev/serial/by-id"))
	byPath := links(filepath.Join(root, "dev/serial/by-path"))
	var infos []Info
	for _, e := range entries {
		dir := filepath.Join(class, e.Name())
		if !isHardware(dir) {
			continue
		}
		node := filepath.Join(root, "dev", e.Name())
		info := Info{Node: node, ByID: byID[e.Name()], ByPath: byPath[e.Name()]}
		info.describe(dir)
		info.Path = firstOf(info.ByID, info.ByPath, info.Node)
		infos = append(infos, info)
	}
	addHolders(filepath.Join(root, "proc"), infos)
	warnTwins(infos)
	slices.SortFunc(infos, func(a, b Info) int { return strings.Compare(a.Node, b.Node) })
	return infos, nil
}

// isHardware tells ports from consoles and ptys, which have no device, and
// from the placeholders ttyS4 to ttyS31 of the 8250 driver, whose type is 0.
func isHardware(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, "device")); err != nil {
		return false
	}
	return readText(filepath.Join(dir, "type")) != "0"
}

func (i *Info) describe(dir string) {
	device := filepath.Join(dir, "device")
	if driver, err := filepath.EvalSymlinks(filepath.Join(device, "driver")); err == nil {
		i.Driver = filepath.Base(driver)
	}
	i.Latency = readLatency(filepath.Join(device, "latency_timer"))
	i.Product, i.Serial = usbNames(device)
	if err := unix.Access(i.Node, unix.R_OK|unix.W_OK); err != nil {
		i.Access = openError(i.Node, i.Node, err).Error()
	}
	if i.Driver == "uart-bcm2835" || i.Driver == "bcm2835-aux-uart" {
		i.Warning = "this is the mini UART: it has no parity and its speed follows the core clock; use the PL011 (dtoverlay=disable-bt)"
	}
}

// usbNames walks up from the tty's interface to the USB device that names itself.
func usbNames(device string) (product, serial string) {
	dir, err := filepath.EvalSymlinks(device)
	if err != nil {
		return "", ""
	}
	for range 4 { // port, interface, device: never further up
		if product = readText(filepath.Join(dir, "product")); product != "" {
			return product, readText(filepath.Join(dir, "serial"))
		}
		dir = filepath.Dir(dir)
	}
	return "", ""
}

// links maps the names of nodes to the links that lead there.
func links(dir string) map[string]string {
	found := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return found // without udev there are none
	}
	for _, e := range entries {
		link := filepath.Join(dir, e.Name())
		if node, err := os.Readlink(link); err == nil {
			if _, taken := found[filepath.Base(node)]; !taken {
				found[filepath.Base(node)] = link
			}
		}
	}
	return found
}

func addHolders(proc string, infos []Info) {
	nodes := make([]string, len(infos))
	for i := range infos {
		nodes[i] = infos[i].Node
	}
	found := holders(proc, nodes...)
	for i := range infos {
		infos[i].Holders = found[infos[i].Node]
	}
}

// warnTwins finds adapters without a serial number that are alike: only one
// of them can own the by-id name, and which one changes from start to start.
func warnTwins(infos []Info) {
	count := map[string]int{}
	for _, i := range infos {
		if i.Product != "" && i.Serial == "" {
			count[i.Product]++
		}
	}
	for n := range infos {
		i := &infos[n]
		if i.Product != "" && i.Serial == "" && count[i.Product] > 1 {
			i.Path = firstOf(i.ByPath, i.Node)
			i.Warning = "another adapter of this kind has no serial number either: use the by-path name"
		}
	}
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

func readText(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
