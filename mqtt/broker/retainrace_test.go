package broker

import (
	"fmt"
	"testing"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// TestSubscribeDuringRetain: who subscribes in the very moment in which a
// retained message is published gets it, as the one or as the other.
func TestSubscribeDuringRetain(t *testing.T) {
	s := start(t, Config{}, nil)
	c := s.connect(mqtt.V5, "c")
	topics, published := make(chan string), make(chan error)
	go func() {
		for topic := range topics {
			published <- s.Publish(t.Context(), mqtt.Message{Topic: topic, Payload: []byte("v"), Retain: true})
		}
	}()
	defer close(topics)
	for i := range 900 {
		topic := fmt.Sprintf("t/%d", i)
		topics <- topic
		c.send(&packet.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{sub(topic, 0)}})
		if err := <-published; err != nil {
			t.Fatal(err)
		}
		for acked, got := false, false; !acked || !got; { // in either order; some come twice
			switch p := c.mustNext().(type) {
			case *packet.Suback:
				if acked = true; p.Reasons[0].Failed() {
					t.Fatalf("%s: %v", topic, p.Reasons[0])
				}
			case *packet.Publish:
				got = got || p.Topic == topic
			}
		}
	}
}
