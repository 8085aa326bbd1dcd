package configs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fieldgate/configs/conf"
)

// checkUART finds what keeps the serial port of a board from working: the
// small UART of a Raspberry Pi, which has no parity, and a Linux console on it.
func (l *loader) checkUART(w wire) {
	if l.opts.SkipFiles {
		return
	}
	uart := filepath.Base(w.same)
	p := conf.Problem{Key: w.key, Part: w.target}
	switch mode := strings.ToUpper(w.mode); {
	case uart == "ttyS0" && len(mode) == 3 && mode[1] != 'N' && l.onRaspberryPi():
		p.Code, p.Text = "E0410", w.target+" is the small UART of a Raspberry Pi, which has no parity"
		p.Help = "put dtoverlay=disable-bt into /boot/firmware/config.txt and run: systemctl disable hciuart"
	case l.consoleOn(uart, filepath.Base(w.target)):
		p.Code, p.Text = "E0411", "the Linux console is on "+w.target
		p.Help = "take console=" + filepath.Base(w.target) + " out of cmdline.txt and run: systemctl disable --now serial-getty@" + uart
	default:
		return
	}
	l.bad("")(p)
}

func (l *loader) onRaspberryPi() bool {
	model, err := os.ReadFile(filepath.Join(l.opts.root, "/proc/device-tree/model"))
	return err == nil && strings.Contains(string(model), "Raspberry Pi")
}

// consoleOn looks for console=NAME,115200 on the kernel's command line.
func (l *loader) consoleOn(names ...string) bool {
	line, err := os.ReadFile(filepath.Join(l.opts.root, "/proc/cmdline"))
	if err != nil {
		return false
	}
	for _, word := range strings.Fields(string(line)) {
		device, ok := strings.CutPrefix(word, "console=")
		device, _, _ = strings.Cut(device, ",")
		if ok && slices.Contains(names, device) {
			return true
		}
	}
	return false
}
