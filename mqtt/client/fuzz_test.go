package client

import (
	"context"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/mqtttest"
	"fieldgate/mqtt/packet"
)

// Whatever a broker sends after its CONNACK, the connection ends, and every
// call and message with it.
func FuzzBroker(f *testing.F) {
	for _, p := range []packet.Packet{
		&packet.Publish{Topic: "t", QoS: 2, PacketID: 1, TopicAlias: 1}, &packet.Puback{PacketID: 1}, &packet.Pubrec{PacketID: 1},
		&packet.Pubrel{PacketID: 1}, &packet.Pubcomp{PacketID: 1}, &packet.Suback{PacketID: 2, Reasons: []mqtt.ReasonCode{0}},
		&packet.Disconnect{Reason: mqtt.ServerBusy}, &packet.Pingresp{}, &packet.Auth{},
	} {
		b, err := p.Append(nil, mqtt.V5)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append(b, b...), true)
		f.Add(b[:len(b)-1], false)
	}
	f.Fuzz(func(t *testing.T, sent []byte, newer bool) {
		cfg := script(t, nil, func(p *mqtttest.Peer) {
			go swallow(p)
			_ = p.Conn.SetWriteDeadline(time.Now().Add(mqtttest.Patience))
			_, _ = p.Conn.Write(sent)
		})
		if !newer {
			cfg.Version = mqtt.V311
		}
		cfg.TopicAliasMax = 3
		cfg.OnMessage = func(_ *mqtt.Message, ack func()) { ack() }
		c, err := Dial(context.Background(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		if c.PublishAsync(bg, message(1, 2), func(err error) { done <- err }) == nil {
			defer func() { within(t, "the message's end", done) }()
		}
		if _, err := c.Subscribe(bg, mqtt.Subscription{Filter: "a"}); err != nil && c.Err() == nil {
			t.Errorf("%v although the connection works", err)
		}
		within(t, "the end", c.Done())
		if c.Err() == nil {
			t.Error("no reason")
		}
	})
}
