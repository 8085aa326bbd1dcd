package modbus

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/drivers"
	"fieldgate/drivers/modbus/wire"
)

func TestH17RefusedBlockIsTakenApartAndRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{holding: registers(0, 10)}
		delete(u.holding, 3) // a hole between tags
		l := newFakeLine(map[byte]*fakeUnit{1: u})
		memory := &fakeMemory{map[string][]byte{}}
		d := dev("plc", 1, tag("a", "h0"), tag("b", "h2"), tag("c", "h5"), tag("d", "h6"))
		b := newBench(t, l, memory, d)
		b.run(1500 * time.Millisecond)
		for name, want := range map[string]string{"a": "0", "b": "2", "c": "5", "d": "6"} {
			if got := b.of("plc", name); len(got) != 2 || got[0] != want {
				t.Errorf("%s: %q", name, got)
			}
		}
		if s := b.stats("plc"); s.State != "online" || s.Failures != 0 {
			t.Errorf("%+v", s)
		}
		b.forget()
		b.run(time.Second)
		if got := fmt.Sprint(l.requests()); got != "[1 f3 0+3 1 f3 5+2]" {
			t.Errorf("after learning: %s", got)
		}
		b.stop()
		l.requests()

		b = newBench(t, l, memory, d) // a restart
		b.run(500 * time.Millisecond)
		if got := fmt.Sprint(l.requests()); got != "[1 f3 0+3 1 f3 5+2]" {
			t.Errorf("after a restart: %s", got)
		}
		b.stop()

		d.Tags = append(d.Tags, tag("e", "h8")) // other registers: nothing learnt applies
		b = newBench(t, l, memory, d)
		b.run(10 * time.Millisecond)
		if got := l.requests(); len(got) < 2 || !strings.HasPrefix(got[len(got)-2], "1 f3 0+9") && got[0] != "1 f3 0+9" {
			t.Errorf("after a change: %q", got)
		}
		b.stop()
	})
}

// TestRelearn: a device that was repaired is asked for everything again, in one
// request, and so it is after a restart.
func TestRelearn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{holding: registers(0, 10)}
		delete(u.holding, 2)
		l := newFakeLine(map[byte]*fakeUnit{1: u})
		memory := &fakeMemory{map[string][]byte{}}
		d := dev("plc", 1, tag("a", "h0"), tag("b", "h2"), tag("c", "h5"), when(Once, tag("serial", "h9")))
		b := newBench(t, l, memory, d)
		b.run(10 * time.Second)
		if got := b.last("plc", "b"); got != "bad(config)" {
			t.Fatalf("a register that it does not have: %q", got)
		}
		l.change(func() { u.holding[2] = 2 })
		b.run(10 * time.Second)
		b.forget()
		b.run(time.Second)
		if got := l.requests(); slices.Contains(got, "1 f3 0+6") || b.last("plc", "b") != "nothing" {
			t.Fatalf("it is asked for all already: %q", got)
		}
		if err := b.d.Relearn(t.Context(), "plc"); err != nil {
			t.Fatal(err)
		}
		b.run(1500 * time.Millisecond)
		if got := l.requests(); !slices.Equal(slices.Compact(got), []string{"1 f3 0+6", "1 f3 9+1", "1 f3 0+6"}) &&
			!slices.Equal(slices.Compact(got), []string{"1 f3 9+1", "1 f3 0+6"}) || b.last("plc", "b") != "2" {
			t.Errorf("%q; b is %q", got, b.last("plc", "b"))
		}
		if err := b.d.Relearn(t.Context(), "nobody"); err == nil {
			t.Error("a device that does not exist has forgotten something")
		}
		b.stop()
		l.requests()
		b = newBench(t, l, memory, d)
		defer b.stop()
		b.run(500 * time.Millisecond)
		if got := l.requests(); !slices.Contains(got, "1 f3 0+6") {
			t.Errorf("after a restart: %q", got)
		}
	})
}

func TestMissingRegisterIsFoundAndLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{holding: registers(0, 20)}
		delete(u.holding, 7)
		l := newFakeLine(map[byte]*fakeUnit{1: u})
		var tags []Tag
		for i := range 16 {
			tags = append(tags, tag(fmt.Sprint("t", i), fmt.Sprint("h", i)))
		}
		b := newBench(t, l, nil, dev("plc", 1, tags...))
		defer b.stop()
		b.run(900 * time.Millisecond)
		if n := len(l.requests()); n > 1+splitBudget {
			t.Errorf("%d requests in the first poll", n)
		}
		b.run(10 * time.Second)
		for i := range 16 {
			want := fmt.Sprint(i)
			if i == 7 {
				want = "bad(config)"
			}
			if got := b.last("plc", fmt.Sprint("t", i)); got != want {
				t.Errorf("t%d: %s, want %s", i, got, want)
			}
		}
		got := b.of("plc", "t7")
		if len(got) != tagStrikes || got[0] != "bad(exception:2)" {
			t.Errorf("%q", got)
		}
		if len(b.events) != 1 || b.events[0].Code != drivers.CodeTagDisabled || !strings.Contains(b.events[0].Text, "h7 (40008)") {
			t.Errorf("%+v", b.events)
		}
		l.requests()
		b.run(5 * time.Minute)
		for _, r := range l.requests() {
			if r == "1 f3 7+1" {
				t.Fatal("a disabled register was asked for")
			}
		}
		l.change(func() { u.holding[7] = 70 })
		b.run(6 * time.Minute)
		if b.last("plc", "t7") != "70" {
			t.Errorf("after ten minutes: %s", b.last("plc", "t7"))
		}
	})
}

// TestNoiseDoesNotSplitForGood: a block that was read before is whole again
// after one refusal, and nothing is lost meanwhile.
func TestNoiseDoesNotSplitForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := false
		u := &fakeUnit{holding: registers(0, 10), refuse: func(r wire.Request) byte {
			if refuse && r.Quantity > 2 {
				return 2
			}
			return 0
		}}
		l := newFakeLine(map[byte]*fakeUnit{1: u})
		b := newBench(t, l, nil, dev("plc", 1, tag("a", "h0"), tag("b", "h5")))
		defer b.stop()
		b.run(1500 * time.Millisecond)
		l.requests()
		l.change(func() { refuse = true })
		b.run(time.Second)
		l.change(func() { refuse = false })
		if got := fmt.Sprint(l.requests()); got != "[1 f3 0+6 1 f3 0+1 1 f3 5+1]" {
			t.Error(got)
		}
		b.run(time.Second)
		if got := fmt.Sprint(l.requests()); got != "[1 f3 0+6]" {
			t.Error(got)
		}
		if got := b.of("plc", "b"); slices.Contains(got, "bad(exception:2)") || len(got) != 4 {
			t.Errorf("%q", got)
		}
		l.change(func() { refuse = true })
		b.run(5 * time.Second)
		l.requests()
		b.run(time.Second)
		if got := fmt.Sprint(l.requests()); got != "[1 f3 0+1 1 f3 5+1]" {
			t.Errorf("after three refusals: %s", got)
		}
	})
}

// TestSilentHole: a device that says nothing where others refuse. What it never
// gave whole is taken apart, is remembered, and the rest is read.
func TestSilentHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{holding: registers(0, 200)}
		silent := func(r wire.Request) bool { return r.Quantity > 12 }
		l := &silentLine{fakeLine: newFakeLine(map[byte]*fakeUnit{1: u}), silent: silent}
		memory := &fakeMemory{map[string][]byte{}}
		var tags []Tag
		for i := range 20 {
			tags = append(tags, tag(fmt.Sprint("t", i), fmt.Sprint("h", i)))
		}
		d := dev("plc", 1, append(tags, tag("far", "h100"))...)
		b := newBenchLine(t, l, l.fakeLine, memory, d)
		b.run(2 * time.Minute)
		for i := range 20 {
			if got := b.last("plc", fmt.Sprint("t", i)); got != fmt.Sprint(i) {
				t.Errorf("t%d: %s", i, got)
			}
		}
		if b.last("plc", "far") != "100" || b.stats("plc").State != "online" {
			t.Errorf("%s %+v", b.last("plc", "far"), b.stats("plc"))
		}
		b.stop()
		b = newBenchLine(t, l, l.fakeLine, memory, d) // a restart
		b.run(990 * time.Millisecond)
		if b.last("plc", "t19") != "19" || b.stats("plc").Failures != 0 {
			t.Errorf("after a restart: %s %+v", b.last("plc", "t19"), b.stats("plc"))
		}
		b.stop()
	})
}

// TestSilenceDoesNotSplitWhatWasRead: a unit that dies and comes back is read
// as before.
func TestSilenceDoesNotSplitWhatWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{holding: registers(0, 200)}
		quiet := false
		l := &silentLine{fakeLine: newFakeLine(map[byte]*fakeUnit{1: u})}
		l.silent = func(r wire.Request) bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return quiet && r.Quantity > 2
		}
		b := newBenchLine(t, l, l.fakeLine, nil, dev("plc", 1, tag("a", "h0"), tag("b", "h5"), tag("far", "h100")))
		defer b.stop()
		b.run(1500 * time.Millisecond)
		l.change(func() { quiet = true })
		b.run(time.Minute)
		l.change(func() { quiet = false })
		b.run(time.Minute)
		l.requests()
		b.run(time.Second)
		if got := fmt.Sprint(l.requests()); got != "[1 f3 0+6 1 f3 100+1]" {
			t.Error(got)
		}
	})
}
