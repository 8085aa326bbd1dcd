package bridge

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/broker"
)

func TestParseSchedule(t *testing.T) {
	for _, bad := range []string{"", "2:00-04:00", "02:00", "02:00-02:00", "24:00-01:00", "25:00-26:00", "02:00-24:01", "mo 02:00-03:00",
		"mon- 02:00-03:00", "mon 02:00 - 03:00", "mon,  02:00-03:00", "02:00-04:00-06:00", "-", "mon-fri"} {
		if _, err := parseSchedule([]string{bad}); err == nil || !strings.Contains(err.Error(), "write for example") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestScheduleOpen(t *testing.T) {
	for _, c := range []struct{ line, at, next string }{ // 2026-11-28 is a Saturday; next "" means open
		{"02:00-04:30", "2026-11-28 02:00", ""},
		{"02:00-04:30", "2026-11-28 04:29", ""},
		{"02:00-04:30", "2026-11-28 04:30", "2026-11-29 02:00"},
		{"02:00-04:30", "2026-11-28 01:59", "2026-11-28 02:00"},
		{"22:00-06:00", "2026-11-28 05:59", ""},
		{"22:00-06:00", "2026-11-28 06:00", "2026-11-28 22:00"},
		{"mon-fri 22:00-06:00", "2026-11-28 05:00", ""}, // Friday's night
		{"mon-fri 22:00-06:00", "2026-11-28 22:30", "2026-11-30 22:00"},
		{"mon-fri 22:00-06:00", "2026-11-30 05:00", "2026-11-30 22:00"}, // Sunday has no night
		{"sat,sun 00:00-24:00", "2026-11-28 00:00", ""},
		{"Sat,SUN 00:00-24:00", "2026-11-29 23:59", ""},
		{"sat,sun 00:00-24:00", "2026-11-30 00:00", "2026-12-05 00:00"},
		{"fri-mon 10:00-11:00", "2026-12-01 10:30", "2026-12-04 10:00"},
		{"tue 12:00-12:01", "2026-12-01 12:01", "2026-12-08 12:00"},
	} {
		s, err := parseSchedule([]string{c.line})
		if err != nil {
			t.Errorf("%q: %v", c.line, err)
			continue
		}
		at, err := time.Parse("2006-01-02 15:04", c.at)
		if err != nil {
			t.Fatal(err)
		}
		if s.open(at) != (c.next == "") {
			t.Errorf("%q at %s: open %v", c.line, c.at, s.open(at))
		}
		if got := s.next(at).Format("2006-01-02 15:04"); c.next != "" && got != c.next {
			t.Errorf("%q after %s: %s, want %s", c.line, c.at, got, c.next)
		}
	}
	if !schedule(nil).open(time.Now()) {
		t.Error("no schedule is not always")
	}
}

// FuzzSchedule: a line that is taken is open at some minute of its week and
// closed or open as next says.
func FuzzSchedule(f *testing.F) {
	for _, s := range []string{"02:00-04:30", "mon-fri 22:00-06:00", "sat,sun 00:00-24:00", "x", "mon", "23:59-00:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		s, err := parseSchedule([]string{line})
		if err != nil {
			return
		}
		at := time.Date(2026, 11, 28, 13, 7, 0, 0, time.UTC)
		if next := s.next(at); !s.open(next) || !next.After(at) || next.Sub(at) > 8*24*time.Hour {
			t.Errorf("%q: next of %s is %s", line, at, next)
		}
	})
}

// scheduled is a rig with a schedule and a clock of its own.
func scheduled(t *testing.T, addr string, alarms bool, at string) (r *rig, set func(string)) {
	t.Helper()
	r = newRig(t, Config{URL: "mqtt://" + addr, Connect: Connect{Schedule: []string{"12:00-13:00"}, Alarms: alarms},
		Route: []Route{{From: "alarm/#", Priority: "alarm"}, {From: "v/#"}}},
		func(o *Options) { o.Zone = time.FixedZone("plant", 8*3600) })
	var now atomic.Pointer[time.Time]
	set = func(at string) {
		t.Helper()
		then, err := time.Parse("2006-01-02 15:04 -0700", "2026-11-28 "+at+" +0800")
		if err != nil {
			t.Fatal(err)
		}
		then = then.UTC()
		now.Store(&then)
	}
	set(at)
	r.wall = func() time.Time { return *now.Load() }
	r.scheduleLook, r.alarmLinger = 10*time.Millisecond, 200*time.Millisecond
	return r, set
}

func (r *rig) asleep() {
	r.t.Helper()
	until(r.t, "outside of the schedule", func() bool {
		s := r.Stats()
		return s.State == StateWaiting && strings.Contains(s.Reason, "outside of the connection schedule until Sat 12:00") ||
			s.State == StateWaiting && strings.Contains(s.Reason, "outside of the connection schedule until Sun 12:00")
	})
}

func sent(topic string) mqtt.Message {
	return mqtt.Message{Topic: topic, Payload: []byte("1"), QoS: 1}
}

// TestScheduleOpensAndCloses: offline outside, online inside, in the gateway's
// zone; what comes meanwhile waits.
func TestScheduleOpensAndCloses(t *testing.T) {
	_, addr := ownBroker(t, broker.Config{}, broker.Options{})
	r, set := scheduled(t, addr, false, "11:59")
	r.run()
	r.asleep()
	r.publish(sent("alarm/a"), sent("v/a"))
	r.Kick()
	until(t, "both are queued", func() bool { return r.Stats().Backlog.Messages == 2 })
	if s := r.Stats(); s.Attempts != 0 {
		t.Errorf("%d attempts outside of the schedule", s.Attempts)
	}
	set("12:00")
	r.online()
	r.drained()
	set("13:00")
	r.asleep()
	r.publish(sent("v/b"))
	until(t, "queued", func() bool { return r.Stats().Backlog.Messages == 1 })
	r.stop()
}

// TestAlarmsPassTheSchedule: an alarm connects, alone, and the link ends after
// it; the values wait until the window.
func TestAlarmsPassTheSchedule(t *testing.T) {
	up, addr := ownBroker(t, broker.Config{}, broker.Options{})
	got := make(chan string, 10)
	if err := up.Handle("#", collect(got)); err != nil {
		t.Fatal(err)
	}
	r, set := scheduled(t, addr, true, "14:00")
	r.publish(sent("v/a"), sent("v/b"))
	r.run()
	r.asleep()
	r.publish(sent("alarm/a"))
	if topic := <-got; topic != "alarm/a" {
		t.Errorf("%s goes first", topic)
	}
	r.asleep()
	if n := r.Stats().Backlog.Messages; n != 2 {
		t.Errorf("%d messages wait, want the two values", n)
	}
	set("12:30")
	r.drained()
	for _, want := range []string{"v/a", "v/b"} {
		if topic := <-got; topic != want {
			t.Errorf("got %s, want %s", topic, want)
		}
	}
	r.stop()
}

// TestScheduleNeedsAClock: before the program was built no clock is right.
func TestScheduleNeedsAClock(t *testing.T) {
	_, addr := ownBroker(t, broker.Config{}, broker.Options{})
	r, _ := scheduled(t, addr, false, "14:00")
	r.opts.Build = r.wall().Add(time.Hour)
	r.run()
	r.online()
	r.stop()
}

// collect hands on the topics of what a broker gets, but for its own and the
// bridge's state.
func collect(got chan<- string) func(context.Context, []mqtt.Message) error {
	return func(_ context.Context, msgs []mqtt.Message) error {
		for _, m := range msgs {
			if !strings.HasPrefix(m.Topic, "$") && !strings.HasPrefix(m.Topic, "fieldgate/") {
				got <- m.Topic
			}
		}
		return nil
	}
}
