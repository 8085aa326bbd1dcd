package bench

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// subscriber takes messages, answers and counts. Its one goroutine is run;
// tally, times and failed may be read after run has ended.
type subscriber struct {
	number int
	link   *link
	from   map[int]*publisher
	epoch  time.Time
	got    atomic.Int64 // as tally.got, for those who wait

	tally  tally
	times  []time.Duration
	failed error

	out    []byte
	opened map[uint16]*publisher // QoS 2: received, not released; nil of what did not count
}

// run reads until the connection ends; with leaving set that is no failure.
func (s *subscriber) run(leaving *atomic.Bool) {
	s.opened = map[uint16]*publisher{}
	for {
		header, body, err := s.link.next()
		if err == nil {
			err = s.take(header, body)
		}
		if err != nil {
			if !leaving.Load() {
				s.failed = fmt.Errorf("subscriber %d: %w", s.number, err)
			}
			return
		}
	}
}

func (s *subscriber) take(header byte, body []byte) error {
	switch packet.TypeOf(header) {
	case packet.TypePublish:
		var m packet.PublishView
		if err := packet.DecodePublish(header, body, mqtt.V311, &m); err != nil {
			return err
		}
		s.message(&m)
	case packet.TypePubrel:
		id := ackID(body)
		if p := s.opened[id]; p != nil {
			p.delivered.Add(1)
		}
		delete(s.opened, id)
		s.out = appendAck(s.out, packet.TypePubcomp, id)
	case packet.TypeDisconnect:
		return errors.New("the broker said DISCONNECT")
	}
	if s.link.drained() {
		return s.settle()
	}
	return nil
}

// message counts. What was delivered makes room for the publisher: with QoS 2
// only when it is released, for until then the broker holds it.
func (s *subscriber) message(m *packet.PublishView) {
	if m.QoS == 2 {
		s.out = appendAck(s.out, packet.TypePubrec, m.PacketID)
		if _, again := s.opened[m.PacketID]; again {
			return // a resend before PUBREL is no second delivery [MQTT-4.3.3-10]
		}
		s.opened[m.PacketID] = nil
	}
	if m.QoS == 1 {
		s.out = appendAck(s.out, packet.TypePuback, m.PacketID)
	}
	publisher, number, sent, ok := readHead(m.Payload)
	if !ok {
		publisher, number = -1, -1
	}
	if !s.tally.add(publisher, number) {
		return
	}
	s.times = append(s.times, time.Since(s.epoch)-time.Duration(sent))
	s.got.Add(1)
	p := s.from[publisher]
	if m.QoS == 2 {
		s.opened[m.PacketID] = p
	} else if p != nil {
		p.delivered.Add(1)
	}
}

// settle answers everything that one read brought.
func (s *subscriber) settle() error {
	if len(s.out) > 0 {
		if _, err := s.link.Write(s.out); err != nil {
			return err
		}
		s.out = s.out[:0]
	}
	for _, p := range s.from {
		p.poke()
	}
	return nil
}
