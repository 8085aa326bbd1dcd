package broker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"fieldgate/buffer"
	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// crashing is a Store that can lose what was not committed, as a kill or a
// power cut does. Its commits take a moment, so that many fall into each.
type crashing struct {
	*memory // what callers see

	mu   sync.Mutex
	lazy []mqtt.StoreChange
	disk *memory
}

func newCrashing() *crashing { return &crashing{memory: newMemory(), disk: newMemory()} }

func (c *crashing) Apply(ctx context.Context, durable bool, changes []mqtt.StoreChange) error {
	c.memory.Apply(ctx, durable, changes)
	c.mu.Lock()
	c.lazy = append(c.lazy, changes...)
	c.mu.Unlock()
	if !durable {
		return nil
	}
	time.Sleep(200 * time.Microsecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disk.Apply(ctx, true, c.lazy)
	c.lazy = nil
	return nil
}

// afterCrash is a store with what a crash at this moment leaves.
func (c *crashing) afterCrash() *crashing {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &crashing{memory: c.disk.clone(), disk: c.disk.clone()}
}

func (m *memory) clone() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := newMemory()
	n.retained = maps.Clone(m.retained)
	for id, s := range m.sessions {
		c := *s
		c.queue, c.received = slices.Clone(s.queue), maps.Clone(s.received)
		n.sessions[id] = &c
	}
	return n
}

// Crashes at any moment while publishers wait: what was acknowledged is there
// afterwards, in each publisher's order.
func TestProbe10CrashLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	for _, qos := range []mqtt.QoS{1, 2} {
		t.Run(fmt.Sprint("qos ", qos), func(t *testing.T) { crashRounds(t, qos) })
	}
}

func crashRounds(t *testing.T, qos mqtt.QoS) {
	store := newCrashing()
	s := start(t, Config{MaxQueued: 1_000_000}, store)
	r := s.connect(mqtt.V5, "r", durable)
	r.subscribe(sub("t/#", 2))
	r.leave()
	const publishers = 10
	var mu sync.Mutex
	acked := make([]int, publishers) // the highest number acknowledged
	var crashed *crashing
	var wg sync.WaitGroup
	for i := range publishers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			w := s.connect(mqtt.V5, fmt.Sprint("w", i), durable)
			for n := 1; ; n++ {
				w.publish(fmt.Sprint("t/", i), strconv.Itoa(n), qos, uint16(n%100+1))
				mu.Lock()
				if crashed != nil {
					mu.Unlock()
					return
				}
				acked[i] = n
				mu.Unlock()
			}
		}()
	}
	waitFor(t, "a few hundred messages", func() bool { n, _ := store.PendingCount("r"); return n > 500 })
	mu.Lock()
	crashed = store.afterCrash()
	mu.Unlock()
	wg.Wait()
	s.stop()

	s = start(t, Config{MaxQueued: 1_000_000}, crashed)
	r = s.dial()
	if a := r.connect(mqtt.V5, "r", durable); !a.SessionPresent {
		t.Fatal("the session is lost")
	}
	last := make([]int, publishers)
	n, _ := crashed.PendingCount("r")
	for range n {
		m := r.receive()
		i, _ := strconv.Atoi(m.Topic[2:])
		number, _ := strconv.Atoi(string(m.Payload))
		if number != last[i]+1 {
			t.Fatalf("publisher %d: %d after %d", i, number, last[i])
		}
		last[i] = number
	}
	for i := range publishers {
		if last[i] < acked[i] {
			t.Errorf("publisher %d: acknowledged up to %d, there up to %d", i, acked[i], last[i])
		}
	}
}

// QoS 2 publishes that were taken in before a crash are not taken in twice.
func TestCrashQoS2PublishOnce(t *testing.T) {
	store := newCrashing()
	s := start(t, Config{}, store)
	r := s.connect(mqtt.V5, "r", durable)
	r.subscribe(sub("t", 1))
	r.leave()
	w := s.connect(mqtt.V5, "w", durable)
	w.send(pub("t", "once", 2, 7))
	expect[*packet.Pubrec](w)
	crashed := store.afterCrash()
	s = start(t, Config{}, crashed)
	w = s.connect(mqtt.V5, "w", durable)
	again := pub("t", "once", 2, 7)
	again.Dup = true
	w.send(again)
	expect[*packet.Pubrec](w)
	w.send(&packet.Pubrel{PacketID: 7})
	expect[*packet.Pubcomp](w)
	// The id is free again, also after another crash.
	s = start(t, Config{}, crashed.afterCrash())
	w = s.connect(mqtt.V5, "w", durable)
	w.publish("t", "another", 2, 7)
	r = s.connect(mqtt.V5, "r", durable)
	for _, want := range []string{"once", "another"} {
		if m := r.receive(); string(m.Payload) != want {
			t.Fatalf("got %s, want %s", m.Payload, want)
		}
	}
	r.silent()
}

// A QoS 2 publish that a crash made us forget gets its number again when the
// client repeats it, so that who has stored it knows it; one that we did not
// forget is not passed on again, and the next one gets the next number.
func TestCrashQoS2Number(t *testing.T) {
	store := newCrashing()
	var got []mqtt.Exchange
	open := func(store *crashing) *server {
		s := start(t, Config{}, store)
		err := s.Handle("#", func(_ context.Context, msgs []mqtt.Message) error {
			for _, m := range msgs {
				if m.Exchange == nil {
					t.Errorf("%s has no number", m.Payload)
					continue
				}
				got = append(got, *m.Exchange)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	take := func(w *peer, id uint16, dup bool) {
		p := pub("t", fmt.Sprint(id), 2, id)
		p.Dup = dup
		w.send(p)
		expect[*packet.Pubrec](w)
	}
	s := open(store)
	w := s.connect(mqtt.V5, "w", durable)
	take(w, 1, false)
	remembered := store.afterCrash()
	take(w, 2, false)

	s = open(remembered) // knows of 1, and not of 2
	w = s.connect(mqtt.V5, "w", durable)
	take(w, 1, true)
	take(w, 2, true)
	take(w, 3, false)
	if len(got) != 4 || got[0].Session == 0 {
		t.Fatalf("%+v", got)
	}
	for i, want := range []mqtt.Exchange{{Number: 1}, {Number: 2}, {Number: 2, Again: true}, {Number: 3}} {
		if want.Session = got[0].Session; got[i] != want {
			t.Errorf("publish %d: %+v, want %+v", i, got[i], want)
		}
	}
}

// A QoS 2 delivery keeps its packet id over a crash, and is not sent as a
// message again once PUBREC has come.
func TestCrashQoS2Delivery(t *testing.T) {
	store := newCrashing()
	s := start(t, Config{}, store)
	r := s.connect(mqtt.V5, "r", durable)
	r.subscribe(sub("t", 2))
	w := s.connect(mqtt.V5, "w")
	w.publish("t", "first", 1, 1)
	w.publish("t", "second", 2, 2)
	w.publish("t", "third", 2, 3)
	r.receive()
	second, third := expect[*packet.Publish](r), expect[*packet.Publish](r)
	r.send(&packet.Pubrec{PacketID: second.PacketID})
	expect[*packet.Pubrel](r)
	s = start(t, Config{}, store.afterCrash())
	r = s.connect(mqtt.V5, "r", durable)
	got := map[uint16]string{}
	for range 2 {
		switch k := r.mustNext().(type) {
		case *packet.Pubrel:
			got[k.PacketID] = "released"
		case *packet.Publish:
			got[k.PacketID] = string(k.Payload)
		}
	}
	if got[second.PacketID] != "released" || got[third.PacketID] != "third" {
		t.Errorf("after the crash: %v; second was %d, third %d", got, second.PacketID, third.PacketID)
	}
}

// The same broker on the real store: sessions, queue, retained messages and a
// delayed will are there after a restart.
func TestOnTheBuffer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func() *buffer.Buffer {
		b, err := buffer.Open(buffer.Config{Dir: dir, MinFree: conf.Size(1)}, buffer.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	store := open()
	s := start(t, Config{MaxQueued: 10_000}, store.State())
	r := s.connect(mqtt.V5, "r", durable)
	r.subscribe(sub("t/#", 1), sub("will", 1))
	r.leave()
	w := s.connect(mqtt.V5, "w", func(c *packet.Connect) {
		durable(c)
		c.Will = &mqtt.Will{Message: mqtt.Message{Topic: "will", Payload: []byte("bye"), QoS: 1}, Delay: 1}
	})
	const n = 300
	for i := range n {
		w.send(&packet.Publish{Topic: fmt.Sprint("t/", i%7), Payload: []byte(strconv.Itoa(i)), QoS: 1, PacketID: uint16(i + 1), Retain: true})
	}
	for range n {
		expect[*packet.Puback](w)
	}
	w.cut()
	s.offline("w")
	s.stop()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	store = open()
	defer store.Close()
	s = start(t, Config{MaxQueued: 10_000}, store.State())
	defer s.stop()
	if got := len(s.Retained("t/#")); got != 7 {
		t.Errorf("%d retained messages, want 7", got)
	}
	r = s.dial()
	if a := r.connect(mqtt.V5, "r", durable); !a.SessionPresent {
		t.Fatal("the session is lost")
	}
	for i := range n {
		if m := r.receive(); string(m.Payload) != strconv.Itoa(i) {
			t.Fatalf("message %d is %s", i, m.Payload)
		}
	}
	if m := r.receive(); string(m.Payload) != "bye" {
		t.Errorf("will: %+v", m)
	}
	waitFor(t, "an empty queue", func() bool { n, _ := s.store.PendingCount("r"); return n == 0 })
}
