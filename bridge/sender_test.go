package bridge

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/buffer"
	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

func ptr[T any](v T) *T { return &v }

// TestDrainInOrder: a backlog goes out in order, all of it acknowledged, and
// the window grows on the way.
func TestDrainInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		for i := range 2000 {
			w.q.add(value(i), buffer.Normal)
		}
		c := newFakeConn(50 * time.Millisecond)
		stop := w.start(c)
		time.Sleep(30 * time.Second)
		stop()
		got := c.payloads()
		if len(got) != 2000 || w.q.left() != 0 {
			t.Fatalf("%d published, %d left", len(got), w.q.left())
		}
		for i, p := range got {
			if p != strconv.Itoa(i) {
				t.Fatalf("message %d is %s", i, p)
			}
		}
		if c.max < 20 || c.max > windowMax {
			t.Errorf("at most %d in flight; the window did not grow as it should", c.max)
		}
		if s := w.Stats(); s.Acked != 2000 || s.Sent != 2000 || s.AckP50 != 50*time.Millisecond || s.InFlight != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestReceiveMaximum: never more open than the upstream allows.
func TestReceiveMaximum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		for i := range 300 {
			w.q.add(value(i), buffer.Normal)
		}
		c := newFakeConn(10 * time.Millisecond)
		c.lim.receiveMaximum = 5
		stop := w.start(c)
		time.Sleep(10 * time.Second)
		stop()
		if c.max != 5 || w.q.left() != 0 {
			t.Errorf("at most %d in flight, %d left", c.max, w.q.left())
		}
	})
}

// TestLiveFirst: with an hour of backlog and a narrow rate, live values are
// not late, and the backlog moves beside them.
func TestLiveFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Drain: Drain{Rate: "50/s", BacklogShare: ptr(0.5)}})
		for i := range 1500 {
			m := value(i)
			m.Topic = "acme/old"
			w.q.add(m, buffer.Normal)
		}
		c := newFakeConn(100 * time.Millisecond)
		stop := w.start(c)
		time.Sleep(10 * time.Second)
		var added []time.Time
		for i := range 100 {
			m := value(i)
			m.Topic = "acme/new"
			added = append(added, time.Now())
			w.q.add(m, buffer.Normal)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Second)
		stop()
		n, before := 0, 0
		for i, m := range c.published {
			if m.Topic == "acme/new" {
				if late := c.at[i].Sub(added[n]); late > 300*time.Millisecond {
					t.Fatalf("live value %d left %s after it was there", n, late)
				}
				n++
			} else if n > 0 {
				before++
			}
		}
		if n != 100 || before < 200 {
			t.Errorf("%d live values, %d of the backlog beside them", n, before)
		}
		if total := len(c.published); total < 21*50*9/10 || total > 21*50+20 {
			t.Errorf("%d messages in 21 s at 50/s", total)
		}
	})
}

// TestBacklogShare: while live values arrive the backlog takes what they
// leave, and of the window no more than its share.
func TestBacklogShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Drain: Drain{BacklogShare: ptr(0.25)}})
		for i := range 1500 {
			m := value(i)
			m.Topic = "acme/old"
			w.q.add(m, buffer.Normal)
		}
		c := newFakeConn(200 * time.Millisecond)
		c.lim.receiveMaximum = 8
		stop := w.start(c)
		time.Sleep(10 * time.Second) // the window has grown
		alone := len(c.payloads())
		for i := range 400 {
			m := value(i)
			m.Topic = "acme/new"
			w.q.add(m, buffer.Normal)
			time.Sleep(50 * time.Millisecond)
		}
		stop()
		if alone < 300 {
			t.Errorf("%d messages in 10 s; without live values the backlog has the whole window", alone)
		}
		old := 0
		for _, m := range c.published[alone:] {
			if m.Topic == "acme/old" {
				old++
			}
		}
		// 8 slots of 200 ms are 40 messages a second; live values take 20, and
		// a quarter of the window is 10.
		if rate := float64(old) / 20; rate < 8 || rate > 11 {
			t.Errorf("%.1f messages a second of backlog beside live values, want 10", rate)
		}
	})
}

// TestStrict: what was there first goes first, whatever it is.
func TestStrict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Drain: Drain{Order: "strict", Rate: "100/s"}})
		for i := range 100 {
			w.q.add(value(i), buffer.Normal)
		}
		c := newFakeConn(10 * time.Millisecond)
		refused := 0
		c.answer = func(m *mqtt.Message) error {
			if string(m.Payload) == "7" && refused < 2 {
				refused++
				return mqtt.UnspecifiedError
			}
			return nil
		}
		stop := w.start(c)
		for i := range 100 {
			time.Sleep(5 * time.Millisecond)
			w.q.add(value(100+i), buffer.Normal)
		}
		time.Sleep(20 * time.Second)
		stop()
		if w.q.left() != 0 || refused != 2 {
			t.Fatalf("%d left, refused %d times", w.q.left(), refused)
		}
		got := c.payloads()
		seven := slices.Index(got, "7")
		last := len(got) - 1 - slices.Index(reversed(got), "7")
		for i, p := range got[last+1:] {
			if n, _ := strconv.Atoi(p); n < 7 {
				t.Errorf("%s went after the repeated 7", p)
			} else if i > 0 && n < mustInt(t, got[last+i]) {
				t.Errorf("%s after %s", p, got[last+i])
			}
		}
		if between := last - seven; between > 12 {
			t.Errorf("%d messages overtook a refused one in strict order, more than were in flight", between)
		}
	})
}

func reversed(s []string) []string {
	s = slices.Clone(s)
	slices.Reverse(s)
	return s
}

func mustInt(t *testing.T, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestBatches: by number, by time, and the backlog full to the brim.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Route: []Route{{From: "#", To: "batch", Format: "json", Batch: Batch{MaxSamples: 10, MaxWait: conf.Duration(5 * time.Second)}}}})
		for i := range 25 {
			w.q.add(value(i), buffer.Normal)
		}
		c := newFakeConn(time.Millisecond)
		stop := w.start(c)
		time.Sleep(time.Second)
		if got := sizes(t, c); !slices.Equal(got, []int{10, 10, 5}) {
			t.Errorf("the backlog left in batches of %v; it must not wait", got)
		}
		for i := range 13 {
			w.q.add(value(25+i), buffer.Normal)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		if got := sizes(t, c); !slices.Equal(got, []int{10, 10, 5, 10}) {
			t.Errorf("batches of %v before max_wait has passed", got)
		}
		time.Sleep(5 * time.Second)
		stop()
		if got := sizes(t, c); !slices.Equal(got, []int{10, 10, 5, 10, 3}) || w.q.left() != 0 {
			t.Errorf("batches of %v, %d left", got, w.q.left())
		}
		next := 0
		for _, m := range c.published {
			for _, v := range batchValues(t, m.Payload) {
				if v != next {
					t.Fatalf("value %d where %d is due", v, next)
				}
				next++
			}
			if mark := userProperty(m.Props.User, propMark); !strings.Contains(mark, "-") {
				t.Errorf("mark %q", mark)
			}
		}
	})
}

func sizes(t *testing.T, c *fakeConn) (list []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.published {
		list = append(list, len(batchValues(t, m.Payload)))
	}
	return list
}

// TestAlarmOvertakes: an alarm does not wait behind a backlog.
func TestAlarmOvertakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Drain: Drain{Rate: "10/s"}, Route: []Route{{From: "alarm/#", Priority: "alarm"}, {From: "#"}}})
		for i := range 1000 {
			w.q.add(value(i), buffer.Normal)
		}
		c := newFakeConn(time.Millisecond)
		stop := w.start(c)
		time.Sleep(5 * time.Second)
		w.q.add(mqtt.Message{Topic: "alarm/fire", Payload: []byte("!")}, buffer.Alarm)
		at := time.Now()
		time.Sleep(2 * time.Second)
		stop()
		i := slices.Index(c.payloads(), "!")
		if i < 0 || c.at[i].Sub(at) > 300*time.Millisecond {
			t.Errorf("the alarm is message %d of %d", i, len(c.published))
		}
	})
}
