package broker

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// Class 9: QoS 2 state (CVE-2023-28366, CVE-2026-8741): what is not released
// is bounded, repetitions change nothing, and the end of the session frees it.
func TestAttack09QoS2State(t *testing.T) {
	s := start(t, Config{}, nil)
	r := s.connect(mqtt.V5, "r")
	r.subscribe(sub("t", 0))
	w := s.connect(mqtt.V5, "w", durable)
	for range 50 { // the same one again and again
		again := pub("t", "once", 2, 1)
		w.send(again)
		if a := expect[*packet.Pubrec](w); a.PacketID != 1 || a.Reason.Failed() {
			t.Fatalf("PUBREC %+v", a)
		}
	}
	r.receive()
	r.silent()
	for id := 2; id <= maxReceive; id++ {
		w.send(pub("t", "x", 2, uint16(id)))
		expect[*packet.Pubrec](w)
	}
	w.send(pub("t", "too many", 2, maxReceive+1))
	w.ends(mqtt.ReceiveMaximumExceeded)
	for range maxReceive - 1 {
		r.receive()
	}
	r.silent()
	w = s.connect(mqtt.V5, "w", durable)
	sess := s.session("w")
	sess.mu.Lock()
	n := len(sess.received)
	sess.mu.Unlock()
	if n != maxReceive {
		t.Errorf("%d exchanges are open after the reconnect, want %d", n, maxReceive)
	}
	w.send(&packet.Pubrel{PacketID: 1}, &packet.Pubrel{PacketID: 1})
	if a, b := expect[*packet.Pubcomp](w), expect[*packet.Pubcomp](w); a.Reason != mqtt.Success || b.Reason != mqtt.PacketIDNotFound {
		t.Errorf("PUBCOMP %v, then %v", a.Reason, b.Reason)
	}
	w.leave()
	w = s.connect(mqtt.V5, "w") // a clean start
	w.publish("t", "fresh", 2, 2)
	if m := r.receive(); string(m.Payload) != "fresh" {
		t.Errorf("got %s", m.Payload)
	}
}

// Class 10: properties of a will (CVE-2023-3592, CVE-2019-11778): every one at
// every wrong place or cut, and a delay beyond the end of the session.
func TestAttack10WillProperties(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Listener: []Listener{{Name: "l", Bind: "127.0.0.1:0", AllowAnonymous: true, MaxConnects: 10_000}}}, nil)
	watch := s.connect(mqtt.V5, "watch")
	watch.subscribe(sub("w", 0))
	body := func(props ...byte) []byte {
		b := []byte{0, 4, 'M', 'Q', 'T', 'T', 5, 6, 0, 10, 0, 0, 1, 'v', byte(len(props))}
		return whole(0x10, append(append(b, props...), 0, 1, 'w', 0, 1, 'x')...)
	}
	for id := range byte(0x80) {
		for _, value := range [][]byte{{}, {0}, {0, 0, 0}, {0xFF, 0xFF, 0xFF, 0xFF}, {0, 9, 'x'}} {
			p := s.dial()
			p.raw(body(append([]byte{id}, value...)...))
			if h, b, err := p.r.Next(); err == nil && (h != 0x20 || len(b) > 1 && b[1] == 0) {
				legal := (id == 0x18 || id == 0x02) && len(value) == 4 || id == 0x01 && len(value) == 1 // delay, expiry, format
				if !legal {
					t.Errorf("a will with property %#x % x is accepted", id, value)
				}
				p.send(&packet.Disconnect{})
			}
			p.nc.Close()
		}
	}
	w := s.connect(mqtt.V5, "v", func(c *packet.Connect) {
		c.CleanStart, c.Props.SessionExpiry = false, 1
		c.Will = &mqtt.Will{Message: mqtt.Message{Topic: "w", Payload: []byte("once")}, Delay: 0xFFFFFFFF}
	})
	w.cut()
	if m := watch.receive(); string(m.Payload) != "once" {
		t.Errorf("got %s", m.Payload)
	}
	waitFor(t, "the end of the session", func() bool { return s.session("v") == nil })
	watch.silent()
}

// Class 11: take-over against subscribe and unsubscribe (CVE-2025-59946,
// CVE-2026-22040). TestStress does more of it.
func TestAttack11TakeOverRace(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MaxClients: 100, Listener: []Listener{{Name: "l", Bind: "127.0.0.1:0", AllowAnonymous: true, MaxConnects: 100_000}}}, nil)
	w := s.connect(mqtt.V5, "w")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				w.publish("a/x", "x", mqtt.QoS(1+i%2), uint16(i%100+1))
			}
		}
	})
	for i := range 6 {
		wg.Go(func() {
			for n := range 40 {
				p := s.dial()
				b, _ := (&packet.Connect{Version: mqtt.V5, ClientID: "same", CleanStart: (i+n)%3 == 0, Props: packet.ConnectProps{SessionExpiry: uint32(n % 2 * 100)}}).Append(nil, mqtt.V5)
				for k := range 10 {
					var c packet.Packet = &packet.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{sub("a/+", 2), sub("$share/g/a/#", 1)}}
					if k%2 == 1 {
						c = &packet.Unsubscribe{PacketID: 1, Filters: []string{"a/+", "$share/g/a/#"}}
					}
					b, _ = c.Append(b, mqtt.V5)
				}
				p.nc.Write(b)
				p.nc.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				for {
					if _, _, err := p.r.Next(); err != nil {
						break
					}
				}
				p.nc.Close()
			}
		})
	}
	time.AfterFunc(2*time.Second, func() { close(stop) })
	wg.Wait()
	last := s.connect(mqtt.V5, "same")
	waitFor(t, "one session and nothing left over", func() bool {
		st := s.Stats()
		return st.Sessions == 2 && st.Clients == 2 && st.Subscriptions == 0 && st.Shared == 0 && s.queuedBytes.Load() == 0
	})
	last.silent()
	s.alive()
}

// Class 13: what can be heaped up (CVE-2026-42209). Counts are TestQuotas and
// TestLimitsOfListeners; here bytes.
func TestAttack13BytesHeapedUp(t *testing.T) {
	s := start(t, Config{RetainBytes: 64 << 10, MaxQueuedBytes: 64 << 10, MaxQueued: 1_000_000}, nil)
	away := s.connect(mqtt.V5, "away", durable)
	away.subscribe(sub("q", 1))
	away.leave()
	w := s.connect(mqtt.V5, "w")
	refused := 0
	for i := range 100 {
		w.send(&packet.Publish{Topic: fmt.Sprint("r/", i), Payload: make([]byte, 1024), QoS: 1, PacketID: 1, Retain: true})
		if expect[*packet.Puback](w).Reason == mqtt.QuotaExceeded {
			refused++
		}
		w.publish("q", strings.Repeat("x", 1024), 1, 2)
	}
	st := s.Stats()
	if refused == 0 || st.RetainedBytes > 64<<10 || st.Retained+refused != 100 {
		t.Errorf("%d bytes retained in %d messages, %d refused", st.RetainedBytes, st.Retained, refused)
	}
	if st.QueuedBytes > 64<<10 || st.Dropped == 0 {
		t.Errorf("%d bytes queued, %d dropped", st.QueuedBytes, st.Dropped)
	}
	// A filter that matches all that is retained does not make the broker send more than the client's window.
	r := s.connect(mqtt.V5, "r", func(c *packet.Connect) { c.Props.ReceiveMaximum = 2 })
	r.subscribe(sub("#", 1))
	expect[*packet.Publish](r)
	expect[*packet.Publish](r)
	r.silent()
}
