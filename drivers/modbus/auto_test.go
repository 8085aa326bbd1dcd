package modbus

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/drivers/modbus/wire"
	"fieldgate/drivers/port"
)

// TestBreakEven holds the prices against the formula of the standard's times:
// merge when gap < (13 tc + 2 t3.5 + turn-around) / (2 tc).
func TestBreakEven(t *testing.T) {
	mode, err := port.ParseMode("8E1")
	if err != nil {
		t.Fatal(err)
	}
	for baud, want := range map[int][]int{ // for 0, 5, 10, 20, 50, 100 ms of turn-around
		9600: {10, 12, 14, 18, 31, 53}, 19200: {10, 14, 18, 27, 53, 97}, 38400: {12, 21, 30, 47, 100, 100}, 115200: {24, 51, 77, 100, 100, 100},
	} {
		tariff := newTariff(wire.Config{Kind: wire.RTU, Baud: baud, Mode: mode}, false)
		var got []int
		for _, turn := range []time.Duration{time.Nanosecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond} {
			got = append(got, tariff.price(turn).gap())
		}
		for i := range want {
			if abs(got[i]-want[i]) > 1 {
				t.Errorf("%d Bd: %v, want %v", baud, got, want)
				break
			}
		}
	}
	if gap := newTariff(wire.Config{Kind: wire.TCP}, false).price(0).gap(); gap != autoGapCap {
		t.Errorf("TCP: %d", gap)
	}
	if gap := newTariff(wire.Config{Kind: wire.TCP}, true).price(0).gap(); gap < 10 || gap > 25 {
		t.Errorf("a gateway to a serial line of unknown speed: %d", gap)
	}
}

// TestCheapestPlan compares the planner with all divisions there are.
func TestCheapestPlan(t *testing.T) {
	for _, c := range []struct {
		items string
		l     limits
		want  string
	}{
		{"h0:2 h10:2 h33:2", limits{price: price{request: 20, register: 1}}, "h0+12 h33+2"},
		{"h0:1 h21:1", limits{price: price{request: 20, register: 1}}, "h0+1 h21+1"},                 // as dear as another request: not joined
		{"h0:1 h20:1", limits{price: price{request: 20, register: 1}}, "h0+21"},                      // cheaper by one
		{"h0:1 h60:1 h119:1 h126:1", limits{price: price{request: 200, register: 1}}, "h0+1 h60+67"}, // greedy would read h0+120 h126+1
		{"c0:1 c900:1", limits{price: price{request: 1 << 20, register: 1}}, "c0+1 c900+1"},          // more than 800 bits
		{"c0:1 c700:1", limits{price: price{request: 1 << 20, register: 1}}, "c0+701"},
		{"h0:1 h5:1 h9:1", limits{price: price{request: 100, register: 1}, noRead: []stretch{{Holding, 6, 7}}}, "h0+6 h9+1"},
		{"h0:1 h5:1 i9:1", limits{price: price{request: 100, register: 1}, noRead: []stretch{{Input, 0, 100}}}, "h0+6 i9+1"},
		{"h0:1 h1:1 h2:2", limits{price: price{request: 100, register: 1}, single: true}, "h0+1 h1+1 h2+2"},
		{"h0:10 h10:10 h20:10", limits{price: price{request: 100, register: 1}, slack: 20}, "h0+20 h20+10"},
	} {
		c.l.maxGap, c.l.maxRegisters = autoGapCap, maxRegisters
		items := itemsOf(t, c.items)
		got := plan(items, c.l)
		if spansText(got) != c.want {
			t.Errorf("%s: %s, want %s", c.items, spansText(got), c.want)
		}
		if cost, least := total(got, c.l), cheapest(items, c.l); cost != least {
			t.Errorf("%s: %s costs %d, there is one of %d", c.items, spansText(got), cost, least)
		}
	}
}

func total(spans []span, l limits) (n int64) {
	for i := range spans {
		n += l.cost(&spans[i])
	}
	return n
}

// cheapest tries every division of sorted items into runs.
func cheapest(items []item, l limits) int64 {
	best := int64(-1)
	for cuts := range 1 << (len(items) - 1) {
		sum, first, ok := int64(0), 0, true
		for i := range items {
			if i < len(items)-1 && cuts>>i&1 == 0 {
				continue
			}
			s := spanOf(items[first : first+1])
			for _, it := range items[first+1 : i+1] {
				ok = ok && l.joins(&s, it)
				s.count = max(s.end(), it.end()) - s.addr
			}
			sum += l.cost(&s)
			first = i + 1
		}
		if ok && (best < 0 || sum < best) {
			best = sum
		}
	}
	return best
}

// lineOf9600 lets a fake line take the time of a real one: 9600 8N1.
type lineOf9600 struct{ *fakeLine }

func (l *lineOf9600) price(turn time.Duration) {
	l.change(func() {
		for _, u := range l.units {
			u.turn, u.perRegister = turn+29*time.Millisecond/2, 2083*time.Microsecond
		}
	})
}

// TestGapFollowsTheTurnAround: a hole is read along where the unit is slow, and
// not where it is fast.
func TestGapFollowsTheTurnAround(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 200)}})
		line := &lineOf9600{l}
		line.price(5 * time.Millisecond)
		d := dev("meter", 1, tag("a", "h0"), tag("b", "h26"), tag("c", "h40"))
		d.MaxGap = autoGap
		b := newBenchBus(t, Bus{Name: "bus", Port: "/dev/ttyUSB0", Baud: 9600}, l, l, nil, d)
		defer b.stop()
		b.run(time.Minute + 500*time.Millisecond) // between two polls
		l.requests()
		b.run(time.Second)
		if got := fmt.Sprint(l.requests()); got != "[1 f3 0+1 1 f3 26+1 1 f3 40+1]" {
			t.Errorf("5 ms: %s", got)
		}
		line.price(20 * time.Millisecond)
		b.run(2 * time.Minute)
		l.requests()
		b.run(time.Second)
		if got := fmt.Sprint(l.requests()); got != "[1 f3 0+1 1 f3 26+15]" {
			t.Errorf("20 ms: %s", got)
		}
		line.price(60 * time.Millisecond)
		b.run(3 * time.Minute)
		l.requests()
		b.run(time.Second)
		if got := fmt.Sprint(l.requests()); got != "[1 f3 0+41]" {
			t.Errorf("60 ms: %s", got)
		}
		for name, want := range map[string]string{"a": "0", "b": "26", "c": "40"} {
			if got := b.last("meter", name); got != want {
				t.Errorf("%s: %s", name, got)
			}
		}
	})
}

// TestPriceBehindAGateway: several units at one TCP address are behind a
// gateway, whose line shows in how long answers of different lengths take.
func TestPriceBehindAGateway(t *testing.T) {
	for _, c := range []struct {
		name        string
		perRegister time.Duration
		want        string
	}{
		{"9600 Bd", 2083 * time.Microsecond, "[1 f3 0+1 1 f3 50+30]"},
		{"a fast one", 20 * time.Microsecond, "[1 f3 0+80]"},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newFakeLine(map[byte]*fakeUnit{})
			for u := range byte(3) {
				l.units[u+1] = &fakeUnit{holding: registers(0, 200), turn: 20 * time.Millisecond, perRegister: c.perRegister}
			}
			first := dev("m1", 1, tag("a", "h0"))
			for i := range 30 {
				first.Tags = append(first.Tags, tag(fmt.Sprint("t", i), fmt.Sprint("h", 50+i)))
			}
			first.MaxGap = autoGap
			b := newBench(t, l, nil, first, dev("m2", 2, tag("v", "h0:string60")), dev("m3", 3, tag("v", "h0")))
			defer b.stop()
			b.run(2*time.Minute + 900*time.Millisecond)
			var polls []string
			l.requests()
			b.run(time.Second)
			for _, r := range l.requests() {
				if r[0] == '1' {
					polls = append(polls, r)
				}
			}
			if got := fmt.Sprint(polls); got != c.want {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
		})
	}
}

// TestAtomicAndSinglePolls: what the file says of requests is what is sent.
func TestAtomicAndSinglePolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 200)}, 2: {holding: registers(0, 200)}, 3: {holding: registers(0, 200)}})
		atomic := dev("atomic", 1, tag("lo", "h10"), tag("x", "h0"), tag("hi", "h60"), tag("y", "h70"))
		atomic.Atomic = [][]string{{"hi", "lo"}}
		single := dev("single", 2, tag("a", "h0"), tag("bit", "h1.0"), tag("bit2", "h1.1"), tag("b", "h2:uint32"))
		single.OneRequestPerTag = true
		holes := dev("holes", 3, tag("a", "h0"), tag("b", "h3"), tag("c", "h8"))
		holes.NoRead = []string{"h4..6"}
		b := newBench(t, l, nil, atomic, single, holes)
		defer b.stop()
		b.run(990 * time.Millisecond)
		want := "[1 f3 0+1 1 f3 10+51 1 f3 70+1 2 f3 0+1 2 f3 1+1 2 f3 2+2 3 f3 0+4 3 f3 8+1]"
		if got := fmt.Sprint(l.requests()); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, s := range b.samples {
			for _, o := range b.samples {
				if s.Tag == "lo" && o.Tag == "hi" && s.Time != o.Time {
					t.Error("an atomic group came from two moments")
				}
			}
		}
	})
}

// TestH52AtomicIsNotSplit: a group that a device refuses has no values rather than
// values of two moments.
func TestH52AtomicIsNotSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{holding: registers(0, 20)}
		delete(u.holding, 7)
		d := dev("plc", 1, tag("a", "h0"), tag("lo", "h6"), tag("hi", "h9"))
		d.Atomic = [][]string{{"lo", "hi"}}
		b := newBench(t, newFakeLine(map[byte]*fakeUnit{1: u}), nil, d)
		defer b.stop()
		b.run(10 * time.Second)
		for name, want := range map[string]string{"a": "0", "lo": "bad(config)", "hi": "bad(config)"} {
			if got := b.last("plc", name); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
	})
}

// TestSlowPollsLeaveRoomForFastOnes: no request is so long that a faster poll
// of the line misses its slot behind it.
func TestSlowPollsLeaveRoomForFastOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 300)}, 2: {holding: registers(0, 300)}})
		(&lineOf9600{l}).price(20 * time.Millisecond)
		slow := dev("slow", 1)
		for i := range 120 {
			slow.Tags = append(slow.Tags, tag(fmt.Sprint("t", i), fmt.Sprint("h", i)))
		}
		slow.Poll, slow.MaxGap = Poll(5*time.Second), autoGap
		fast := dev("fast", 2, every(200*time.Millisecond, tag("v", "h0")))
		fast.MaxGap = autoGap
		b := newBenchBus(t, Bus{Name: "bus", Port: "/dev/ttyUSB0", Baud: 9600}, l, l, nil, slow, fast)
		defer b.stop()
		b.run(time.Minute)
		if s := b.stats("fast"); s.Overruns != 0 || s.Polls < 290 || s.DelayP99 > 200*time.Millisecond {
			t.Errorf("%+v", s)
		}
		if s := b.stats("slow"); s.Overruns != 0 || s.Polls < 11 {
			t.Errorf("%+v", s)
		}
	})
}

func TestStagger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine(map[byte]*fakeUnit{})
		var devices []Device
		for u := range byte(4) {
			l.units[u+1] = &fakeUnit{holding: registers(0, 4)}
			d := dev(fmt.Sprint("m", u+1), int(u)+1, tag("v", "h0"))
			d.Poll = Poll(10 * time.Second)
			devices = append(devices, d)
		}
		started := clock.Now()
		b := newBenchWith(t, Options{Phase: 0.5}, Bus{Name: "bus", TCP: "h"}, l, l, nil, devices...)
		defer b.stop()
		b.run(15 * time.Second)
		b.mu.Lock()
		defer b.mu.Unlock()
		at := map[string][]time.Duration{}
		for _, s := range b.samples {
			at[s.Device] = append(at[s.Device], s.Time.Sub(started).Round(time.Millisecond))
		}
		const ms = time.Millisecond
		want := fmt.Sprint(map[string][]time.Duration{
			"m1": {510 * ms, 10510 * ms}, "m2": {760 * ms, 10760 * ms}, "m3": {10 * ms, 10010 * ms}, "m4": {260 * ms, 10260 * ms},
		})
		if got := fmt.Sprint(at); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}
