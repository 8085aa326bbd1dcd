package main

import (
	"fmt"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"

	"fieldgate/configs/conf"
	"fieldgate/drivers/modbus"
)

// target is what read and write work on: a device of the configuration, or a
// unit on a wire that the command line spells out.
type target struct {
	Device string      `json:"device,omitempty"`
	Tag    string      `json:"tag,omitempty"`
	Bus    *modbus.Bus `json:"bus,omitempty"` // of a URL
	Unit   byte        `json:"unit,omitempty"`
}

// parseTarget reads DEVICE, DEVICE/TAG, tcp://HOST[:502][/UNIT],
// rtu://PATH[/UNIT]?baud=9600&mode=8E1, ascii://…, rtu+tcp://HOST:PORT[/UNIT] or rtu+udp://….
func parseTarget(text string) (target, error) {
	scheme, rest, isURL := strings.Cut(text, "://")
	if !isURL {
		device, tag, _ := strings.Cut(text, "/")
		if device == "" {
			return target{}, usageError{fmt.Errorf("target %q: write DEVICE, DEVICE/TAG, tcp://HOST/UNIT or rtu://PATH/UNIT", text)}
		}
		return target{Device: device, Tag: tag}, nil
	}
	rest, query, _ := strings.Cut(rest, "?")
	options, err := url.ParseQuery(query)
	if err != nil {
		return target{}, usageError{fmt.Errorf("target %q: %w", text, err)}
	}
	t := target{Unit: 1, Bus: &modbus.Bus{Name: "command line"}}
	place, unit, err := splitUnit(rest)
	if err != nil {
		return target{}, usageError{fmt.Errorf("target %q: %w", text, err)}
	}
	t.Unit = unit
	switch scheme {
	case "tcp":
		t.Bus.TCP = place
	case "rtu+tcp":
		t.Bus.RTUOverTCP = place
	case "rtu+udp":
		t.Bus.UDP = place
	case "rtu", "ascii":
		t.Bus.Port, t.Bus.Protocol = place, scheme
	default:
		return target{}, usageError{fmt.Errorf("target %q: unknown kind %q; one of tcp, rtu, ascii, rtu+tcp, rtu+udp", text, scheme)}
	}
	if place == "" {
		return target{}, usageError{fmt.Errorf("target %q names no host or port", text)}
	}
	if err := t.setOptions(text, options); err != nil {
		return target{}, err
	}
	return t, t.checkLine(text)
}

// checkLine finds what the configuration would refuse in a line, as its mode.
func (t *target) checkLine(text string) (err error) {
	t.Bus.Validate(func(p conf.Problem) {
		if err == nil && !strings.HasPrefix(p.Code, "W") && p.Key != "name" {
			err = usageError{fmt.Errorf("target %q: %s; %s", text, p.Text, p.Help)}
		}
	})
	return err
}

func (t *target) setOptions(text string, options url.Values) error {
	for key, values := range options {
		value := values[len(values)-1]
		switch key {
		case "baud":
			baud, err := strconv.Atoi(value)
			if err != nil || baud <= 0 {
				return usageError{fmt.Errorf("target %q: baud %q is not a speed", text, value)}
			}
			t.Bus.Baud = baud
		case "mode":
			t.Bus.Mode = value
		default:
			return usageError{fmt.Errorf("target %q: unknown option %q; known are baud and mode", text, key)}
		}
	}
	return nil
}

// splitUnit takes a trailing /UNIT off. A path that exists as it stands has no
// unit in it: /dev/pts/3 is a port.
func splitUnit(rest string) (place string, unit byte, err error) {
	last := path.Base(rest)
	n, notNumber := strconv.ParseUint(last, 10, 16)
	if _, missing := os.Stat(rest); notNumber != nil || missing == nil || !strings.Contains(rest, "/") {
		return strings.TrimSuffix(rest, "/"), 1, nil
	}
	if n > 255 {
		return "", 0, fmt.Errorf("unit %d is beyond 255", n)
	}
	return strings.TrimSuffix(rest, "/"+last), byte(n), nil
}

// name is the target for people.
func (t target) name() string {
	switch {
	case t.Tag != "":
		return t.Device + "/" + t.Tag
	case t.Device != "":
		return t.Device
	}
	return fmt.Sprintf("%s unit %d", t.Bus.Line(nil).Target(), t.Unit)
}
