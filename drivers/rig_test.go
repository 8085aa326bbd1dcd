package drivers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// fakeBroker keeps what was published and hands messages to handlers, as the
// real one does: in the publisher's goroutine.
type fakeBroker struct {
	mu       sync.Mutex
	msgs     []mqtt.Message
	handlers map[string]func(context.Context, []mqtt.Message) error
	fail     error
	hold     chan struct{} // not nil: Publish waits for it
	hang     bool          // Publish waits for its context
}

func newFakeBroker() *fakeBroker {
	return &fakeBroker{handlers: map[string]func(context.Context, []mqtt.Message) error{}}
}

func (b *fakeBroker) Handle(filter string, h func(context.Context, []mqtt.Message) error) error {
	if err := mqtt.CheckFilter(filter); err != nil {
		return err
	}
	b.handlers[filter] = h
	return nil
}

func (b *fakeBroker) Publish(ctx context.Context, msgs ...mqtt.Message) error {
	if b.hold != nil {
		<-b.hold
	}
	if b.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	b.mu.Lock()
	if b.fail != nil {
		defer b.mu.Unlock()
		return b.fail
	}
	b.msgs = append(b.msgs, msgs...)
	b.mu.Unlock()
	for _, m := range msgs {
		for filter, h := range b.handlers {
			if mqtt.Match(filter, m.Topic) {
				if err := h(ctx, []mqtt.Message{m}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (b *fakeBroker) refuse(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = err
}

// on lists the payloads that a filter matches, and forgets everything.
func (b *fakeBroker) on(filter string) (out []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.msgs {
		if mqtt.Match(filter, m.Topic) {
			out = append(out, string(m.Payload))
		}
	}
	return out
}

func (b *fakeBroker) last(t *testing.T, topic string) mqtt.Message {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.msgs) - 1; i >= 0; i-- {
		if b.msgs[i].Topic == topic {
			return b.msgs[i]
		}
	}
	t.Fatalf("nothing was published on %s", topic)
	return mqtt.Message{}
}

func (b *fakeBroker) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.msgs = nil
}

// fakeDriver reports what a test sends and remembers what was written.
type fakeDriver struct {
	name    string
	tags    []Tag
	samples chan []Sample
	fail    chan error

	mu     sync.Mutex
	writes []string
	write  func(ctx context.Context, tag string, v Value) (WriteResult, error)
	runs   int
}

func newFakeDriver(name string, tags ...Tag) *fakeDriver {
	return &fakeDriver{name: name, tags: tags, samples: make(chan []Sample), fail: make(chan error)}
}

func (d *fakeDriver) Name() string { return d.name }
func (d *fakeDriver) Tags() []Tag  { return d.tags }

func (d *fakeDriver) Run(ctx context.Context, report func([]Sample)) error {
	d.mu.Lock()
	d.runs++
	d.mu.Unlock()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s := <-d.samples:
			report(s)
		case err := <-d.fail:
			if err == nil {
				panic("out of order")
			}
			return err
		}
	}
}

func (d *fakeDriver) Write(ctx context.Context, device, tag string, v Value) (WriteResult, error) {
	d.mu.Lock()
	d.writes = append(d.writes, fmt.Sprintf("%s/%s=%s", device, tag, v))
	write := d.write
	d.mu.Unlock()
	if write != nil {
		return write(ctx, tag, v)
	}
	return WriteResult{Value: v, ReadBack: v, Took: 61 * time.Millisecond}, nil
}

func (d *fakeDriver) Read(_ context.Context, device string, tags ...string) ([]Sample, error) {
	if len(tags) == 0 {
		tags = []string{"temp"}
	}
	var out []Sample
	for _, tag := range tags {
		out = append(out, Sample{Device: device, Tag: tag, Value: IntValue(5), Time: clock.Now()})
	}
	return out, nil
}

func (d *fakeDriver) written() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.writes...)
}

// rig is a running supervisor with one driver.
type rig struct {
	*testing.T
	b    *fakeBroker
	d    *fakeDriver
	s    *Supervisor
	stop func()
}

var boilerTags = []Tag{
	{Device: "boiler", Name: "temp", Unit: "°C", Publish: PublishRule{StaleAfter: 3 * time.Second}},
	{Device: "boiler", Name: "setpoint", Unit: "°C", Write: &WriteRule{Min: ptr(40.0), Max: ptr(95.0), Step: ptr(0.5), Verify: true}, Publish: PublishRule{StaleAfter: 3 * time.Second}},
	{Device: "boiler", Name: "mode", Write: &WriteRule{MinInterval: 5 * time.Second}, Publish: PublishRule{StaleAfter: 3 * time.Second}},
}

// newRig must be called in a synctest bubble.
func newRig(t *testing.T, p Publish) *rig {
	r := &rig{T: t, b: newFakeBroker(), d: newFakeDriver("plc", boilerTags...)}
	s, err := NewSupervisor(Options{Broker: r.b, Gateway: Gateway{ID: "gw1"}, Publish: p, Synced: func() bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Add(r.d, []DeviceInfo{{Name: "boiler", Bus: "plc", Unit: 1, Poll: "1s"}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	synctest.Wait()
	r.s = s
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return r
}

func (r *rig) sample(tag string, v Value, q Quality, reason string) {
	r.d.samples <- []Sample{{Device: "boiler", Tag: tag, Value: v, Quality: q, Reason: reason, Time: clock.Now()}}
	synctest.Wait()
}

func (r *rig) set(tag, payload string) {
	r.publish(mqtt.Message{Topic: "gw1/boiler/" + tag + "/set", Payload: []byte(payload)})
}

func (r *rig) publish(m mqtt.Message) {
	r.Helper()
	if m.Stamp.IsZero() {
		m.Stamp = clock.Now()
	}
	if err := r.b.Publish(r.Context(), m); err != nil {
		r.Fatal(err)
	}
	synctest.Wait()
}

func (r *rig) want(filter string, want ...string) {
	r.Helper()
	got := r.b.on(filter)
	for i := range got {
		got[i] = millis.ReplaceAllString(got[i], "TS")
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		r.Errorf("on %s\n got %q\nwant %q", filter, got, want)
	}
}

func bubble(t *testing.T, p Publish, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, p)
		defer r.stop()
		f(r)
	})
}

// code is the code of an error, "" if it has none.
func code(err error) string {
	var refused *CommandError
	if errors.As(err, &refused) {
		return refused.Code
	}
	return ""
}
