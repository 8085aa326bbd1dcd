package client

import (
	"bytes"
	"net"
	"sync"
	"testing"

	"fieldgate/mqtt"
	"fieldgate/mqtt/mqtttest"
	"fieldgate/mqtt/packet"
)

type netConn = net.Conn

// memoryBroker keeps one session and takes in what it gets.
//
// A CONNECT takes the session over: what the connection before it has sent and
// the broker has not handled yet is lost, as [MQTT-3.1.4-3] demands. Else the
// old connection's goroutine, held up with a PUBLISH of QoS 2 in its hands,
// could take it in after the new connection had sent it again and released it.
type memoryBroker struct {
	t       testing.TB
	mu      sync.Mutex
	known   bool
	conn    *mqtttest.Peer // the connection that has the session
	arrived map[string]int
	qos2    map[uint16]string // what came and waits for PUBREL
}

func newMemoryBroker(t testing.TB) *memoryBroker {
	return &memoryBroker{t: t, arrived: map[string]int{}, qos2: map[uint16]string{}}
}

// serve handles one connection until it ends in whatever way.
func (b *memoryBroker) serve(p *mqtttest.Peer) {
	r := packet.NewReader(p.Conn, 0)
	for {
		header, body, err := r.Next()
		if err != nil {
			return
		}
		q, err := packet.Decode(header, bytes.Clone(body), mqtt.V5)
		if err != nil {
			b.t.Errorf("broker: %v", err)
			return
		}
		answer := b.handle(p, q)
		if answer == nil {
			return
		}
		out, err := answer.Append(nil, mqtt.V5)
		if err != nil {
			b.t.Errorf("broker: %v", err)
			return
		}
		if _, err := p.Conn.Write(out); err != nil {
			return
		}
	}
}

// handle takes in a packet of a connection and returns its answer. It returns
// nil where the connection ends: by DISCONNECT, or because it was taken over.
func (b *memoryBroker) handle(p *mqtttest.Peer, q packet.Packet) packet.Packet {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := q.(*packet.Connect); ok {
		present := b.known
		b.known, b.conn = true, p
		return &packet.Connack{SessionPresent: present, Props: packet.ConnackProps{ReceiveMaximum: 5, TopicAliasMax: 3}}
	}
	if b.conn != p {
		return nil
	}
	switch q := q.(type) {
	case *packet.Publish:
		return b.publish(q)
	case *packet.Pubrel:
		reason := mqtt.Success
		if _, ok := b.qos2[q.PacketID]; !ok { // its PUBCOMP was lost
			reason = mqtt.PacketIDNotFound
		}
		delete(b.qos2, q.PacketID)
		return &packet.Pubcomp{PacketID: q.PacketID, Reason: reason}
	}
	return nil
}

func (b *memoryBroker) publish(q *packet.Publish) packet.Packet {
	name := string(q.Payload)
	if q.QoS == 1 {
		b.arrived[name]++
		return &packet.Puback{PacketID: q.PacketID}
	}
	open, ok := b.qos2[q.PacketID]
	switch {
	case !ok:
		b.qos2[q.PacketID] = name
		b.arrived[name]++
	case open != name:
		b.t.Errorf("broker: id %d of message %s is used for message %s before its PUBREL", q.PacketID, open, name)
	case !q.Dup:
		b.t.Errorf("broker: message %s came again without DUP", name)
	}
	return &packet.Pubrec{PacketID: q.PacketID}
}

// The broker forgets what a connection that was taken over has still sent.
func TestMemoryBrokerTakeOver(t *testing.T) {
	b := newMemoryBroker(t)
	m := &packet.Publish{Topic: "t", QoS: 2, PacketID: 1, Payload: []byte("x")}
	again := *m
	again.Dup = true
	before, after := &mqtttest.Peer{}, &mqtttest.Peer{}
	b.handle(before, &packet.Connect{})
	if a, ok := b.handle(after, &packet.Connect{}).(*packet.Connack); !ok || !a.SessionPresent {
		t.Errorf("%+v", a)
	}
	for range 2 { // the first PUBREC is lost
		if a, ok := b.handle(after, &again).(*packet.Pubrec); !ok || a.PacketID != 1 {
			t.Errorf("%+v", a)
		}
	}
	for _, want := range []mqtt.ReasonCode{mqtt.Success, mqtt.PacketIDNotFound} { // the first PUBCOMP is lost
		if a, ok := b.handle(after, &packet.Pubrel{PacketID: 1}).(*packet.Pubcomp); !ok || a.Reason != want {
			t.Errorf("%+v, want %v", a, want)
		}
	}
	if a := b.handle(before, m); a != nil || b.arrived["x"] != 1 || len(b.qos2) != 0 {
		t.Errorf("late from the old connection: answer %v, arrived %d, open %v", a, b.arrived["x"], b.qos2)
	}
}
