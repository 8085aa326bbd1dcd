package main

import (
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]string{
		"boiler2":                             "boiler2",
		"boiler2/temp":                        "boiler2/temp",
		"tcp://10.0.0.7":                      "10.0.0.7:502 unit 1",
		"tcp://10.0.0.7/17":                   "10.0.0.7:502 unit 17",
		"tcp://plc:1502/255":                  "plc:1502 unit 255",
		"rtu:///dev/null?baud=19200&mode=8E1": "/dev/null 19200 8E1 unit 1",
		"rtu:///dev/null/3":                   "/dev/null 9600 8N1 unit 3",
		"rtu+tcp://gw:4001/9":                 "gw:4001 unit 9",
	} {
		got, err := parseTarget(text)
		if err != nil || got.name() != want {
			t.Errorf("%s: %q, %v; want %q", text, got.name(), err, want)
		}
	}
	for text, want := range map[string]string{
		"":                      "write DEVICE",
		"udp://x":               "unknown kind",
		"tcp://":                "no host",
		"tcp://h/256":           "beyond 255",
		"rtu:///dev/x?baud=x":   "not a speed",
		"rtu:///dev/x?speed=12": "unknown option",
	} {
		_, err := parseTarget(text)
		if err == nil || !strings.Contains(err.Error(), want) || !isUsage(err) {
			t.Errorf("%q: %v, want a usage error with %q", text, err, want)
		}
	}
}
