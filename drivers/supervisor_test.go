package drivers

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
	if err := s.Add(r.d, []DeviceInfo{{Name: "boiler", Bus: "plc", Unit: 1, Poll: time.Second}}); err != nil {
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

func TestSamplesBecomeMessages(t *testing.T) {
	bubble(t, Publish{}, func(r *rig) {
		r.sample("temp", FloatValue(71.4), Good, "")
		r.sample("temp", FloatValue(71.4), Good, "") // unchanged, and read at the same time
		time.Sleep(time.Second)
		r.sample("temp", FloatValue(71.5), Good, "")
		r.want("gw1/boiler/temp", `{"value":71.4,"ts":TS,"quality":"good"}`, `{"value":71.5,"ts":TS,"quality":"good"}`)
		r.sample("nobody", FloatValue(1), Good, "") // a tag that was never listed
		r.want("gw1/boiler/nobody")
		r.want("fieldgate/gw1/device/boiler/status", "online")
		state, _ := r.s.Tag("boiler", "temp")
		if state.Value != FloatValue(71.5) || state.Samples != 3 || state.Messages != 2 {
			t.Errorf("%+v", state)
		}
	})
}

func TestBadOnceWithNullAndLast(t *testing.T) {
	bubble(t, Publish{}, func(r *rig) {
		r.sample("temp", FloatValue(71.4), Good, "")
		for range 3 {
			time.Sleep(time.Second)
			r.sample("temp", FloatValue(99), Bad, ReasonTimeout) // a driver that leaves a value in
		}
		r.sample("temp", Value{}, Bad, ReasonOffline)
		r.want("gw1/boiler/temp", `{"value":71.4,"ts":TS,"quality":"good"}`,
			`{"value":null,"ts":TS,"quality":"bad","reason":"timeout","last":71.4,"last_ts":TS}`)
		r.want("fieldgate/gw1/device/boiler/status", "online", "offline")
		time.Sleep(time.Second)
		r.b.forget()
		r.sample("temp", FloatValue(71.4), Good, "")
		r.want("gw1/boiler/temp", `{"value":71.4,"ts":TS,"quality":"good"}`)
		r.want("fieldgate/gw1/device/boiler/status", "online")
		r.want("fieldgate/gw1/event", `{"ts":TS,"code":"E0703","level":"info","device":"boiler","text":"boiler is back"}`)
	})
}

func TestOnBad(t *testing.T) {
	bubble(t, Publish{OnBad: "silent"}, func(r *rig) {
		r.sample("temp", IntValue(5), Good, "")
		r.sample("temp", Value{}, Bad, ReasonTimeout)
		r.want("gw1/boiler/temp", `{"value":5,"ts":TS,"quality":"good"}`)
	})
	bubble(t, Publish{OnBad: "hold", Timestamp: "rfc3339"}, func(r *rig) {
		r.sample("temp", IntValue(5), Good, "")
		before := r.b.on("gw1/boiler/temp")[0]
		time.Sleep(2 * time.Second)
		r.sample("temp", Value{}, Bad, ReasonTimeout)
		held := r.b.on("gw1/boiler/temp")[1]
		stamp := strings.Split(before, `"`)[5]
		if !strings.HasPrefix(held, `{"value":5,"ts":"`+stamp[:19]) || !strings.Contains(held, `"quality":"bad","reason":"timeout"`) {
			t.Errorf("%s after %s: the old value must keep its own time", held, before)
		}
	})
}

func TestStale(t *testing.T) {
	bubble(t, Publish{}, func(r *rig) {
		r.sample("temp", IntValue(5), Good, "")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		r.want("gw1/boiler/temp", `{"value":5,"ts":TS,"quality":"good"}`)
		r.b.forget()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		r.want("gw1/boiler/temp", `{"value":null,"ts":TS,"quality":"bad","reason":"stale","last":5,"last_ts":TS}`)
		// What was never read says so, once.
		r.want("gw1/boiler/mode", `{"value":null,"ts":TS,"quality":"bad","reason":"not_read"}`)
		r.want("fieldgate/gw1/device/boiler/status", "offline")
		r.sample("temp", IntValue(5), Good, "")
		r.want("fieldgate/gw1/device/boiler/status", "offline", "online")
	})
}

func TestMaxAgeRepeats(t *testing.T) {
	bubble(t, Publish{}, func(r *rig) { // default: 5 minutes
		for range 11 * 60 {
			r.sample("temp", IntValue(5), Good, "")
			time.Sleep(time.Second)
		}
		if n := len(r.b.on("gw1/boiler/temp")); n != 3 {
			t.Errorf("%d messages in 11 minutes, want the first and two repeats", n)
		}
	})
}

func TestDeviceInfo(t *testing.T) {
	bubble(t, Publish{}, func(r *rig) {
		r.sample("temp", IntValue(5), Good, "")
		r.sample("temp", Value{}, Bad, ReasonTimeout)
		r.sample("temp", Value{}, Bad, ReasonOffline)
		got := millis.ReplaceAllString(string(r.b.last(t, "fieldgate/gw1/device/boiler/info").Payload), "TS")
		want := `{"device":"boiler","bus":"plc","unit":1,"poll":"1s","state":"offline","since":TS,"last_ok":TS,"tags":3,"reason":"offline","errors":{"offline":1,"timeout":1}}`
		if got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		if m := r.b.last(t, "fieldgate/gw1/device/boiler/status"); !m.Retain || m.Kind != mqtt.KindStatus {
			t.Errorf("%+v", m)
		}
	})
}

func TestDisabledDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		s, err := NewSupervisor(Options{Broker: b, Gateway: Gateway{ID: "gw1"}, Synced: func() bool { return true }})
		if err != nil {
			t.Fatal(err)
		}
		d := newFakeDriver("plc", boilerTags...)
		if err := s.Add(d, []DeviceInfo{{Name: "boiler", Bus: "plc", Disabled: true}}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		d.samples <- []Sample{{Device: "boiler", Tag: "temp", Quality: Bad, Reason: ReasonDisabled, Time: clock.Now()}}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.on("fieldgate/gw1/device/boiler/status"); fmt.Sprint(got) != "[disabled]" {
			t.Errorf("%q", got)
		}
		if _, err := s.Write(ctx, "boiler", "setpoint", IntValue(50)); code(err) != CodeUnavailable {
			t.Error(err)
		}
		cancel()
		<-done
	})
}

func TestDriverIsRestarted(t *testing.T) {
	bubble(t, Publish{}, func(r *rig) {
		r.d.fail <- errors.New("line fell off")
		synctest.Wait()
		events := r.b.on("fieldgate/gw1/event")
		if len(events) != 1 || !strings.Contains(events[0], `"code":"E0701"`) || !strings.Contains(events[0], "line fell off") {
			t.Errorf("%q", events)
		}
		time.Sleep(2 * time.Second) // 1 s ± 20 %
		r.d.fail <- nil             // panics; the send proves that it runs again
		time.Sleep(5 * time.Second)
		r.b.forget()
		r.sample("temp", IntValue(5), Good, "")
		r.want("gw1/boiler/temp", `{"value":5,"ts":TS,"quality":"good"}`)
		if r.d.runs != 3 {
			t.Errorf("%d runs", r.d.runs)
		}
	})
}

func TestAddAndRemoveWhileRunning(t *testing.T) {
	bubble(t, Publish{}, func(r *rig) {
		other := newFakeDriver("meter", Tag{Device: "meter1", Name: "power"})
		if err := r.s.Add(other, []DeviceInfo{{Name: "meter1", Bus: "meter"}}); err != nil {
			t.Fatal(err)
		}
		other.samples <- []Sample{{Device: "meter1", Tag: "power", Value: IntValue(7), Time: clock.Now()}}
		synctest.Wait()
		r.want("gw1/meter1/power", `{"value":7,"ts":TS,"quality":"good"}`)
		if err := r.s.Add(newFakeDriver("meter"), nil); err == nil {
			t.Error("two drivers with one name")
		}
		if err := r.s.Add(newFakeDriver("x", Tag{Device: "meter1", Name: "power"}), nil); err == nil {
			t.Error("two tags with one topic")
		}
		r.b.forget()
		if err := r.s.Remove("meter", true); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.want("gw1/meter1/power", "") // the retained value is cleared
		r.want("fieldgate/gw1/device/meter1/status", "")
		if err := r.s.Remove("meter", true); err == nil {
			t.Error("removed twice")
		}
		if len(r.s.Tags()) != len(boilerTags) {
			t.Errorf("%d tags", len(r.s.Tags()))
		}
		r.sample("temp", IntValue(5), Good, "") // the neighbour never stopped
		r.want("gw1/boiler/temp", `{"value":5,"ts":TS,"quality":"good"}`)
	})
}

// TestHeldValueDoesNotFlap: on_invalid = "hold" repeats an old value with its
// old time; once it is stale it stays so until something new is read.
func TestHeldValueDoesNotFlap(t *testing.T) {
	bubble(t, Publish{}, func(r *rig) {
		r.sample("temp", IntValue(5), Good, "")
		at := clock.Now()
		for range 20 {
			time.Sleep(time.Second)
			r.d.samples <- []Sample{{Device: "boiler", Tag: "temp", Value: IntValue(5), Quality: Uncertain, Reason: ReasonInvalid, Time: at}}
			synctest.Wait()
		}
		r.want("gw1/boiler/temp", `{"value":5,"ts":TS,"quality":"good"}`, `{"value":5,"ts":TS,"quality":"uncertain","reason":"invalid"}`,
			`{"value":null,"ts":TS,"quality":"bad","reason":"stale","last":5,"last_ts":TS}`)
		r.sample("temp", IntValue(6), Good, "")
		if got := r.b.on("gw1/boiler/temp"); len(got) != 4 {
			t.Errorf("%q", got)
		}
	})
}

// TestBrokerThatHangsDoesNotHoldUpTheEnd: what cannot be published in time is
// given up.
func TestBrokerThatHangsDoesNotHoldUpTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Publish{})
		r.b.hang = true
		r.d.samples <- []Sample{{Device: "boiler", Tag: "temp", Value: IntValue(1), Time: clock.Now()}}
		started := time.Now()
		r.stop()
		if took := time.Since(started); took > drainTimeout+time.Second {
			t.Errorf("the end took %s", took)
		}
		if r.s.PublishErrors() == 0 {
			t.Error("what was given up is not counted")
		}
	})
}

func TestBrokerThatRefuses(t *testing.T) {
	bubble(t, Publish{}, func(r *rig) {
		r.b.refuse(errors.New("disk full"))
		r.sample("temp", IntValue(1), Good, "")
		time.Sleep(time.Second)
		r.sample("temp", IntValue(2), Good, "")
		r.b.refuse(nil)
		time.Sleep(time.Second)
		r.sample("temp", IntValue(3), Good, "")
		r.want("gw1/boiler/temp", `{"value":3,"ts":TS,"quality":"good"}`)
		if n := r.s.PublishErrors(); n < 2 {
			t.Errorf("%d refused messages were counted", n)
		}
	})
}

func TestWhatIsReadIsPublishedBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Publish{})
		r.b.hold = make(chan struct{})
		for i := range 10 {
			r.d.samples <- []Sample{{Device: "boiler", Tag: "temp", Value: IntValue(int64(i)), Time: clock.Now()}}
			time.Sleep(time.Millisecond)
		}
		close(r.b.hold)
		r.stop()
		if got := r.b.on("gw1/boiler/temp"); len(got) != 10 {
			t.Errorf("%d of 10 samples", len(got))
		}
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
