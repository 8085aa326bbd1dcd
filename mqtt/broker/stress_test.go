package broker

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// Take-overs, subscriptions that come and go, cut lines and publishers, all at
// once: for the race detector, and to see that nothing is left hanging.
func TestStress(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MaxClients: 1000, MaxQueued: 50, Listener: []Listener{{Name: "l", Bind: "127.0.0.1:0", AllowAnonymous: true, MaxConnects: 100_000}}}, newCrashing())
	stop := make(chan struct{})
	time.AfterFunc(1500*time.Millisecond, func() { close(stop) })
	running := func() bool {
		select {
		case <-stop:
			return false
		default:
			return true
		}
	}
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			for running() {
				jitter(s, rnd, fmt.Sprint("c", i/2), running)
			}
		}()
	}
	wg.Wait()
	waitFor(t, "those that still wait for their turn", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.claims) == 0
	})
	// All is well afterwards.
	r, w := s.connect(mqtt.V5, "after-r"), s.connect(mqtt.V5, "after-w")
	r.subscribe(sub("after", 2))
	w.publish("after", "x", 2, 1)
	r.receive()
	for i := range 3 {
		p := s.connect(mqtt.V5, fmt.Sprint("c", i)) // a clean start ends what is there
		p.leave()
	}
	waitFor(t, "the end of the sessions", func() bool { return len(s.Clients()) == 2 })
	if n := s.queuedBytes.Load(); n != 0 {
		t.Errorf("%d bytes still counted as queued", n)
	}
	if all, shared := s.tree.counts(); all != 1 || shared != 0 {
		t.Errorf("%d subscriptions, %d shared", all, shared)
	}
}

// jitter is the short life of a client that two goroutines fight for. Its
// connection may end at any point.
func jitter(s *server, rnd *rand.Rand, id string, running func() bool) {
	p := s.dial()
	defer p.nc.Close()
	p.v = versions[rnd.IntN(3)]
	write := func(k packet.Packet) bool {
		b, err := k.Append(nil, p.v)
		if err != nil {
			return true
		}
		p.nc.SetWriteDeadline(time.Now().Add(time.Second))
		_, err = p.nc.Write(b)
		return err == nil
	}
	c := &packet.Connect{Version: p.v, ClientID: id, CleanStart: rnd.IntN(3) == 0, KeepAlive: 5, Will: &mqtt.Will{Message: mqtt.Message{Topic: "t/will", QoS: 1}, Delay: uint32(rnd.IntN(2))}}
	c.Props.SessionExpiry = uint32(rnd.IntN(2) * 100)
	write(c)
	var acks sync.WaitGroup
	acks.Add(1)
	go func() {
		defer acks.Done()
		for {
			p.nc.SetReadDeadline(time.Now().Add(time.Second))
			h, body, err := p.r.Next()
			if err != nil {
				return
			}
			k, err := packet.Decode(h, body, p.v)
			if err != nil {
				s.t.Errorf("the broker sent something wrong: %v", err)
				return
			}
			switch k := k.(type) {
			case *packet.Publish:
				if k.QoS == 1 {
					write(&packet.Puback{PacketID: k.PacketID})
				} else if k.QoS == 2 {
					write(&packet.Pubrec{PacketID: k.PacketID})
				}
			case *packet.Pubrec:
				write(&packet.Pubrel{PacketID: k.PacketID})
			case *packet.Pubrel:
				write(&packet.Pubcomp{PacketID: k.PacketID})
			}
		}
	}()
	topics := []string{"t/1", "t/2", "t/#", "#", "+/1", "$share/g/t/#"}
	for i := 0; i < 40 && running(); i++ {
		ok := true
		switch rnd.IntN(4) {
		case 0:
			ok = write(&packet.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{sub(topics[rnd.IntN(len(topics))], mqtt.QoS(rnd.IntN(3)))}})
		case 1:
			ok = write(&packet.Unsubscribe{PacketID: 2, Filters: []string{topics[rnd.IntN(len(topics))]}})
		default:
			m := pub(topics[rnd.IntN(2)], "payload", mqtt.QoS(rnd.IntN(3)), uint16(rnd.IntN(50)+1))
			m.Retain = rnd.IntN(10) == 0
			ok = write(m)
		}
		if !ok {
			break
		}
	}
	if rnd.IntN(2) == 0 {
		write(&packet.Disconnect{})
	}
	p.nc.Close()
	acks.Wait()
}
