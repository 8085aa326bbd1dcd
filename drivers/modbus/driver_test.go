package modbus

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/drivers"
	"fieldgate/drivers/modbus/wire"
)

func dev(name string, unit int, tags ...Tag) Device {
	return Device{Name: name, Unit: unit, Tags: tags}
}

func tag(name, reg string) Tag { return Tag{Name: name, Reg: reg} }

func every(d time.Duration, t Tag) Tag { t.Poll = Poll(d); return t }

func ptr[T any](v T) *T { return &v }

func TestPollsOnAFixedCadence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 10)}})
		b := newBench(t, l, nil, dev("plc", 1, tag("a", "h5"), every(100*time.Millisecond, tag("b", "h1")), every(time.Hour, tag("c", "h2"))))
		defer b.stop()
		b.run(10*time.Second + 50*time.Millisecond)
		for name, want := range map[string]int{"a": 11, "b": 101, "c": 1} {
			if n := len(b.of("plc", name)); n != want {
				t.Errorf("%s was read %d times in 10 s, want %d", name, n, want)
			}
		}
		if b.last("plc", "a") != "5" {
			t.Error(b.last("plc", "a"))
		}
		if s := b.stats("plc"); s.State != "online" || s.Overruns != 0 || s.Polls != 113 || s.LastOK.IsZero() {
			t.Errorf("%+v", s)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, s := range b.samples {
			if s.Time.IsZero() {
				t.Fatal("a sample without a time")
			}
		}
	})
}

func TestOverrunsAreCountedAndSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 10), turn: 250 * time.Millisecond}})
		b := newBench(t, l, nil, dev("plc", 1, every(100*time.Millisecond, tag("a", "h5"))))
		defer b.stop()
		b.run(10 * time.Second)
		s := b.stats("plc")
		if s.Polls < 38 || s.Polls > 41 || s.Overruns < 55 || s.Overruns > 62 {
			t.Errorf("%d polls, %d missed slots; 100 slots were due and 40 fit", s.Polls, s.Overruns)
		}
		if len(b.events) != 1 || b.events[0].Code != drivers.CodeOverrun {
			t.Errorf("%+v", b.events)
		}
	})
}

// TestSlowPollsOnAnOverloadedLine: what is read once an hour is read all the
// same where the fast polls alone are more than the line can do.
func TestSlowPollsOnAnOverloadedLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 200), turn: 50 * time.Millisecond}})
		fast := dev("fast", 1, tag("a", "h0"), tag("b", "h50"), tag("c", "h100"))
		fast.Poll = Poll(100 * time.Millisecond)
		b := newBench(t, l, nil, fast, dev("slow", 1, every(time.Hour, tag("serial", "h150:string8")), every(24*time.Hour, tag("model", "h160"))))
		defer b.stop()
		b.run(30 * time.Second)
		if n, m := len(b.of("slow", "serial")), len(b.of("slow", "model")); n != 1 || m != 1 {
			t.Errorf("read %d and %d times in 30 s", n, m)
		}
		if s := b.stats("fast"); s.Overruns == 0 {
			t.Error("the line was not overloaded")
		}
	})
}

// hintingLine has hints, as a line with counters has.
type hintingLine struct {
	*fakeLine
	hints []string
}

func (l *hintingLine) Stats() wire.Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return wire.Stats{Hints: slices.Clone(l.hints)}
}

// TestHintsAreLoggedOnce, however often their numbers change.
func TestHintsAreLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 4)}})
		l := &hintingLine{fakeLine: f}
		var log bytes.Buffer
		o := Options{Log: slog.New(slog.NewTextHandler(&log, nil))}
		b := newBenchWith(t, o, Bus{Name: "bus", TCP: "127.0.0.1"}, l, f, nil, dev("plc", 1, tag("v", "h1")))
		b.run(2 * time.Minute)
		for n := range 10 {
			f.change(func() {
				l.hints = []string{fmt.Sprintf("many answers come late: raise timeout to %dms", 300+n), "wiring"}
			})
			b.run(time.Minute)
		}
		b.stop()
		text := log.String()
		if strings.Count(text, "raise timeout to 300ms") != 1 || strings.Count(text, "raise timeout") != 1 || strings.Count(text, "msg=wiring bus=bus") != 1 {
			t.Error(text)
		}
	})
}

func TestManyDevicesShareALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		units := map[byte]*fakeUnit{}
		var devices []Device
		for i := 1; i <= 10; i++ {
			units[byte(i)] = &fakeUnit{holding: map[uint16]uint16{0: uint16(i)}}
			devices = append(devices, dev(fmt.Sprint("m", i), i, tag("v", "h0")))
		}
		b := newBench(t, newFakeLine(units), nil, devices...)
		defer b.stop()
		b.run(5990 * time.Millisecond) // the last one begins at 0.9 s
		for i := 1; i <= 10; i++ {
			if got := b.of(fmt.Sprint("m", i), "v"); len(got) != 6 || got[5] != fmt.Sprint(i) {
				t.Errorf("unit %d: %q", i, got)
			}
		}
	})
}

// TestDeadUnitsDoNotSlowTheHealthyOne is the promise: 31 dead units of 32
// raise the healthy unit's cycle by at most 10 %, from the first second on
// once the line's loss budget is used up, whatever the intervals are.
func TestDeadUnitsDoNotSlowTheHealthyOne(t *testing.T) {
	for _, c := range []struct {
		timeout, poll time.Duration
	}{
		{300 * time.Millisecond, time.Second}, {time.Second, time.Second}, {time.Second, 100 * time.Millisecond}, {100 * time.Millisecond, 50 * time.Millisecond},
	} {
		t.Run(fmt.Sprintf("timeout %s poll %s", c.timeout, c.poll), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newFakeLine(map[byte]*fakeUnit{7: {holding: registers(0, 4)}})
				l.timeout = c.timeout
				var devices []Device
				for i := 1; i <= 32; i++ {
					d := dev(fmt.Sprint("m", i), i, tag("v", "h0"))
					d.Poll = Poll(c.poll)
					devices = append(devices, d)
				}
				b := newBench(t, l, nil, devices...)
				defer b.stop()
				b.run(2 * time.Minute) // every unit has been tried or is known to wait
				b.forget()
				const span = 10 * time.Minute
				b.run(span)
				polls, ideal := len(b.of("m7", "v")), int(span/c.poll)
				if polls*110 < ideal*100 {
					t.Errorf("%d polls of %d: the cycle grew by %d %%", polls, ideal, 100*ideal/polls-100)
				}
				if l.lost*10 > span {
					t.Errorf("%s of %s were lost on dead units", l.lost, span)
				}
				if l.lost == 0 {
					t.Error("dead units are never tried again")
				}
				if s := b.stats("m9"); s.State != "offline" && s.State != "unknown" {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// TestStartWithDeadUnits: the healthy one is served from the start.
func TestStartWithDeadUnits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine(map[byte]*fakeUnit{32: {holding: registers(0, 4)}})
		var devices []Device
		for i := 1; i <= 32; i++ {
			devices = append(devices, dev(fmt.Sprint("m", i), i, tag("v", "h0")))
		}
		b := newBench(t, l, nil, devices...)
		defer b.stop()
		b.run(time.Minute)
		if n := len(b.of("m32", "v")); n < 48 { // the last of 32 has to wait for one try of each other
			t.Errorf("%d polls in the first minute", n)
		}
	})
}

func TestUnitGoesOfflineAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{holding: registers(0, 4)}
		other := &fakeUnit{holding: registers(0, 4)}
		l := newFakeLine(map[byte]*fakeUnit{1: u, 2: other})
		d := dev("plc", 1, tag("a", "h0"), tag("b", "h100")) // two requests
		u.holding[100] = 7
		d.Offline.BackoffMax = conf.Duration(10 * time.Second)
		b := newBench(t, l, nil, d, dev("meter", 2, tag("v", "h1")))
		defer b.stop()
		b.run(1500 * time.Millisecond)
		if b.last("plc", "a") != "0" || b.last("plc", "b") != "7" {
			t.Fatal(b.last("plc", "a"), b.last("plc", "b"))
		}
		b.forget()
		l.change(func() { u.dead = true })
		b.run(5 * time.Second)
		got := b.of("plc", "a")
		if want := "bad(timeout)"; got[0] != want {
			t.Errorf("%q", got)
		}
		if b.last("plc", "a") != "bad(offline)" || b.last("plc", "b") != "bad(offline)" {
			t.Errorf("%q %q", got, b.of("plc", "b"))
		}
		if s := b.stats("plc"); s.State != "offline" || s.Reason != "timeout" || s.NextTry.IsZero() || s.Failures != 4 && s.Failures != 3 && s.Failures != 5 {
			t.Errorf("%+v", s)
		}
		b.forget()
		b.run(2 * time.Minute)
		if n := len(b.of("meter", "v")); n < 119 {
			t.Errorf("the neighbour was read %d times in 2 minutes", n)
		}
		probes := 0
		for _, r := range l.requests() {
			if strings.HasPrefix(r, "1 ") {
				probes++
				if r != "1 f3 0+1" {
					t.Errorf("%s is not a short probe", r)
				}
			}
		}
		if probes < 8 || probes > 30 {
			t.Errorf("%d probes in 2 minutes with a back-off of 10 s", probes)
		}
		if n := len(b.of("plc", "a")); n != 0 {
			t.Errorf("an offline unit was reported %d times more", n)
		}
		l.change(func() { u.dead = false })
		b.run(12 * time.Second)
		if b.last("plc", "a") != "0" || b.last("plc", "b") != "7" || b.stats("plc").State != "online" {
			t.Errorf("%q %+v", b.of("plc", "a"), b.stats("plc"))
		}
	})
}

// TestOneSilentRegister: a block that is never answered costs one time-out per
// poll and hides nothing else.
func TestOneSilentRegister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{holding: registers(0, 300)}
		silentAt := func(r wire.Request) bool { return r.Address == 0 }
		l := &silentLine{fakeLine: newFakeLine(map[byte]*fakeUnit{1: u}), silent: silentAt}
		b := newBenchLine(t, l, l.fakeLine, nil, dev("plc", 1, tag("a", "h0"), tag("b", "h100"), tag("c", "h200")))
		defer b.stop()
		b.run(20 * time.Second)
		if b.last("plc", "b") != "100" || b.last("plc", "c") != "200" || b.last("plc", "a") != "bad(timeout)" {
			t.Errorf("%s %s %s", b.last("plc", "a"), b.last("plc", "b"), b.last("plc", "c"))
		}
		if n := len(b.of("plc", "c")); n < 15 {
			t.Errorf("c was read %d times in 20 s", n)
		}
		if s := b.stats("plc"); s.State == "offline" {
			t.Errorf("%+v", s)
		}
	})
}

func TestLineGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 4)}, 2: {holding: registers(0, 4)}})
		b := newBench(t, l, nil, dev("a", 1, tag("v", "h1")), dev("b", 2, tag("v", "h2")))
		defer b.stop()
		b.run(1700 * time.Millisecond)
		b.forget()
		l.change(func() { l.gone = true })
		b.run(time.Minute)
		for _, name := range []string{"a", "b"} {
			if got := b.of(name, "v"); fmt.Sprint(got) != "[bad(port)]" {
				t.Errorf("%s: %q, want bad(port) once", name, got)
			}
		}
		if n := len(l.requests()); n > 40 {
			t.Errorf("%d tries in a minute", n)
		}
		b.forget()
		l.change(func() { l.gone = false })
		b.run(4 * time.Second)
		if b.last("a", "v") != "1" || b.last("b", "v") != "2" {
			t.Errorf("%s %s", b.last("a", "v"), b.last("b", "v"))
		}
		if s := b.stats("a"); s.Overruns != 0 {
			t.Errorf("an unplugged line counted as %d overruns", s.Overruns)
		}
	})
}

func TestOtherExceptionsKeepTheUnitOnline(t *testing.T) {
	for _, c := range []struct {
		code  byte
		want  string
		state string
	}{{4, "bad(exception:4)", "online"}, {6, "bad(exception:6)", "online"}, {0xE1, "bad(exception:225)", "online"}, {11, "bad(exception:11)", "degraded"}} {
		synctest.Test(t, func(t *testing.T) {
			code := byte(0)
			u := &fakeUnit{holding: registers(0, 10), refuse: func(wire.Request) byte { return code }}
			l := newFakeLine(map[byte]*fakeUnit{1: u})
			b := newBench(t, l, nil, dev("plc", 1, tag("a", "h0"), tag("b", "h1")))
			defer b.stop()
			b.run(500 * time.Millisecond)
			l.change(func() { code = c.code })
			b.run(time.Second)
			if b.last("plc", "a") != c.want || b.last("plc", "b") != c.want || b.stats("plc").State != c.state {
				t.Errorf("exception %d: %s, %s", c.code, b.last("plc", "a"), b.stats("plc").State)
			}
			b.run(time.Minute)
			if offline := b.stats("plc").State == "offline"; offline != (c.code == 11) {
				t.Errorf("exception %d: %s", c.code, b.stats("plc").State)
			}
		})
	}
}

func TestAnswerThatDoesNotFitGivesNoValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 10), misfit: func(wire.Request) bool { return true }}})
		b := newBench(t, l, nil, dev("plc", 1, tag("a", "h0")))
		defer b.stop()
		b.run(1500 * time.Millisecond)
		if got := b.last("plc", "a"); got != "bad(parse)" {
			t.Error(got)
		}
	})
}

// TestLineGoneWithNothingToRead: a group of which every register is left alone
// must not keep the loop spinning while the line is gone.
func TestLineGoneWithNothingToRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 4)}})
		b := newBench(t, l, nil, dev("plc", 1, tag("a", "h0"), every(200*time.Millisecond, tag("gone", "h99"))))
		defer b.stop()
		b.run(5 * time.Second)
		if b.last("plc", "gone") != "bad(config)" {
			t.Fatal(b.last("plc", "gone"))
		}
		l.change(func() { l.gone = true })
		b.run(time.Minute)
		if b.last("plc", "a") != "bad(port)" {
			t.Error(b.last("plc", "a"))
		}
	})
}

func TestScaleTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{holding: map[uint16]uint16{40: 2345, 45: 0xFFFF, 200: 0xFFFE, 201: 100}}
		l := newFakeLine(map[byte]*fakeUnit{1: u})
		b := newBench(t, l, nil, dev("inv", 1,
			Tag{Name: "w", Reg: "h40:int16", ScaleTag: "w_sf"}, every(time.Minute, tag("w_sf", "h45:int16")),
			Tag{Name: "v", Reg: "h201:uint16", ScaleTag: "h200"}))
		defer b.stop()
		b.run(500 * time.Millisecond)
		if b.last("inv", "w") != "234.5" || b.last("inv", "w_sf") != "-1" || b.last("inv", "v") != "1" {
			t.Errorf("%s %s %s", b.last("inv", "w"), b.last("inv", "w_sf"), b.last("inv", "v"))
		}
		// The factor changes together with the value, and is read together with it.
		l.change(func() { u.holding[40], u.holding[45] = 235, 0 })
		b.run(time.Second)
		if b.last("inv", "w") != "235" {
			t.Error(b.last("inv", "w"))
		}
		l.change(func() { u.holding[45] = 0x8000 })
		b.run(time.Second)
		if b.last("inv", "w") != "bad(invalid)" {
			t.Error(b.last("inv", "w"))
		}
		l.change(func() { delete(u.holding, 200) })
		b.run(5 * time.Second)
		if got := b.last("inv", "v"); !strings.HasPrefix(got, "bad(") {
			t.Error(got)
		}
	})
}

func TestAllAreasAndBits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{
			holding: map[uint16]uint16{120: 0b1000, 0: 0x4369, 1: 0x2E14}, input: map[uint16]uint16{0: 0xFFFE},
			coils: map[uint16]bool{4: true, 5: false, 6: true, 14: true},
		}
		for i := range uint16(20) {
			if _, ok := u.coils[i]; !ok {
				u.coils[i] = false
			}
		}
		b := newBench(t, newFakeLine(map[byte]*fakeUnit{1: u}), nil, dev("plc", 1,
			tag("bit", "h120.3"), tag("bit2", "h120.2"), tag("f", "h0:float32"), tag("i", "i0:int16"),
			tag("c4", "c4"), tag("c5", "c5"), tag("c14", "c14"), tag("d6", "d6"),
			Tag{Name: "nibble", Reg: "h0", Bits: "4..7"},
			Tag{Name: "state", Reg: "h120", Enum: map[string]any{"8": "running"}}))
		defer b.stop()
		b.run(500 * time.Millisecond)
		for name, want := range map[string]string{"bit": "true", "bit2": "false", "f": "233.18", "i": "-2", "c4": "true", "c5": "false", "c14": "true", "d6": "true", "nibble": "6", "state": "running"} {
			if got := b.last("plc", name); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
	})
}

func TestDisabledDeviceIsNeverAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 4)}})
		d := dev("plc", 1, tag("a", "h0"))
		d.Disabled = true
		b := newBench(t, l, nil, d)
		defer b.stop()
		b.run(time.Minute)
		if n := len(l.requests()); n != 0 || b.last("plc", "a") != "bad(disabled)" || b.stats("plc").State != "disabled" {
			t.Errorf("%d requests, %s, %s", n, b.last("plc", "a"), b.stats("plc").State)
		}
		if len(b.d.Tags()) != 1 || !b.d.Devices()[0].Disabled {
			t.Error("it is listed all the same")
		}
	})
}
