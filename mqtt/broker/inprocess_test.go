package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// Handlers come before the acknowledgement and can refuse.
func TestHandlers(t *testing.T) {
	s := start(t, Config{}, nil)
	var mu sync.Mutex
	var got []mqtt.Message
	answer := error(nil)
	gate := make(chan struct{})
	err := s.Handle("in/#", func(_ context.Context, msgs []mqtt.Message) error {
		<-gate
		mu.Lock()
		defer mu.Unlock()
		got = append(got, msgs...)
		return answer
	})
	if err != nil {
		t.Fatal(err)
	}
	w := s.connect(mqtt.V5, "w")
	w.send(pub("in/a", "1", 1, 1), pub("in/b", "2", 2, 2), pub("in/c", "3", 0, 0), pub("other", "4", 0, 0))
	w.nc.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, _, err := w.r.Next(); err == nil {
		t.Error("acknowledged before the handler returned")
	}
	close(gate)
	expect[*packet.Puback](w)
	expect[*packet.Pubrec](w)
	mu.Lock()
	if len(got) != 3 || got[0].Origin != "w" || got[0].Topic != "in/a" || string(got[1].Payload) != "2" || got[0].Stamp.IsZero() {
		t.Errorf("handler got %+v", got)
	}
	answer = fmt.Errorf("no room: %w", mqtt.QuotaExceeded)
	mu.Unlock()
	w.send(pub("in/a", "x", 1, 3), pub("in/a", "x", 2, 4))
	if a := expect[*packet.Puback](w); a.Reason != mqtt.QuotaExceeded {
		t.Errorf("PUBACK %v", a.Reason)
	}
	if a := expect[*packet.Pubrec](w); a.Reason != mqtt.QuotaExceeded {
		t.Errorf("PUBREC %v", a.Reason)
	}
	w.send(pub("in/a", "x", 2, 4)) // the id is free again
	expect[*packet.Pubrec](w)
	old := s.connect(mqtt.V311, "old")
	old.send(pub("in/a", "x", 1, 3))
	if k, err := old.next(); err == nil {
		t.Errorf("got %T, want the end", k)
	}
	if err := s.Publish(context.Background(), mqtt.Message{Topic: "in/a"}); !errors.Is(err, mqtt.QuotaExceeded) {
		t.Errorf("Publish: %v", err)
	}
	if err := s.Handle("a/#/b", nil); err == nil {
		t.Error("a wrong filter is accepted")
	}
}

// What our own parts publish keeps its kind and sample, and reaches clients.
func TestPublishInProcess(t *testing.T) {
	s := start(t, Config{}, nil)
	var got []mqtt.Message
	s.Handle("#", func(ctx context.Context, msgs []mqtt.Message) error {
		got = append(got, msgs...)
		if msgs[0].Topic == "t" { // a handler may publish
			return s.Publish(ctx, mqtt.Message{Topic: "from/handler", QoS: 1})
		}
		return nil
	})
	c := s.connect(mqtt.V5, "c", durable)
	c.subscribe(sub("#", 1))
	sample := &mqtt.Sample{Device: "d", Tag: "t", Value: "1"}
	if err := s.Publish(context.Background(), mqtt.Message{Topic: "t", Payload: []byte("1"), QoS: 1, Retain: true, Kind: mqtt.KindSample, Sample: sample, Origin: "device:d"}, mqtt.Message{Topic: "u", QoS: 0}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got[0].Sample != sample || got[0].Kind != mqtt.KindSample || got[0].Origin != "device:d" {
		t.Errorf("handler got %+v", got)
	}
	for _, want := range []string{"t", "u", "from/handler"} {
		if m := c.receive(); m.Topic != want {
			t.Errorf("got %s, want %s", m.Topic, want)
		}
	}
	if m := s.Retained("t"); len(m) != 1 || m[0].Sample != sample {
		t.Errorf("retained %+v", m)
	}
	for _, m := range []mqtt.Message{{Topic: ""}, {Topic: "a/+"}, {Topic: "a", QoS: 3}} {
		if err := s.Publish(context.Background(), m); err == nil {
			t.Errorf("%+v is accepted", m)
		}
	}
}

// Publish waits for an overfull subscriber as long as its context allows.
func TestPublishWaitsForRoom(t *testing.T) {
	s := start(t, Config{MaxQueued: 10, MaxInflight: 5}, nil)
	r := s.connect(mqtt.V5, "r")
	r.subscribe(sub("t", 1))
	publish := func(ctx context.Context) (err error) {
		for range 20 {
			err = errors.Join(err, s.Publish(ctx, mqtt.Message{Topic: "t", QoS: 1}))
		}
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if err := publish(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Publish: %v", err)
	}
	done := make(chan error)
	go func() { done <- s.Publish(context.Background(), mqtt.Message{Topic: "t", QoS: 1}) }()
	for range 21 {
		r.receive()
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A handler that answers the very client it was called for does not wait for
// that client's queue.
func TestHandlerAnswersAnOverfullClient(t *testing.T) {
	s := start(t, Config{MaxQueued: 2, MaxInflight: 1}, nil)
	s.Handle("ask", func(ctx context.Context, msgs []mqtt.Message) (err error) {
		for range msgs {
			err = errors.Join(err, s.Publish(ctx, mqtt.Message{Topic: "answer", QoS: 1}))
		}
		return err
	})
	c := s.connect(mqtt.V5, "c")
	c.subscribe(sub("answer", 1))
	const n = 20
	for range n {
		c.send(pub("ask", "", 0, 0))
	}
	c.ping()
	for range n {
		c.receive()
	}
}

// A store that fails: nothing is acknowledged that is not safe, and all goes
// on when it works again.
func TestStoreFaults(t *testing.T) {
	store := newFaulty()
	s := start(t, Config{}, store)
	r := s.connect(mqtt.V5, "r", durable)
	r.subscribe(sub("t", 1))
	r.leave()
	w := s.connect(mqtt.V5, "w")
	old := s.connect(mqtt.V311, "old")
	broken := func(durable bool, _ []mqtt.StoreChange) error { return errDisk }
	store.set(broken, nil)
	w.send(pub("t", "lost", 1, 1))
	if a := expect[*packet.Puback](w); a.Reason != mqtt.ImplementationSpecificError {
		t.Errorf("PUBACK %v", a.Reason)
	}
	old.send(pub("t", "lost", 1, 1))
	if k, err := old.next(); err == nil {
		t.Errorf("got %T, want the end", k)
	}
	if err := s.Publish(context.Background(), mqtt.Message{Topic: "t", QoS: 1}); !errors.Is(err, errDisk) {
		t.Errorf("Publish: %v", err)
	}
	if !s.log.has("store of the broker fails") {
		t.Error("the log says nothing")
	}
	if k := s.dial().connect(mqtt.V5, "new", durable); k.Reason != mqtt.ServerUnavailable {
		t.Errorf("a persistent session on a broken store: %v", k.Reason)
	}
	store.set(nil, nil)
	w.publish("t", "kept", 1, 2)
	r = s.connect(mqtt.V5, "r", durable)
	if m := r.receive(); string(m.Payload) != "kept" {
		t.Errorf("got %s", m.Payload)
	}
	r.silent()
	if c := s.Clients(); len(c) != 2 {
		t.Errorf("sessions %+v", c)
	}
}

// While one commit is on its way, other connections go on, and what it carries
// is delivered at QoS 1. A delivery of QoS 2 waits: forgotten by a crash, its
// packet id would make the client lose the next message that has it.
func TestSlowStore(t *testing.T) {
	store := newFaulty()
	s := start(t, Config{}, store)
	r := s.connect(mqtt.V5, "r", durable)
	r.subscribe(sub("slow", 2))
	other := s.connect(mqtt.V5, "other")
	other.subscribe(sub("fast", 1))
	w := s.connect(mqtt.V5, "w")
	gate := make(chan struct{})
	store.set(nil, func(durable bool, c []mqtt.StoreChange) {
		if durable && c[0].Enqueue != nil {
			<-gate
		}
	})
	w.send(pub("slow", "one", 1, 1))
	if m := r.receive(); string(m.Payload) != "one" {
		t.Errorf("got %s", m.Payload)
	}
	w2 := s.connect(mqtt.V5, "w2")
	w2.send(pub("slow", "two", 2, 1))
	other.send(pub("fast", "y", 0, 0))
	other.receive()
	r.silent()
	close(gate)
	expect[*packet.Puback](w)
	expect[*packet.Pubrec](w2)
	m := expect[*packet.Publish](r)
	r.send(&packet.Pubrec{PacketID: m.PacketID})
	if k := expect[*packet.Pubrel](r); k.PacketID != m.PacketID {
		t.Errorf("PUBREL %+v", k)
	}
	r.send(&packet.Pubcomp{PacketID: m.PacketID})
	waitFor(t, "an empty queue", func() bool { n, _ := store.PendingCount("r"); return n == 0 })
}
