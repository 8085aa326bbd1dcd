package main

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"fieldgate/drivers"
	"fieldgate/mqtt/broker"
	"fieldgate/web"
)

// TestEventsOfTheBroker: what the broker has to say waits for the event topic,
// beside what the queue says.
func TestEventsOfTheBroker(t *testing.T) {
	e := newEvents()
	for range 2 * maxEvents {
		e.ofBroker(broker.Event{Code: "W0519", Level: slog.LevelWarn, Text: "two clients fight"})
	}
	if n := len(e.waiting); n != maxEvents {
		t.Errorf("%d wait", n)
	}
	if got, want := e.waiting[0], (drivers.Event{Code: "W0519", Level: "warn", Text: "two clients fight"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestWhoEnters: the status names who may enter by each listener.
func TestWhoEnters(t *testing.T) {
	list := []broker.ListenerInfo{
		{Local: true, Anonymous: true}, {Anonymous: true, Users: true}, {Users: true}, {Users: true, Local: true}, {Certs: true, Users: true, Anonymous: true}, {Certs: true, Local: true}, {},
	}
	want := []string{
		"everybody on this box", "everybody", "users", "users on this box", "clients with a certificate", "clients with a certificate on this box", "nobody",
	}
	if got := whoEnters(list); !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	b := web.Broker{Listeners: []string{"mqtt://127.0.0.1:1883", "mqtts://[::]:8883"}, Enter: want[:2]}
	if got := listenersText(b); got != "mqtt://127.0.0.1:1883 (everybody on this box) mqtts://[::]:8883 (everybody)" {
		t.Errorf("got %s", got)
	}
	if b.Enter = nil; !strings.HasSuffix(listenersText(b), "[::]:8883") {
		t.Errorf("an older gateway: %s", listenersText(b))
	}
}
