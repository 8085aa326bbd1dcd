package drivers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

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

// TestReplaceClearsWhatIsGone: after a reload a tag that was taken out of the
// file must not stay behind as a retained value.
func TestReplaceClearsWhatIsGone(t *testing.T) {
	bubble(t, Publish{}, func(r *rig) {
		r.sample("temp", IntValue(5), Good, "")
		r.sample("mode", IntValue(1), Good, "")
		if err := r.s.Remove("plc", false); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.b.forget()
		next := newFakeDriver("plc", boilerTags[0]) // temp stays, the others go
		if err := r.s.Add(next, []DeviceInfo{{Name: "boiler", Bus: "plc"}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.want("gw1/boiler/temp")
		r.want("gw1/boiler/mode", "")
		r.want("gw1/boiler/setpoint", "")
		r.want("fieldgate/gw1/device/boiler/status")
		next.samples <- []Sample{{Device: "boiler", Tag: "temp", Value: IntValue(6), Time: clock.Now()}}
		synctest.Wait()
		r.want("gw1/boiler/temp", `{"value":6,"ts":TS,"quality":"good"}`)
		r.want("fieldgate/gw1/device/boiler/status", "online")
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
