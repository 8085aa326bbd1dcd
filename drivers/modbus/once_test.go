package modbus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/drivers"
	"fieldgate/drivers/modbus/wire"
)

func regs(t *testing.T, texts ...string) []Register {
	t.Helper()
	var out []Register
	for _, text := range texts {
		r, err := ParseReg(text, Order{})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func TestReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{holding: registers(0, 50), coils: map[uint16]bool{3: true}}
		u.holding[20], u.holding[21], u.holding[30] = 0x4369, 0x2E14, 0b100
		delete(u.holding, 25)
		l := newFakeLine(map[byte]*fakeUnit{7: u})
		got, err := ReadOnce(t.Context(), l, 7, regs(t, "h20:float32", "h30.2", "h1", "c3", "h99")...)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"233.18", "true", "1", "true", "-"}
		for i, v := range got.Values {
			if v.Value.String() != want[i] || (v.Err != nil) != (i == 4) {
				t.Errorf("%s: %s %v", v.Register, v.Value, v.Err)
			}
		}
		if fmt.Sprintf("%x", got.Values[0].Raw) != "43692e14" || got.Values[3].Raw[0] != 1 || got.Values[0].At.IsZero() {
			t.Errorf("%+v", got.Values[0])
		}
		// h20 and h30 are tried together, and apart after the refusal.
		if got.Requests != 6 || got.Took < 60*time.Millisecond {
			t.Errorf("%d requests in %s: %q", got.Requests, got.Took, l.requests())
		}
		if _, err := ReadOnce(t.Context(), l, 9, regs(t, "h1")...); judge(err) != silent {
			t.Error(err)
		}
	})
}

func TestWriteOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{holding: registers(0, 50), coils: map[uint16]bool{3: false}}
		l := newFakeLine(map[byte]*fakeUnit{7: u})
		for _, c := range []struct {
			reg  string
			v    drivers.Value
			want string
		}{
			{"h1:int16", drivers.IntValue(-5), ""}, {"h2:float32@CDAB", drivers.FloatValue(1.5), ""}, {"c3", drivers.BoolValue(true), ""},
			{"h8.3", drivers.BoolValue(false), ""}, {"i1", drivers.IntValue(1), drivers.CodeNotWritable}, {"h1:uint16", drivers.IntValue(-5), drivers.CodeType},
			{"h1:uint16", drivers.StringValue("x"), drivers.CodeType}, {"h99", drivers.IntValue(1), ""},
		} {
			got, err := WriteOnce(t.Context(), l, 7, regs(t, c.reg)[0], c.v)
			if codeOf(err) != c.want || err == nil && got.ReadBack != got.Value {
				t.Errorf("%s=%s: %+v %v", c.reg, c.v, got, err)
			}
		}
		if u.holding[1] != 0xFFFB || u.holding[3] != 0x3FC0 || !u.coils[3] || u.holding[8] != 0 {
			t.Errorf("%x %x %v %x", u.holding[1], u.holding[3], u.coils[3], u.holding[8])
		}
		u.ignoreWrites = true
		if _, err := WriteOnce(t.Context(), l, 7, regs(t, "h10")[0], drivers.IntValue(99)); codeOf(err) != drivers.CodeReadBack {
			t.Error(err)
		}
	})
}

// TestCommandsDoNotStopPolling: however many commands come, groups that are due
// get their turn.
func TestCommandsDoNotStopPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 10)}})
		b := newBench(t, l, nil, dev("plc", 1, tag("a", "h0")))
		defer b.stop()
		b.run(500 * time.Millisecond)
		b.forget()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for range 2 * maxJobs {
			wg.Go(func() {
				for ctx.Err() == nil {
					if _, err := b.d.Do(ctx, wire.Request{Unit: 1, Function: 3, Address: 5, Quantity: 1}); err != nil && !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		if n := len(b.of("plc", "a")); n < 19 {
			t.Errorf("%d polls in 20 s", n)
		}
	})
}

func TestExclusiveUseOfARunningLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 10)}, 5: {holding: registers(0, 10)}})
		b := newBench(t, l, nil, dev("plc", 1, tag("a", "h0")))
		defer b.stop()
		b.run(500 * time.Millisecond)
		l.requests()
		var log []string
		err := b.d.Exclusive(t.Context(), func(ctx context.Context, line Doer) error {
			for range 3 { // longer than a poll
				if _, err := WriteOnce(ctx, line, 5, regs(t, "h3.1")[0], drivers.BoolValue(true)); err != nil {
					return err
				}
				time.Sleep(time.Second)
			}
			log = l.requests()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range log {
			if r[0] == '1' {
				t.Errorf("%s came in between", r)
			}
		}
		if reply, err := b.d.Do(t.Context(), wire.Request{Unit: 5, Function: 3, Address: 3, Quantity: 1}); err != nil || reply.Data[1] != 3 {
			t.Errorf("%v %v", reply, err)
		}
		b.run(2 * time.Second)
		if n := len(b.of("plc", "a")); n < 3 {
			t.Errorf("polling went on %d times", n)
		}
		if u, ok := b.d.Unit("plc"); !ok || u != 1 {
			t.Error(u, ok)
		}
	})
}

// TestReadHoldsUpAPollByOneRequest: commands that read register after register,
// from several users at once, come between the polls of a busy line; each poll
// begins and ends at most one request later than it would alone.
func TestReadHoldsUpAPollByOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const turn = 40 * time.Millisecond
		l := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 200), turn: turn}, 2: {holding: registers(0, 200), turn: turn}})
		one := dev("plc", 1, tag("a", "h0"), tag("b", "h50"), tag("c", "h100")) // three requests
		two := dev("meter", 2, tag("v", "h0"))
		one.Poll, two.Poll = Poll(400*time.Millisecond), Poll(400*time.Millisecond)
		b := newBench(t, l, nil, one, two)
		defer b.stop()
		b.run(2 * time.Second)
		b.forget()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		reads := 0
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				for ctx.Err() == nil {
					got, err := ReadOnce(ctx, b.d, 2, regs(t, "h10", "h60", "h110", "h160")...)
					if ctx.Err() == nil && (err != nil || got.Values[3].Value.String() != "160") {
						t.Error(err, got)
						return
					}
					l.change(func() { reads++ })
				}
			})
		}
		wg.Go(func() {
			for ctx.Err() == nil {
				if got, _, err := b.d.PollOnce(ctx, "plc"); ctx.Err() == nil && (err != nil || len(got) != 3 || got[2].Value.String() != "100") {
					t.Error(err, got)
					return
				}
			}
		})
		wg.Wait()
		b.run(time.Second)
		for _, name := range []string{"plc", "meter"} {
			s := b.stats(name)
			if s.Overruns != 0 || s.Polls < 155 {
				t.Errorf("%s: %+v", name, s)
			}
			// Alone a poll may wait for the other device's request that is under way;
			// a read adds itself, once.
			if s.DelayP99 > 3*turn+turn {
				t.Errorf("%s: polls begin up to %s late", name, s.DelayP99)
			}
		}
		if reads < 100 {
			t.Errorf("only %d reads in a minute on a line that is used by 40 %%", reads)
		}
	})
}

// TestReadsBetweenTheRequestsOfAPoll counts them: one at most, from the moment
// the poll is due until it is done.
func TestReadsBetweenTheRequestsOfAPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 300), turn: 20 * time.Millisecond}})
		b := newBench(t, l, nil, dev("plc", 1, tag("a", "h0"), tag("b", "h50"), tag("c", "h100"), tag("d", "h150")))
		defer b.stop()
		b.run(500 * time.Millisecond)
		l.requests()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for ctx.Err() == nil {
					_, _ = b.d.Do(ctx, wire.Request{Unit: 1, Function: 3, Address: 200, Quantity: 1})
				}
			})
		}
		wg.Wait()
		between, polls, in := 0, 0, false
		for _, r := range l.requests() {
			switch r {
			case "1 f3 0+1":
				in = true
			case "1 f3 150+1":
				if in {
					polls++
				}
				if between > 1 {
					t.Errorf("%d reads within one poll", between)
				}
				between, in = 0, false
			case "1 f3 200+1":
				if in {
					between++
				}
			}
		}
		if polls < 9 {
			t.Errorf("%d polls", polls)
		}
	})
}

// TestWriteIsNotFollowedByWhatWasReadBeforeIt: a value that waits for its power
// of ten, or for the rest of a poll, is not reported after a write to its tag.
func TestWriteIsNotFollowedByWhatWasReadBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{holding: registers(0, 300), turn: 50 * time.Millisecond}
		u.holding[0], u.holding[100], u.holding[200] = 10, 0, 7
		l := newFakeLine(map[byte]*fakeUnit{1: u})
		v := writable(Tag{Name: "v", Reg: "h0:int16", ScaleTag: "h200:int16"})
		u.holding[200] = 0
		b := newBench(t, l, nil, dev("plc", 1, v, tag("other", "h100")))
		defer b.stop()
		b.run(500 * time.Millisecond)
		for i := range 40 { // at every moment of a poll of three requests
			b.run(time.Duration(25+i*10)*time.Millisecond + 500*time.Millisecond)
			want := fmt.Sprint(1000 + i)
			if _, err := b.d.Write(t.Context(), "plc", "v", drivers.IntValue(int64(1000+i))); err != nil {
				t.Fatal(err)
			}
			b.forget()
			go func() { _, _, _ = b.d.PollOnce(context.Background(), "plc", "v") }()
			b.run(1500 * time.Millisecond)
			for _, got := range b.of("plc", "v") {
				if got != want && got != "bad(not_read)" {
					t.Fatalf("%s after %s was written", got, want)
				}
			}
		}
	})
}
