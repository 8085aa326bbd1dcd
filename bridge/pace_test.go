package bridge

import (
	"testing"
	"time"
)

func TestParseRate(t *testing.T) {
	for text, want := range map[string]float64{"200/s": 200, "30/m": 0.5, "0.5/s": 0.5, "3600/h": 1, "": 0, "200": 0, "-1/s": 0, "0/s": 0, "1/d": 0, "NaN/s": 0, "1e9/s": 0} {
		got, err := parseRate(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("parseRate(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
}

// TestBucket lets an impatient sender run for ten seconds.
func TestBucket(t *testing.T) {
	for _, rate := range []float64{0.5, 3, 200, 10_000} {
		b := newBucket(rate)
		start := time.Unix(0, 0)
		end := start.Add(20 * time.Second)
		n := 0
		for now := start; now.Before(end); {
			wait, ok := b.take(now)
			if ok {
				n++
				continue
			}
			if wait <= 0 {
				t.Fatalf("rate %v: no token and no wait", rate)
			}
			now = now.Add(wait)
		}
		want := rate * 20
		if got := float64(n); got < want*0.98-1 || got > want+max(1, rate/4)+1 {
			t.Errorf("rate %v: %d in 20 s", rate, n)
		}
	}
	var none bucket
	if _, ok := none.take(time.Now()); !ok {
		t.Error("no limit: held back")
	}
}

func TestBackoff(t *testing.T) {
	b := newBackoff(time.Second, 2*time.Minute, 0.3, 0)
	for range 200 {
		b.reset()
		last := time.Duration(0)
		for i := range 40 {
			d := b.next(normalPace)
			if d <= 0 || d > 2*time.Minute || i == 0 && d > time.Second {
				t.Fatalf("pause %d is %s", i, d)
			}
			last = d
		}
		if last < time.Minute {
			t.Fatalf("after 40 failures the pause is only %s", last)
		}
	}
	if d := b.next(slowPace); d < 3*time.Minute || d > 5*time.Minute {
		t.Errorf("a refused login pauses %s", d)
	}
	if d := b.next(takenPace); d < 20*time.Second {
		t.Errorf("a taken client id pauses %s", d)
	}
	if d := b.next(busyPace); d > 8*time.Minute || d < time.Minute {
		t.Errorf("busy pauses %s", d)
	}
}

func TestBackoffWithoutJitter(t *testing.T) {
	b := newBackoff(time.Second, 10*time.Second, 0, 0)
	for i, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
		if d := b.next(normalPace); d != want*time.Second {
			t.Errorf("pause %d is %s, want %ds", i, d, want)
		}
	}
}

// Two gateways that lose their upstream together must not stay together.
func TestBackoffDecorrelates(t *testing.T) {
	a, b := newBackoff(time.Second, time.Minute, 0.3, 0), newBackoff(time.Second, time.Minute, 0.3, 0)
	var at, bt time.Duration
	together := 0
	for range 50 {
		at += a.next(normalPace)
		bt += b.next(normalPace)
		if (at - bt).Abs() < 10*time.Millisecond {
			together++
		}
	}
	if together > 10 {
		t.Errorf("%d of 50 attempts at the same time", together)
	}
}

// way is a link for a window: it carries so many messages a second, after a
// while; what it cannot carry at once queues.
type way struct {
	perSecond float64
	delay     time.Duration
}

// drive sends through a window, always as much as it lets, for a time, and says how
// many were acknowledged a second in the last half of it and how long the last took.
func (l way) drive(w *window, d time.Duration) (perSecond float64, took time.Duration) {
	type flight struct{ sent, back time.Time }
	var open []flight
	start := time.Unix(1000, 0)
	free := start // when the link can carry the next one
	acked := 0
	for now := start; now.Sub(start) < d; now = now.Add(time.Millisecond) {
		for len(open) > 0 && !open[0].back.After(now) {
			took = now.Sub(open[0].sent)
			if open = open[1:]; now.Sub(start) > d/2 {
				acked++
			}
			w.acked(took, true, now)
		}
		for len(open) < w.size {
			if free.Before(now) {
				free = now
			}
			free = free.Add(time.Duration(float64(time.Second) / l.perSecond))
			open = append(open, flight{now, free.Add(l.delay)})
		}
	}
	return float64(acked) / (d / 2).Seconds(), took
}

// TestWindowOnALink: the window finds the size that fills a link without
// keeping a queue in it, on slow and fast ways, and does so for hours.
func TestWindowOnALink(t *testing.T) {
	for _, l := range []way{{13, time.Second}, {60, 400 * time.Millisecond}, {500, 100 * time.Millisecond}, {500, 20 * time.Millisecond}, {2000, 300 * time.Millisecond}} {
		for _, d := range []time.Duration{time.Minute, 20 * time.Minute} {
			w := newWindow(0)
			rate, took := l.drive(&w, d)
			base := l.delay + time.Duration(float64(time.Second)/l.perSecond)
			if rate < 0.9*l.perSecond {
				t.Errorf("%v after %s: %.0f a second, window %d", l, d, rate, w.size)
			}
			if most := base + max(base/2, 2*delayLeast); took > most {
				t.Errorf("%v after %s: acknowledgements take %s, at most %s are wanted; window %d", l, d, took, most, w.size)
			}
		}
	}
}

// TestWindowOfASlowUpstream: acknowledgements that take long whatever the
// window is show no queue: the window stays.
func TestWindowOfASlowUpstream(t *testing.T) {
	w := newWindow(200)
	now := time.Unix(1000, 0)
	w.acked(2*time.Millisecond, true, now) // once it was quick
	w.size = 100
	for range 200 { // rounds
		now = now.Add(150 * time.Millisecond)
		for range w.size {
			w.acked(150*time.Millisecond, true, now)
		}
	}
	if w.size < 80 {
		t.Errorf("window %d", w.size)
	}
}

func TestWindow(t *testing.T) {
	now := time.Unix(1000, 0)
	w := newWindow(10)
	if w.size != windowStart {
		t.Fatalf("starts at %d", w.size)
	}
	for range 1000 {
		w.acked(50*time.Millisecond, true, now)
	}
	if w.size != 10 {
		t.Errorf("grew to %d, want Receive Maximum 10", w.size)
	}
	for i, want := range []int{5, 2, 1, 1} {
		if !w.timedOut(now.Add(time.Duration(i)*ackTimeout)) || w.size != want {
			t.Errorf("time-out %d: window %d, want %d", i, w.size, want)
		}
	}
	if w.timedOut(now.Add(3*ackTimeout + time.Second)) {
		t.Error("shrunk twice in one time-out")
	}
	small := newWindow(2)
	if small.size != 2 {
		t.Errorf("Receive Maximum 2: window %d", small.size)
	}
	quick := newWindow(1000)
	for trip := range 5 { // doubles in each round trip
		for range quick.size {
			quick.acked(time.Millisecond, true, now)
		}
		if want := windowStart << (trip + 1); quick.size != want {
			t.Errorf("round trip %d: window %d, want %d", trip, quick.size, want)
		}
	}
	quick.acked(time.Second/2, true, now) // the link's limit
	for range 128 {
		quick.acked(time.Millisecond, true, now)
	}
	if quick.size != 85+16 {
		t.Errorf("then grows to %d in a round trip, want 96", quick.size)
	}
	idle := newWindow(100)
	for range 100 {
		idle.acked(time.Millisecond, false, now)
	}
	if idle.size != windowStart {
		t.Errorf("grew to %d without need", idle.size)
	}
}

func TestRotation(t *testing.T) {
	primary := rotation{n: 3, primary: true}
	for i, c := range []struct {
		online bool
		again  bool
		at     int
	}{{false, true, 1}, {false, true, 2}, {false, false, 0}, {false, true, 1}, {true, true, 0}} {
		if c.online {
			primary.connected()
		}
		if again := primary.failed(c.online); again != c.again || primary.at != c.at {
			t.Errorf("primary step %d: again %v at %d, want %v at %d", i, again, primary.at, c.again, c.at)
		}
	}
	sticky := rotation{n: 2, at: 1}
	sticky.connected()
	if sticky.failed(true); sticky.at != 1 {
		t.Errorf("sticky went to %d after a loss", sticky.at)
	}
	if sticky.standby() {
		t.Error("sticky watches the first address")
	}
}

func TestLatencies(t *testing.T) {
	var l latencies
	if a, b := l.quantiles(); a != 0 || b != 0 {
		t.Error("quantiles of nothing")
	}
	for i := range 1000 {
		l.add(time.Duration(i))
	}
	if p50, p99 := l.quantiles(); p50 < 700 || p50 > 800 || p99 < 990 {
		t.Errorf("p50 %d p99 %d of the last 512 of 0…999", p50, p99)
	}
}
