package broker

import (
	"bytes"
	"fmt"
	"testing"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// What waits for a subscriber with a small window comes as it was published,
// whatever its size and whoever else gets it: alone (then it is lent from a
// pool, and the race detector's build spoils what is given back), with another
// subscriber, retained, by a share, or with a handler.
func TestWhatIsLent(t *testing.T) {
	sizes := []int{0, 1, 100, 127, 128, 129, 512, 513, 2048, 2049, 8191, 8192, 8193, 40_000}
	for _, qos := range []mqtt.QoS{1, 2} {
		t.Run(fmt.Sprint("qos ", qos), func(t *testing.T) {
			s := start(t, Config{}, nil)
			small := func(c *packet.Connect) { c.Props.ReceiveMaximum = 3 }
			one, two := s.connect(mqtt.V5, "one", small), s.connect(mqtt.V5, "two", small)
			one.subscribe(sub("one/#", qos), sub("both/#", qos), sub("$share/g/shared/#", qos))
			two.subscribe(sub("both/#", qos))
			w := s.connect(mqtt.V311, "w")
			payload := func(topic string, round, i int) []byte {
				b := bytes.Repeat([]byte{byte('a' + i)}, sizes[i])
				copy(b, fmt.Sprint(topic, round))
				return b
			}
			id := uint16(0)
			for round := range 3 {
				for _, topic := range []string{"one/x", "both/x", "shared/x", "one/kept"} {
					for i := range sizes {
						id++
						w.send(&packet.Publish{Topic: topic, QoS: qos, PacketID: id, Payload: payload(topic, round, i), Retain: topic == "one/kept"})
					}
					for range sizes {
						w.mustNext() // PUBACK or PUBREC
					}
					for k := range sizes {
						if qos == 2 {
							w.send(&packet.Pubrel{PacketID: id - uint16(k)})
							expect[*packet.Pubcomp](w)
						}
					}
					for i := range sizes {
						want := payload(topic, round, i)
						if m := one.receive(); m.Topic != topic || !bytes.Equal(m.Payload, want) {
							t.Fatalf("%s %d of %d bytes: got %s, %.60q", topic, i, len(want), m.Topic, m.Payload)
						}
						if topic == "both/x" {
							if m := two.receive(); !bytes.Equal(m.Payload, want) {
								t.Fatalf("second subscriber, %d of %d bytes: got %.60q", i, len(want), m.Payload)
							}
						}
					}
				}
			}
			if kept := s.Retained("one/kept"); len(kept) != 1 || !bytes.Equal(kept[0].Payload, payload("one/kept", 2, len(sizes)-1)) {
				t.Errorf("retained: %d messages", len(kept))
			}
			one.silent()
			two.silent()
		})
	}
}

// Only a message of one holder is lent, and its memory is used again.
func TestLend(t *testing.T) {
	for size, want := range map[int]int{0: 128, 128: 128, 129: 512, 2048: 2048, 8192: 8192} {
		p := publish{sole: true, view: true, topic: "t", payload: bytes.Repeat([]byte{'x'}, size)}
		m, lent := p.lend()
		if !lent || cap(m.Payload) != want || !bytes.Equal(m.Payload, p.payload) || m.Topic != "t" {
			t.Errorf("%d bytes: lent %v, %d of %d bytes", size, lent, len(m.Payload), cap(m.Payload))
		}
		e := entry{msg: m, lent: lent}
		e.giveBack()
		if e.msg != nil || e.lent || m.Topic != "" || len(m.Payload) != 0 || cap(m.Payload) != want {
			t.Errorf("%d bytes: given back as %+v", size, m)
		}
	}
	for name, p := range map[string]publish{
		"large":              {sole: true, payload: make([]byte, 8193)},
		"of several holders": {payload: []byte("x")},
		"kept already":       {sole: true, payload: []byte("x"), kept: &mqtt.Message{}},
	} {
		m, lent := p.lend()
		if lent || m == nil {
			t.Errorf("a message %s is lent", name)
		}
		e := entry{msg: m}
		if e.giveBack(); e.msg != m {
			t.Errorf("a message %s is given back", name)
		}
	}
}
