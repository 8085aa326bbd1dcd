package client

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/mqtttest"
	"fieldgate/mqtt/packet"
)

// script runs a scripted broker in memory, for use inside and outside of
// testing/synctest. It accepts the connection with a before the script begins.
func script(t *testing.T, a *packet.Connack, f func(*mqtttest.Peer)) Config {
	return Config{
		URL:      "mqtt://broker.test",
		ClientID: "c",
		Dialer: mqtttest.Pipe(t, func(p *mqtttest.Peer) {
			p.Accept(a)
			f(p)
		}),
	}
}

func mustDial(t *testing.T, cfg Config) *Conn {
	t.Helper()
	c, err := Dial(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// within waits for what must happen, for as long as a loaded machine may need.
func within[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(mqtttest.Patience):
		t.Fatalf("%s: did not happen", what)
		panic("unreachable")
	}
}

// until waits for a condition.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(mqtttest.Patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: did not happen", what)
		}
	}
}

func wantReason(t *testing.T, what string, err error, want mqtt.ReasonCode) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// noLeak fails the test if goroutines of this package are left at its end.
func noLeak(t *testing.T) {
	t.Cleanup(func() {
		buf := make([]byte, 1<<20)
		for end := time.Now().Add(mqtttest.Patience); ; time.Sleep(5 * time.Millisecond) {
			all := string(buf[:runtime.Stack(buf, true)])
			if !strings.Contains(all, "client.(*Conn)") {
				return
			}
			if time.Now().After(end) {
				t.Errorf("goroutines are left:\n%s", all)
				return
			}
		}
	})
}

func message(n int, qos mqtt.QoS) mqtt.Message {
	return mqtt.Message{Topic: "t", Payload: fmt.Append(nil, n), QoS: qos}
}
