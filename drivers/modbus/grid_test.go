package modbus

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/configs/conf"
	"fieldgate/drivers"
	"fieldgate/drivers/modbus/wire"
)

func TestPollWords(t *testing.T) {
	for text, want := range map[string]Poll{"once": Once, "on_demand": OnDemand, "250ms": Poll(250 * time.Millisecond), "24h": Poll(24 * time.Hour)} {
		var got Poll
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		var back Poll
		if again, _ := got.MarshalText(); back.UnmarshalText(again) != nil || back != got {
			t.Errorf("%q becomes %q", text, again)
		}
	}
	for _, text := range []string{"", "twice", "on demand", "-1ns", "-1s", "5"} {
		var got Poll
		if err := got.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), "on_demand") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func when(p Poll, t Tag) Tag { t.Poll = p; return t }

func count(list []string, want string) (n int) {
	for _, s := range list {
		if strings.HasPrefix(s, want) {
			n++
		}
	}
	return n
}

// TestOnceIsReadOnce: not again while all goes well, again after each outage,
// and until it has been read.
func TestOnceIsReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{holding: registers(0, 4)}
		l := newFakeLine(map[byte]*fakeUnit{1: u})
		b := newBench(t, l, nil, dev("plc", 1, tag("v", "h1"), when(Once, tag("serial", "h100")), when(Once, tag("model", "h2"))))
		defer b.stop()
		b.run(time.Minute)
		if got := b.last("plc", "serial"); got != "bad(exception:2)" && got != "bad(config)" {
			t.Errorf("a register that does not exist: %q", got)
		}
		l.change(func() { u.holding[100] = 77 })
		b.run(21 * time.Minute) // a tag that was refused three times is left alone for ten minutes
		if got := b.last("plc", "serial"); got != "77" {
			t.Errorf("it exists now, and is %q", got)
		}
		b.forget()
		b.run(5 * time.Hour)
		if log := l.requests(); count(log, "1 f3 100") != 0 || count(log, "1 f3 2") != 0 || count(log, "1 f3 1+1") < 5*3600 {
			t.Errorf("%d requests for what is read once, %d polls", count(log, "1 f3 100"), count(log, "1 f3 1+1"))
		}
		for name, outage := range map[string]func(bool){
			"the unit is silent": func(on bool) { u.dead = on },
			"the line is gone":   func(on bool) { l.gone = on },
		} {
			l.change(func() { outage(true) })
			b.run(time.Minute)
			if got := b.last("plc", "serial"); got != "bad(offline)" && got != "bad(port)" {
				t.Errorf("%s: %q", name, got)
			}
			l.change(func() { outage(false) })
			b.run(2 * time.Minute)
			if got := b.last("plc", "serial"); got != "77" {
				t.Errorf("after: %s: %q", name, got)
			}
			b.forget()
		}
	})
}

// TestOnceAlone: a device without any poll is found out about all the same.
func TestOnceAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{holding: registers(0, 4), dead: true}
		l := newFakeLine(map[byte]*fakeUnit{1: u})
		b := newBench(t, l, nil, dev("plc", 1, when(Once, tag("serial", "h1"))))
		defer b.stop()
		b.run(time.Minute)
		if got := b.last("plc", "serial"); got != "bad(offline)" {
			t.Errorf("%q", got)
		}
		l.change(func() { u.dead = false })
		b.run(2 * time.Minute)
		if got, s := b.last("plc", "serial"), b.stats("plc"); got != "1" || s.State != "online" || s.Overruns != 0 {
			t.Errorf("%q, %+v", got, s)
		}
	})
}

// TestOnDemandIsReadWhenAskedFor and never else; an outage makes it bad, and its
// end does not bring the old value back.
func TestOnDemandIsReadWhenAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{holding: registers(0, 4)}
		l := newFakeLine(map[byte]*fakeUnit{1: u, 2: {holding: registers(0, 4)}})
		quiet := dev("quiet", 2, tag("v", "h3"))
		quiet.Poll = OnDemand
		b := newBench(t, l, nil, dev("plc", 1, tag("v", "h1"), when(OnDemand, tag("log", "h2"))), quiet)
		defer b.stop()
		b.run(time.Hour)
		if log := l.requests(); count(log, "1 f3 2") != 0 || count(log, "2 ") != 0 || count(log, "1 f3 1+1") < 3599 {
			t.Errorf("%d and %d requests that nobody asked for", count(log, "1 f3 2"), count(log, "2 "))
		}
		for device, tag := range map[string]string{"plc": "log", "quiet": "v"} {
			if _, _, err := b.d.PollOnce(t.Context(), device, tag); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if b.last("plc", "log") != "2" || b.last("quiet", "v") != "3" {
			t.Errorf("%q, %q", b.last("plc", "log"), b.last("quiet", "v"))
		}
		if s := b.stats("quiet"); s.State != "online" {
			t.Errorf("%+v", s)
		}
		for name, outage := range map[string]func(bool){
			"offline": func(on bool) { u.dead = on },
			"port":    func(on bool) { l.gone = on },
		} {
			l.change(func() { outage(true) })
			b.run(time.Minute)
			if got := b.last("plc", "log"); got != "bad("+name+")" {
				t.Errorf("during the outage: %q, want %s", got, name)
			}
			l.change(func() { outage(false) })
			b.run(2 * time.Minute)
			if got := b.last("plc", "log"); got != "bad(not_read)" {
				t.Errorf("after the outage: %q", got)
			}
		}
	})
}

// TestPlanOfWords: what has no interval is planned, and is no load.
func TestPlanOfWords(t *testing.T) {
	d := dev("plc", 1, tag("v", "h1"), when(Once, tag("serial", "h100")), when(OnDemand, tag("log", "h200")))
	d.Bus = "b"
	polls := map[Poll]float64{}
	for _, r := range Plan(Bus{Name: "b", TCP: "127.0.0.1"}, []Device{d}) {
		polls[r.Poll] = r.Load
	}
	if len(polls) != 3 || polls[Once] != 0 || polls[OnDemand] != 0 || polls[Poll(time.Second)] <= 0 {
		t.Errorf("%v", polls)
	}
}

// TestAlignedPolls: slots are marks of the clock on the wall; the first poll
// does not wait for one, and a clock that is set is followed.
func TestAlignedPolls(t *testing.T) {
	for _, c := range []struct {
		every time.Duration
		zone  *time.Location
		first time.Duration // the mark after the start, on the wall, after midnight there
	}{
		{15 * time.Second, time.UTC, 15 * time.Second},
		{time.Hour, time.FixedZone("half", 5*3600+1800), 6 * time.Hour}, // the start is at 05:30 there
		{24 * time.Hour, time.FixedZone("east", 8*3600), 24 * time.Hour},
	} {
		t.Run(c.every.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(7300 * time.Millisecond) // the bubble begins at midnight UTC
				started := time.Now()
				l := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 4)}})
				d := dev("plc", 1, when(Poll(c.every), tag("v", "h1")))
				d.Align = true
				b := newBenchWith(t, Options{Zone: c.zone}, Bus{Name: "bus", TCP: "127.0.0.1", Timeout: conf.Duration(time.Second)}, l, l, nil, d)
				defer b.stop()
				b.run(3*c.every + time.Second)
				local := started.In(c.zone)
				midnight := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, c.zone)
				want := []time.Time{started, midnight.Add(c.first), midnight.Add(c.first + c.every), midnight.Add(c.first + 2*c.every)}
				checkMoments(t, b.moments("plc", "v"), want)
				if s := b.stats("plc"); s.Overruns != 0 {
					t.Errorf("%d slots missed", s.Overruns)
				}
			})
		})
	}
	t.Run("the clock is set", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 4)}})
			d := dev("plc", 1, when(Poll(time.Hour), tag("v", "h1")))
			d.Align = true
			b := newBenchWith(t, Options{Zone: time.UTC}, Bus{Name: "bus", TCP: "127.0.0.1"}, l, l, nil, d)
			defer b.stop()
			b.run(90 * time.Minute)
			b.forget()
			began := time.Now()
			defer clock.Pretend(20*time.Minute, true)() // it is 01:50 now, not 01:30
			b.run(3 * time.Hour)
			checkMoments(t, b.moments("plc", "v"), []time.Time{began.Add(10 * time.Minute), began.Add(70 * time.Minute), began.Add(130 * time.Minute)})
			if s := b.stats("plc"); s.Overruns != 0 {
				t.Errorf("%d slots missed", s.Overruns)
			}
		})
	})
}

// moments are when a tag was read, on the bubble's clock.
func (b *bench) moments(device, tag string) (out []time.Time) {
	now, at := time.Now(), clock.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.samples {
		if s.Device == device && s.Tag == tag {
			out = append(out, now.Add(-at.Sub(s.Time)))
		}
	}
	return out
}

// checkMoments compares moments; an answer takes some milliseconds.
func checkMoments(t *testing.T, got, want []time.Time) {
	t.Helper()
	same := slices.EqualFunc(got, want, func(a, b time.Time) bool { return a.Sub(b) >= 0 && a.Sub(b) < 50*time.Millisecond })
	if !same {
		t.Errorf("read at\n%s\nwant\n%s", list(got), list(want))
	}
}

func list(moments []time.Time) (text string) {
	for _, m := range moments {
		text += m.UTC().Format("15:04:05.000 ")
	}
	return text
}

// TestOfflineTakesThreeSeconds: quick time-outs are no outage yet.
func TestOfflineTakesThreeSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{holding: registers(0, 4)}
		l := newFakeLine(map[byte]*fakeUnit{1: u})
		l.timeout, l.retries = 50*time.Millisecond, 0
		b := newBench(t, l, nil, dev("plc", 1, when(Poll(100*time.Millisecond), tag("v", "h1"))))
		defer b.stop()
		b.run(time.Second)
		for _, c := range []struct {
			silent time.Duration
			want   string
		}{{2500 * time.Millisecond, "degraded"}, {3500 * time.Millisecond, "offline"}} {
			l.change(func() { u.dead = true })
			b.run(c.silent)
			if s := b.stats("plc"); s.State != c.want {
				t.Errorf("after %s: %q, want %q", c.silent, s.State, c.want)
			}
			l.change(func() { u.dead = false })
			b.run(10 * time.Second)
			if s := b.stats("plc"); s.State != "online" || b.last("plc", "v") != "1" {
				t.Errorf("not back: %q %q", s.State, b.last("plc", "v"))
			}
		}
	})
}

// TestCoilsFromZero: such a device is never asked for a coil but from 0 on.
func TestCoilsFromZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		coils := map[uint16]bool{}
		for n := range uint16(40) {
			coils[n] = n%3 == 0
		}
		u := &fakeUnit{holding: registers(0, 4), coils: coils}
		u.refuse = func(r wire.Request) byte {
			if r.Function == 1 && r.Address != 0 {
				return 2
			}
			return 0
		}
		d := dev("plc", 1, tag("a", "c7"), tag("b", "c9"), Tag{Name: "w", Reg: "c30", Write: &Write{}}, tag("in", "d5"), tag("v", "h1"))
		d.CoilsFromZero = true
		b := newBench(t, newFakeLine(map[byte]*fakeUnit{1: u}), nil, d)
		defer b.stop()
		b.run(10 * time.Second)
		log := b.l.requests()
		if n := count(log, "1 f1 0+31"); n < 9 || count(log, "1 f1") != n || count(log, "1 f2 5+1") < 9 {
			t.Errorf("%q", log)
		}
		if _, err := b.d.Write(t.Context(), "plc", "w", drivers.BoolValue(true)); err != nil {
			t.Error(err)
		}
		if _, _, err := b.d.PollOnce(t.Context(), "plc", "a"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := fmt.Sprint(b.last("plc", "a"), b.last("plc", "b"), b.last("plc", "w")); got != "falsetruetrue" {
			t.Errorf("%q", got)
		}
	})
	d := dev("plc", 1, tag("far", "c2100"), tag("near", "c20"))
	d.Bus, d.CoilsFromZero, d.NoRead = "b", true, []string{"c10"}
	var codes []string
	d.Validate(func(p conf.Problem) { codes = append(codes, p.Key+" "+p.Code) })
	slices.Sort(codes)
	if got := strings.Join(codes, ", "); got != "tags[0].reg E0208, tags[0].reg E0347, tags[1].reg E0347" {
		t.Error(got)
	}
}
