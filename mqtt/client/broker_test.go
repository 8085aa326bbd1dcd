package client

import (
	"bytes"
	"net"
	"sync"

	"fieldgate/mqtt"
	"fieldgate/mqtt/mqtttest"
	"fieldgate/mqtt/packet"
)

type netConn = net.Conn

// memoryBroker keeps one session and takes in what it gets, until its
// connection ends in whatever way.
type memoryBroker struct {
	mu      sync.Mutex
	known   bool
	arrived map[string]int
	qos2    map[uint16]bool
}

func (b *memoryBroker) serve(p *mqtttest.Peer) {
	r := packet.NewReader(p.Conn, 0)
	for {
		header, body, err := r.Next()
		if err != nil {
			return
		}
		q, err := packet.Decode(header, bytes.Clone(body), mqtt.V5)
		if err != nil {
			p.T.Errorf("broker: %v", err)
			return
		}
		if answer := b.answer(q); answer != nil {
			out, err := answer.Append(nil, mqtt.V5)
			if err != nil {
				p.T.Errorf("broker: %v", err)
				return
			}
			if _, err := p.Conn.Write(out); err != nil {
				return
			}
		}
	}
}

func (b *memoryBroker) answer(q packet.Packet) packet.Packet {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch q := q.(type) {
	case *packet.Connect:
		present := b.known
		b.known = true
		return &packet.Connack{SessionPresent: present, Props: packet.ConnackProps{ReceiveMaximum: 5, TopicAliasMax: 3}}
	case *packet.Publish:
		if q.QoS == 1 {
			b.arrived[string(q.Payload)]++
			return &packet.Puback{PacketID: q.PacketID}
		}
		if !b.qos2[q.PacketID] {
			b.qos2[q.PacketID] = true
			b.arrived[string(q.Payload)]++
		}
		return &packet.Pubrec{PacketID: q.PacketID}
	case *packet.Pubrel:
		delete(b.qos2, q.PacketID)
		return &packet.Pubcomp{PacketID: q.PacketID}
	}
	return nil
}
