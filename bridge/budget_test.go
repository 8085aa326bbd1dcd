package bridge

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/buffer"
	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/broker"
)

// shelf keeps settings in memory.
type shelf struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (s *shelf) Get(key string) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.m[key]
	return v, ok, nil
}

func (s *shelf) Put(key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = map[string][]byte{}
	}
	s.m[key] = value
	return nil
}

func TestParseByteRate(t *testing.T) {
	for text, want := range map[string]float64{"": 0, "16KiB/s": 16384, "60 kB/m": 1000, "3600B/h": 1} {
		if got, err := parseByteRate(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"16KiB", "x/s", "0/s", "-1B/s", "1B/day", "/s"} {
		if _, err := parseByteRate(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// TestByteRate: what goes out keeps to the byte rate within a tenth, alarms
// pass at once and the others pay for them.
func TestByteRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Budget: Budget{Rate: "2KiB/s"}, Route: []Route{{From: "alarm/#", Priority: "alarm"}, {From: "#"}}})
		payload := []byte(strings.Repeat("x", 200))
		for range 2000 {
			w.q.add(mqtt.Message{Topic: "acme/v", Payload: payload}, buffer.Normal)
		}
		c := newFakeConn(time.Millisecond)
		stop := w.start(c)
		time.Sleep(10 * time.Second)
		c.mu.Lock()
		before := len(c.published)
		c.mu.Unlock()
		for range 20 {
			w.q.add(mqtt.Message{Topic: "alarm/a", Payload: payload}, buffer.Alarm)
		}
		time.Sleep(500 * time.Millisecond)
		c.mu.Lock()
		if n := len(c.published) - before; n < 20 || c.published[before+19].Topic != "alarm/a" && c.published[before+20].Topic != "alarm/a" {
			t.Errorf("%d messages in the half second of the alarms", n)
		}
		c.mu.Unlock()
		time.Sleep(60*time.Second - 10500*time.Millisecond)
		stop()
		sum := 0
		for i := range c.published {
			sum += packetSize(&c.published[i]) + perPacket
		}
		if perSecond := float64(sum) / 60; perSecond < 0.9*2048 || perSecond > 1.1*2048 {
			t.Errorf("%.0f bytes a second, 2048 are allowed", perSecond)
		}
	})
}

// TestRateAlarms: alarms do not wait for messages per second either.
func TestRateAlarms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Drain: Drain{Rate: "1/m"}, Route: []Route{{From: "alarm/#", Priority: "alarm"}, {From: "#"}}})
		for i := range 1000 {
			w.q.add(value(i), buffer.Normal)
		}
		c := newFakeConn(time.Millisecond)
		stop := w.start(c)
		time.Sleep(time.Second)
		for range 5 {
			w.q.add(mqtt.Message{Topic: "alarm/a", Payload: []byte("!")}, buffer.Alarm)
		}
		time.Sleep(time.Second)
		alarms := 0
		for _, p := range c.payloads() {
			if p == "!" {
				alarms++
			}
		}
		stop()
		if alarms != 5 {
			t.Errorf("%d of 5 alarms; %q", alarms, c.payloads())
		}
	})
}

// TestMonth lets a plant that wants three times its budget run for a month:
// it ends within a tenth of the budget, no topic falls silent, and alarms cost
// nobody a refusal.
func TestMonth(t *testing.T) {
	for _, wish := range []float64{0.5, 1.2, 3, 30} {
		wall := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
		const month = 100_000_000
		b := newBudget(Budget{Month: month}, "up", nil, func() (time.Time, bool) { return wall, true })
		const topics = 20
		size := int(wish*month/(28*24*60*topics)) - perPacket
		kept := map[string]int{}
		var worst Saving
		longest := map[string]int{}
		silent := map[string]int{}
		for range 28*24*60 - 1 {
			level, _ := b.look(wall)
			worst = max(worst, level)
			for i := range topics {
				key := fmt.Sprint(i)
				if !b.keeps(key) {
					silent[key]++
					longest[key] = max(longest[key], silent[key])
					continue
				}
				silent[key] = 0
				kept[key]++
				b.spend(size, wall)
			}
			wall = wall.Add(time.Minute)
		}
		s := b.stats()
		part := float64(s.Used) / month
		switch {
		case wish < 1 && (worst != SavingNone || kept["0"] != 28*24*60-1):
			t.Errorf("wish %v: level %d, %d kept", wish, worst, kept["0"])
		case wish > 1 && (part < 0.9 || part > 1.1):
			t.Errorf("wish %v: %.2f of the budget were used", wish, part)
		}
		for key, n := range kept {
			if n < kept["0"]*8/10 || n > kept["0"]*12/10 || longest[key] > 2*24*60 {
				t.Errorf("wish %v: topic %s was kept %d times, topic 0 %d times; silent for %d minutes", wish, key, n, kept["0"], longest[key])
			}
		}
		// The next month begins anew.
		wall = wall.Add(2 * time.Minute)
		if level, _ := b.look(wall); level != SavingNone || b.stats().Used != 0 {
			t.Errorf("wish %v: on the first of the month level %d, %+v", wish, level, b.stats())
		}
	}
}

// TestMonthKept: the use of the month survives a restart, a clock that has
// fallen back does not begin it again, an unset clock ends none.
func TestMonthKept(t *testing.T) {
	wall, synced := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), true
	now := func() (time.Time, bool) { return wall, synced }
	kept := &shelf{}
	b := newBudget(Budget{Month: 1e9, Day: 15}, "up", kept, now)
	b.look(time.Now())
	b.spend(1_000_000, time.Now())
	b.settle(1_500_000, time.Now()) // what the kernel says counts
	b.close(1_500_000)
	wall, synced = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), false
	b = newBudget(Budget{Month: 1e9, Day: 15}, "up", kept, now)
	b.spend(100-perPacket, time.Now())
	b.look(time.Now())
	if s := b.stats(); s.Used != 1_500_100 || !s.Ends.Equal(time.Date(2026, 12, 15, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("after the restart %+v", s)
	}
	wall = time.Date(2026, 12, 16, 0, 0, 0, 0, time.UTC)
	if b.look(time.Now()); b.stats().Used == 0 {
		t.Error("a clock that nobody has set ended the month")
	}
	synced = true
	if b.look(time.Now()); b.stats().Used != 0 {
		t.Errorf("the month has not ended: %+v", b.stats())
	}
}

// TestSaving: over the budget bulk stays in the queue, values are thinned and
// counted, events and alarms pass; when there is room again bulk follows.
func TestSaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Budget: Budget{Month: 100e6}, Route: []Route{{From: "alarm/#", Priority: "alarm"}, {From: "bulk/#", Priority: "bulk"}, {From: "#"}}})
		for range 300 { // more than a lane reads ahead
			w.q.add(mqtt.Message{Topic: "bulk/a", Payload: []byte("b")}, buffer.Bulk)
		}
		w.budget.used = 50e6
		c := newFakeConn(time.Millisecond)
		stop := w.start(c)
		time.Sleep(3 * time.Second)
		if s := w.Stats(); s.Budget.Saving != SavingThin || s.Budget.Projected < 100e6 {
			t.Errorf("%+v", s.Budget)
		}
		bulk, normal, alarms, events := 0, 0, 0, 0
		count := func() {
			bulk, normal, alarms, events = 0, 0, 0, 0
			c.mu.Lock()
			defer c.mu.Unlock()
			for i := range c.published {
				switch m := &c.published[i]; {
				case m.Topic == "bulk/a":
					bulk++
				case m.Topic == "alarm/a":
					alarms++
				case strings.HasSuffix(m.Topic, "/event"):
					events++
				default:
					normal++
				}
			}
		}
		count()
		sentBulk := bulk // before the first look
		for i := range 200 {
			w.q.add(value(i), buffer.Normal)
			w.q.add(mqtt.Message{Topic: "alarm/a", Payload: []byte("!")}, buffer.Alarm)
		}
		w.q.add(mqtt.Message{Topic: "x/event", Payload: []byte("{}"), Kind: mqtt.KindEvent}, buffer.Normal)
		time.Sleep(5 * time.Second)
		count()
		if alarms != 200 || events != 1 || bulk != sentBulk {
			t.Errorf("%d alarms, %d events, bulk %d after %d", alarms, events, bulk, sentBulk)
		}
		if s := w.Stats(); normal != 100 || s.Thinned != 100 || len(w.q.given) != 100 {
			t.Errorf("%d values of 200 sent, %d thinned, %d given up", normal, s.Thinned, len(w.q.given))
		}
		if w.q.left() != 300-bulk {
			t.Errorf("%d left in the queue", w.q.left())
		}
		w.budget.mu.Lock()
		w.budget.used = 0
		w.budget.mu.Unlock()
		time.Sleep(10 * time.Second)
		stop()
		if count(); bulk != 300 || w.q.left() != 0 {
			t.Errorf("%d of 300 bulk messages when there is room again, %d left", bulk, w.q.left())
		}
		if events := strings.Join(w.broker.on("fieldgate/gw/event"), "\n"); strings.Count(events, CodeBudget) != 1 {
			t.Errorf("events %s", events)
		}
	})
}

// TestMeter: the bytes on the wire are those of the kernel.
func TestMeter(t *testing.T) {
	up, addr := ownBroker(t, broker.Config{}, broker.Options{})
	_ = up
	r := newRig(t, Config{URL: "mqtt://" + addr, Budget: Budget{Month: conf.Size(1e9)}, Route: []Route{{From: "acme/#"}}}, func(o *Options) { o.Settings = &shelf{} })
	r.run()
	r.online()
	idle := r.Stats().Carried
	if idle < 200 || idle > 20_000 {
		t.Errorf("%d bytes for a login", idle)
	}
	payload := []byte(strings.Repeat("x", 1000))
	for range 500 {
		r.publish(mqtt.Message{Topic: "acme/a", Payload: payload})
	}
	r.drained()
	until(t, "the bytes are counted", func() bool { return r.Stats().Carried > idle+500_000 })
	if n := r.Stats().Carried - idle; n > 800_000 {
		t.Errorf("%d bytes on the wire for 500 kB", n)
	}
	until(t, "the month follows the kernel's count", func() bool {
		s := r.Stats()
		return s.Budget.Used > s.Carried*98/100 && s.Budget.Used < s.Carried*102/100+1000
	})
	carried := r.Stats().Carried
	r.stop()
	if after := r.Stats().Carried; after < carried {
		t.Errorf("%d bytes after the end, %d before", after, carried)
	}
}
