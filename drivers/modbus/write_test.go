package modbus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/drivers"
	"fieldgate/drivers/modbus/wire"
)

func writable(t Tag) Tag { t.Write = &Write{}; return t }

func codeOf(err error) string {
	var refused *drivers.CommandError
	if errors.As(err, &refused) {
		return refused.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestWrites(t *testing.T) {
	f32 := func(v float32) drivers.Value { return drivers.Float32Value(v) }
	for _, c := range []struct {
		name     string
		tag      Tag
		v        drivers.Value
		requests string
		shows    drivers.Value
		check    func(u *fakeUnit) string
	}{
		{"one register", Tag{Reg: "h1:int16", Scale: ptr(0.1)}, drivers.FloatValue(72.5), "[1 f6 1+1 1 f3 1+1]", drivers.FloatValue(72.5),
			func(u *fakeUnit) string { return fmt.Sprint(u.holding[1]) + "=725" }},
		{"rounded to the raw type", Tag{Reg: "h1:int16", Scale: ptr(0.1)}, drivers.FloatValue(72.56), "[1 f6 1+1 1 f3 1+1]", drivers.FloatValue(72.6), nil},
		{"float in two", Tag{Reg: "h2:float32@CDAB"}, drivers.FloatValue(233.18), "[1 f16 2+2 1 f3 2+2]", f32(233.18),
			func(u *fakeUnit) string { return fmt.Sprintf("%04X %04X=2E14 4369", u.holding[2], u.holding[3]) }},
		{"64 bit", Tag{Reg: "h4:uint64"}, drivers.UintValue(1<<63 + 1), "[1 f16 4+4 1 f3 4+4]", drivers.UintValue(1<<63 + 1), nil},
		{"coil", Tag{Reg: "c3"}, drivers.BoolValue(true), "[1 f5 3+1 1 f1 3+1]", drivers.BoolValue(true),
			func(u *fakeUnit) string { return fmt.Sprint(u.coils[3]) + "=true" }},
		{"a bit keeps the other 15", Tag{Reg: "h5.3"}, drivers.BoolValue(true), "[1 f3 5+1 1 f6 5+1 1 f3 5+1]", drivers.BoolValue(true),
			func(u *fakeUnit) string { return fmt.Sprintf("%04X=F0FD", u.holding[5]) }},
		{"a bit down", Tag{Reg: "h5.15"}, drivers.BoolValue(false), "[1 f3 5+1 1 f6 5+1 1 f3 5+1]", drivers.BoolValue(false),
			func(u *fakeUnit) string { return fmt.Sprintf("%04X=70F5", u.holding[5]) }},
		{"some bits", Tag{Reg: "h5", Bits: "4..7"}, drivers.IntValue(9), "[1 f3 5+1 1 f6 5+1 1 f3 5+1]", drivers.UintValue(9),
			func(u *fakeUnit) string { return fmt.Sprintf("%04X=F095", u.holding[5]) }},
		{"a bit of 32", Tag{Reg: "h5.16:uint32@CDAB"}, drivers.BoolValue(true), "[1 f3 5+2 1 f16 5+2 1 f3 5+2]", drivers.BoolValue(true),
			func(u *fakeUnit) string { return fmt.Sprintf("%04X %04X=F0F5 0007", u.holding[5], u.holding[6]) }},
		{"high byte", Tag{Reg: "h5:u8h"}, drivers.IntValue(0x12), "[1 f3 5+1 1 f6 5+1 1 f3 5+1]", drivers.UintValue(0x12),
			func(u *fakeUnit) string { return fmt.Sprintf("%04X=12F5", u.holding[5]) }},
		{"low byte, signed", Tag{Reg: "h5:i8l"}, drivers.IntValue(-1), "[1 f3 5+1 1 f6 5+1 1 f3 5+1]", drivers.IntValue(-1),
			func(u *fakeUnit) string { return fmt.Sprintf("%04X=F0FF", u.holding[5]) }},
		{"enum", Tag{Reg: "h1", Enum: map[string]any{"0": "off", "2": "auto"}}, drivers.StringValue("auto"), "[1 f6 1+1 1 f3 1+1]", drivers.StringValue("auto"), nil},
		{"text", Tag{Reg: "h1:string4"}, drivers.StringValue("AB"), "[1 f16 1+2 1 f3 1+2]", drivers.StringValue("AB"), nil},
		{"power of ten", Tag{Reg: "h1:int16", ScaleTag: "h7"}, drivers.FloatValue(23.45), "[1 f3 7+1 1 f6 1+1 1 f3 1+1]", drivers.FloatValue(23.45),
			func(u *fakeUnit) string { return fmt.Sprint(u.holding[1]) + "=2345" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := &fakeUnit{holding: registers(0, 20), coils: map[uint16]bool{3: false}}
				u.holding[5], u.holding[6], u.holding[7] = 0xF0F5, 6, 0xFFFE
				c.tag.Name = "x"
				l := newFakeLine(map[byte]*fakeUnit{1: u})
				b := newBench(t, l, nil, dev("plc", 1, writable(c.tag)))
				defer b.stop()
				b.run(100 * time.Millisecond)
				b.forget()
				got, err := b.d.Write(t.Context(), "plc", "x", c.v)
				if err != nil || got.Value != c.shows || got.ReadBack != c.shows || got.Took <= 0 {
					t.Errorf("%+v %v, want %s", got, err, c.shows)
				}
				if r := fmt.Sprint(l.requests()); r != c.requests {
					t.Errorf("%s, want %s", r, c.requests)
				}
				if c.check != nil {
					if is, want, _ := strings.Cut(c.check(u), "="); is != want {
						t.Errorf("%s, want %s", is, want)
					}
				}
				if b.last("plc", "x") != c.shows.String() {
					t.Errorf("reported %q, want the read-back %s", b.of("plc", "x"), c.shows)
				}
			})
		})
	}
}

func TestH51WriteFailures(t *testing.T) {
	for _, c := range []struct {
		name string
		unit func(u *fakeUnit)
		v    drivers.Value
		want string
	}{
		{"device limits the value", func(u *fakeUnit) { u.ignoreWrites = true }, drivers.IntValue(9), drivers.CodeReadBack},
		{"exception", func(u *fakeUnit) {
			u.refuse = func(r wire.Request) byte {
				if r.Function == 6 {
					return 3
				}
				return 0
			}
		}, drivers.IntValue(9), drivers.CodeException},
		{"no answer", func(u *fakeUnit) { u.dead = true }, drivers.IntValue(9), drivers.CodeNoAnswer},
		{"answer lost, but written", func(u *fakeUnit) { u.lostWrites = true }, drivers.IntValue(9), ""},
		{"does not fit", func(*fakeUnit) {}, drivers.IntValue(70000), drivers.CodeType},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := &fakeUnit{holding: registers(0, 4)}
				l := newFakeLine(map[byte]*fakeUnit{1: u})
				b := newBench(t, l, nil, dev("plc", 1, writable(tag("x", "h1"))))
				defer b.stop()
				b.run(100 * time.Millisecond)
				l.change(func() { c.unit(u) })
				got, err := b.d.Write(t.Context(), "plc", "x", c.v)
				if codeOf(err) != c.want {
					t.Errorf("%+v %v, want %q", got, err, c.want)
				}
				if c.want == drivers.CodeReadBack && (got.ReadBack != drivers.UintValue(1) || got.Value != drivers.UintValue(9)) {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

func TestWriteOfWhatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 4)}})
		off := dev("off", 2, writable(tag("x", "h1")))
		off.Disabled = true
		b := newBench(t, l, nil, dev("plc", 1, tag("x", "h1")), off)
		b.run(10 * time.Millisecond)
		for _, c := range []struct{ device, tag, want string }{
			{"plc", "x", drivers.CodeNotWritable}, {"plc", "y", drivers.CodeNotWritable}, {"no", "x", drivers.CodeNotWritable}, {"off", "x", drivers.CodeUnavailable},
		} {
			if _, err := b.d.Write(t.Context(), c.device, c.tag, drivers.IntValue(1)); codeOf(err) != c.want {
				t.Errorf("%s/%s: %v", c.device, c.tag, err)
			}
		}
		b.stop()
		if _, err := b.d.Read(t.Context(), "plc"); codeOf(err) != drivers.CodeUnavailable {
			t.Errorf("after the end: %v", err)
		}
	})
}

// TestFC6Refused: a device that knows function 16 only is asked with it from
// then on.
func TestFC6Refused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{holding: registers(0, 4), coils: map[uint16]bool{1: false}, refuse: func(r wire.Request) byte {
			if r.Function == 6 || r.Function == 5 {
				return wire.IllegalFunction
			}
			return 0
		}}
		l := newFakeLine(map[byte]*fakeUnit{1: u})
		b := newBench(t, l, nil, dev("plc", 1, writable(tag("x", "h1")), writable(tag("c", "c1"))))
		defer b.stop()
		b.run(100 * time.Millisecond)
		l.requests()
		for _, c := range []struct{ tag, want string }{
			{"x", "[1 f6 1+1 1 f16 1+1 1 f3 1+1]"}, {"x", "[1 f16 1+1 1 f3 1+1]"},
			{"c", "[1 f5 1+1 1 f15 1+1 1 f1 1+1]"}, {"c", "[1 f15 1+1 1 f1 1+1]"},
		} {
			if _, err := b.d.Write(t.Context(), "plc", c.tag, drivers.IntValue(1)); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(l.requests()); got != c.want {
				t.Errorf("%s: %s, want %s", c.tag, got, c.want)
			}
		}
	})
}

// TestNoFlipBack: what was read before a write is never reported after it.
func TestNoFlipBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{holding: registers(0, 200), turn: 40 * time.Millisecond}
		u.holding[0] = 1
		l := newFakeLine(map[byte]*fakeUnit{1: u})
		b := newBench(t, l, nil, dev("plc", 1, every(200*time.Millisecond, writable(tag("x", "h0"))), every(200*time.Millisecond, tag("y", "h100")), every(200*time.Millisecond, tag("z", "h150"))))
		defer b.stop()
		b.run(time.Second)
		for i := range 50 {
			b.run(time.Duration(7*i%200) * time.Millisecond) // at any moment of a poll
			b.forget()
			v := drivers.UintValue(uint64(2 + i))
			if _, err := b.d.Write(t.Context(), "plc", "x", v); err != nil {
				t.Fatal(err)
			}
			b.run(450 * time.Millisecond)
			seen := false
			for _, s := range b.of("plc", "x") {
				switch {
				case s == v.String():
					seen = true
				case seen:
					t.Fatalf("write %d: %q flips back", i, b.of("plc", "x"))
				}
			}
			if !seen {
				t.Fatalf("write %d was never reported", i)
			}
		}
	})
}

// TestWritesComeFirst: on a line that is never idle a write waits for one
// request, not for the poll.
func TestWritesComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 2000), turn: 50 * time.Millisecond}})
		var tags []Tag
		for i := range 40 {
			tags = append(tags, tag(fmt.Sprint("t", i), fmt.Sprint("h", i*50)))
		}
		tags[0].Write = &Write{}
		b := newBench(t, l, nil, dev("plc", 1, tags...))
		defer b.stop()
		b.run(3 * time.Second)
		for range 10 {
			started := time.Now()
			if _, err := b.d.Write(t.Context(), "plc", "t0", drivers.IntValue(7)); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(started); took > 150*time.Millisecond {
				t.Errorf("a write of two requests took %s", took)
			}
			b.run(333 * time.Millisecond)
		}
	})
}

func TestWriteEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine(map[byte]*fakeUnit{1: {dead: true}})
		l.timeout = time.Minute
		b := newBench(t, l, nil, dev("plc", 1, writable(tag("x", "h1"))))
		defer b.stop()
		b.run(time.Second) // the poll waits for its answer
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		started := time.Now()
		_, err := b.d.Write(ctx, "plc", "x", drivers.IntValue(1))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(started) != 2*time.Second {
			t.Errorf("%v after %s", err, time.Since(started))
		}
		b.run(2 * time.Minute)
		for _, r := range l.requests() {
			if strings.Contains(r, "f6") {
				t.Error("a write whose time was over reached the line")
			}
		}
	})
}

func TestVerifyOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 4)}})
		x := tag("x", "h1")
		x.Write = &Write{Verify: ptr(false)}
		b := newBench(t, l, nil, dev("plc", 1, x))
		defer b.stop()
		b.run(100 * time.Millisecond)
		l.requests()
		got, err := b.d.Write(t.Context(), "plc", "x", drivers.IntValue(7))
		if r := fmt.Sprint(l.requests()); err != nil || !got.ReadBack.IsNull() || got.Value != drivers.UintValue(7) || r != "[1 f6 1+1]" {
			t.Errorf("%+v %v %s", got, err, r)
		}
	})
}

func TestReadNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{holding: registers(0, 50)}
		l := newFakeLine(map[byte]*fakeUnit{1: u})
		d := dev("plc", 1, tag("a", "h1"), tag("b", "h40"), Tag{Name: "w", Reg: "h5:int16", ScaleTag: "h6"}, tag("gone", "h99"))
		d.Poll = Poll(time.Hour)
		b := newBench(t, l, nil, d)
		defer b.stop()
		b.run(time.Second)
		b.forget()
		l.change(func() { u.holding[1], u.holding[5], u.holding[6] = 11, 55, 0xFFFF })
		got, err := b.d.Read(t.Context(), "plc", "a", "w")
		if err != nil || len(got) != 2 || got[0].Value != drivers.UintValue(11) || got[1].Value != drivers.FloatValue(5.5) {
			t.Errorf("%+v %v", got, err)
		}
		if b.last("plc", "a") != "11" {
			t.Error("a read out of turn is reported like any other")
		}
		samples, requests, err := b.d.PollOnce(t.Context(), "plc")
		if err != nil || len(samples) != 4 || len(requests) != 3 {
			t.Fatalf("%+v %+v %v", samples, requests, err)
		}
		if r := requests[0]; r.First.Wire() != "h1" || r.Count != 6 || r.Took < 10*time.Millisecond || fmt.Sprint(r.Tags) != "[a w]" {
			t.Errorf("%+v", r)
		}
		if _, err := b.d.Read(t.Context(), "plc", "nope"); codeOf(err) != drivers.CodeRequest {
			t.Error(err)
		}
		l.change(func() { u.dead = true })
		if _, err := b.d.Read(t.Context(), "plc"); codeOf(err) != drivers.CodeNoAnswer {
			t.Error(err)
		}
	})
}
