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

func TestWindow(t *testing.T) {
	w := newWindow(10)
	if w.size != windowStart {
		t.Fatalf("starts at %d", w.size)
	}
	for range 1000 {
		w.acked(50*time.Millisecond, true)
	}
	if w.size != 10 {
		t.Errorf("grew to %d, want Receive Maximum 10", w.size)
	}
	now := time.Unix(1000, 0)
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
			quick.acked(time.Millisecond, true)
		}
		if want := windowStart << (trip + 1); quick.size != want {
			t.Errorf("round trip %d: window %d, want %d", trip, quick.size, want)
		}
	}
	quick.acked(time.Second/2, true) // the link's limit
	for range 128 {
		quick.acked(time.Millisecond, true)
	}
	if quick.size != 129 {
		t.Errorf("then grows to %d in a round trip, want 129", quick.size)
	}
	idle := newWindow(100)
	for range 100 {
		idle.acked(time.Millisecond, false)
	}
	if idle.size != windowStart {
		t.Errorf("grew to %d without need", idle.size)
	}
	full := newWindow(100)
	full.acked(100*time.Millisecond, true)
	for range 100 {
		full.acked(300*time.Millisecond, true)
	}
	if full.size != windowStart+1 {
		t.Errorf("grew to %d although acknowledgements take three times as long", full.size)
	}
	for range 100 {
		full.acked(2*time.Second, true)
	}
	if full.size != 1 {
		t.Errorf("is still %d although acknowledgements take twenty times as long", full.size)
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
