package modbus

import (
	"fmt"
	"net/url"
	"path"
	"strconv"
	"strings"

	"fieldgate/configs/conf"
)

// Target is what a command reads or writes: a device of the running gateway,
// or a wire and a unit of its own.
type Target struct {
	Device, Tag string // of the gateway; then Bus is nil
	Bus         *Bus
	Unit        byte
}

// ParseTarget reads DEVICE, DEVICE/TAG, or an address:
//
//	tcp://HOST[:502][/UNIT]     rtu+tcp://HOST:PORT[/UNIT]     rtu+udp://HOST:PORT[/UNIT]
//	rtu:///dev/ttyUSB0[/UNIT]?baud=9600&mode=8E1     ascii://…
//
// The unit is 1 where none is named. timeout=2s may be added to all of them.
func ParseTarget(text string) (Target, error) {
	if !strings.Contains(text, "://") {
		device, tag, _ := strings.Cut(text, "/")
		if device == "" || strings.Contains(tag, "/") {
			return Target{}, fmt.Errorf("%q is not a target: write DEVICE, DEVICE/TAG, tcp://HOST[/UNIT] or rtu:///dev/ttyUSB0[/UNIT]", text)
		}
		return Target{Device: device, Tag: tag}, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return Target{}, fmt.Errorf("target %q: %w", text, err)
	}
	t := Target{Bus: &Bus{Name: "target"}, Unit: 1}
	switch u.Scheme {
	case "tcp":
		t.Bus.TCP = u.Host
		err = t.unitFrom(strings.Trim(u.Path, "/"))
	case "rtu+tcp":
		t.Bus.RTUOverTCP = u.Host
		err = t.unitFrom(strings.Trim(u.Path, "/"))
	case "rtu+udp":
		t.Bus.UDP = u.Host
		err = t.unitFrom(strings.Trim(u.Path, "/"))
	case "rtu", "ascii":
		t.Bus.Protocol = u.Scheme
		err = t.serialPath(u)
	default:
		err = fmt.Errorf("unknown scheme %q: use tcp, rtu, ascii, rtu+tcp or rtu+udp", u.Scheme)
	}
	if err == nil {
		err = t.options(u.Query())
	}
	if err == nil {
		t.Bus.Validate(func(p conf.Problem) {
			if err == nil && p.Code[0] == 'E' {
				err = fmt.Errorf("%s", p.Text)
			}
		})
	}
	if err != nil {
		return Target{}, fmt.Errorf("target %q: %w", text, err)
	}
	return t, nil
}

func (t *Target) unitFrom(text string) error {
	if text == "" {
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil {
		return fmt.Errorf("unit %q is not a number of 0 to 255", text)
	}
	t.Unit = byte(n)
	return nil
}

// serialPath takes a path and the unit behind it. A pseudo-terminal's own
// number, /dev/pts/3, is no unit.
func (t *Target) serialPath(u *url.URL) error {
	full := path.Join("/", u.Host, u.Path) // rtu://dev/ttyUSB0 is what people type
	dir, last := path.Split(full)
	if _, err := strconv.ParseUint(last, 10, 32); err == nil && dir != "/dev/pts/" {
		t.Bus.Port = path.Clean(dir)
		return t.unitFrom(last)
	}
	t.Bus.Port = full
	return nil
}

func (t *Target) options(q url.Values) error {
	for key, values := range q {
		value := values[len(values)-1]
		var err error
		switch key {
		case "baud":
			t.Bus.Baud, err = strconv.Atoi(value)
		case "mode":
			t.Bus.Mode = value
		case "unit":
			err = t.unitFrom(value)
		case "timeout":
			t.Bus.Timeout, err = conf.ParseDuration(value)
		default:
			err = fmt.Errorf("unknown option: use baud, mode, unit or timeout")
		}
		if err != nil {
			return fmt.Errorf("%s=%s: %w", key, value, err)
		}
	}
	return nil
}
