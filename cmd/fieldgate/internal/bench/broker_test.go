package bench

import (
	"context"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/broker"
)

// TestOwnBroker runs every scenario at every QoS against our broker.
func TestOwnBroker(t *testing.T) {
	persist := false
	b, err := broker.New(broker.Config{Persist: &persist, Listener: []broker.Listener{{Name: "test", Bind: "127.0.0.1:0", AllowAnonymous: true, MaxConnects: 10000}}}, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("broker: %v", err)
		}
	})
	for scenario, deliveries := range map[string]int64{"fanin": 1, "fanout": fanOutSubscribers, "pairs": 1} {
		for qos := range mqtt.QoS(3) {
			const count = 205 // not a multiple of the publishers
			l := Load{Address: b.Addr("test").String(), Scenario: scenario, QoS: qos, Payload: 100, Count: count, Outstanding: 10, Quiet: 30 * time.Second}
			r, err := l.Run(t.Context())
			if err != nil {
				t.Fatalf("%s QoS %d: %v", scenario, qos, err)
			}
			if !r.OK() || r.Sent != count || r.Delivered != count*deliveries || r.Lost != 0 {
				t.Errorf("%s QoS %d: %+v", scenario, qos, r)
			}
		}
	}
}
