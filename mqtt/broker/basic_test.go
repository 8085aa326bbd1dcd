package broker

import (
	"fmt"
	"testing"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

var versions = []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5}

func TestDeliver(t *testing.T) {
	s := start(t, Config{}, nil)
	for _, v := range versions {
		for qos := mqtt.QoS(0); qos <= 2; qos++ {
			t.Run(fmt.Sprintf("v%d qos %d", v, qos), func(t *testing.T) {
				reader := s.connect(v, "reader")
				writer := s.connect(v, "writer")
				if got := reader.subscribe(sub("a/+/c", qos)); got[0] != mqtt.ReasonCode(qos) {
					t.Fatalf("SUBACK %v", got)
				}
				for i := range 50 {
					writer.publish("a/b/c", fmt.Sprint(i), qos, uint16(i+1))
				}
				for i := range 50 {
					if m := reader.receive(); m.Topic != "a/b/c" || string(m.Payload) != fmt.Sprint(i) || m.QoS != qos || m.Dup || m.Retain {
						t.Fatalf("message %d: %+v", i, m)
					}
				}
				reader.silent()
				reader.leave()
				writer.leave()
			})
		}
	}
}

func TestOfflineQueueInOrder(t *testing.T) {
	s := start(t, Config{MaxQueued: 5000}, nil)
	r := s.connect(mqtt.V5, "r", durable)
	r.subscribe(sub("q/#", 2))
	r.leave()
	w := s.connect(mqtt.V311, "w")
	const n = 1000
	for i := range n {
		w.send(pub("q/x", fmt.Sprint(i), mqtt.QoS(1+i%2), uint16(i%20+1)))
		if i%2 == 0 {
			expect[*packet.Puback](w)
		} else {
			expect[*packet.Pubrec](w)
			w.send(&packet.Pubrel{PacketID: uint16(i%20 + 1)})
			expect[*packet.Pubcomp](w)
		}
	}
	r = s.dial()
	if a := r.connect(mqtt.V5, "r", durable); !a.SessionPresent {
		t.Fatal("no session present")
	}
	for i := range n {
		if m := r.receive(); string(m.Payload) != fmt.Sprint(i) || m.Dup || m.QoS != mqtt.QoS(1+i%2) {
			t.Fatalf("message %d: %s dup %v QoS %d", i, m.Payload, m.Dup, m.QoS)
		}
	}
	waitFor(t, "an empty queue", func() bool { n, _ := s.store.PendingCount("r"); return n == 0 })
	if n := s.queuedBytes.Load(); n != 0 {
		t.Errorf("%d bytes still counted as queued", n)
	}
}
