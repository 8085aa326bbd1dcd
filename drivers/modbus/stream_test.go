package modbus

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/drivers"
	"fieldgate/drivers/modbus/wire"
)

// streamLine is a line in simulated time whose device takes several requests
// at a time and answers each after its turn-around.
type streamLine struct {
	*fakeLine
	width int

	under, most, suspects int // requests under way; the most at a time, and of those the most to dead units
}

func (l *streamLine) Stream(ctx context.Context, next func() (wire.Request, bool), done func(int, wire.Reply, error)) {
	type end struct {
		n     int
		reply wire.Reply
		err   error
	}
	ends := make(chan end, l.width)
	dead := map[int]bool{}
	for asked := 0; ; {
		for l.under < l.width {
			r, ok := next()
			if !ok {
				break
			}
			n := asked
			asked++
			l.under++
			if u := l.units[r.Unit]; u == nil || u.isDead(l.fakeLine) {
				dead[n] = true
			}
			l.most, l.suspects = max(l.most, l.under), max(l.suspects, len(dead))
			go func() {
				reply, err := l.Do(ctx, r)
				ends <- end{n, reply, err}
			}()
		}
		if l.under == 0 {
			return
		}
		e := <-ends
		l.under--
		delete(dead, e.n)
		done(e.n, e.reply, e.err)
	}
}

// eightBlocks is a device that takes eight requests.
func eightBlocks(name string, unit int) Device {
	d := dev(name, unit)
	for i := range 8 {
		d.Tags = append(d.Tags, writable(tag(fmt.Sprint("t", i), fmt.Sprint("h", 20*i))))
	}
	return d
}

// TestSeveralAtATime: eight requests of 50 ms do not fit into a poll of 200 ms
// one after another, and do with four under way.
func TestSeveralAtATime(t *testing.T) {
	for width, overruns := range map[int]bool{1: true, 4: false, 8: false} {
		synctest.Test(t, func(t *testing.T) {
			l := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 200), turn: 50 * time.Millisecond}})
			line := &streamLine{fakeLine: l, width: width}
			d := eightBlocks("plc", 1)
			d.Poll = Poll(200 * time.Millisecond)
			b := newBenchBus(t, Bus{Name: "bus", TCP: "h", MaxInFlight: width}, line, l, nil, d)
			defer b.stop()
			b.run(10 * time.Second)
			s := b.stats("plc")
			if (s.Overruns > 0) != overruns {
				t.Errorf("%d at a time: %+v", width, s)
			}
			for i := range 8 {
				got := b.of("plc", fmt.Sprint("t", i))
				if len(got) == 0 || got[len(got)-1] != fmt.Sprint(20*i) || !overruns && len(got) < 48 {
					t.Errorf("%d at a time: t%d: %q", width, i, got)
				}
			}
			if width > 1 && line.most != width {
				t.Errorf("%d were under way at most, of %d", line.most, width)
			}
		})
	}
}

// TestNoReadPassesAWrite: with eight requests under way all the time, what is
// reported after a write is what was written.
func TestNoReadPassesAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &fakeUnit{holding: registers(0, 200), turn: 30 * time.Millisecond}
		l := newFakeLine(map[byte]*fakeUnit{1: u})
		d := eightBlocks("plc", 1)
		d.Poll = Poll(50 * time.Millisecond)
		b := newBenchBus(t, Bus{Name: "bus", TCP: "h", MaxInFlight: 8}, &streamLine{fakeLine: l, width: 8}, l, nil, d)
		defer b.stop()
		b.run(time.Second)
		for i := range 60 {
			b.run(time.Duration(7*i%50) * time.Millisecond)
			want := fmt.Sprint(5000 + i)
			if _, err := b.d.Write(t.Context(), "plc", "t3", drivers.UintValue(uint64(5000+i))); err != nil {
				t.Fatal(err)
			}
			b.forget()
			b.run(200 * time.Millisecond)
			for _, got := range b.of("plc", "t3") {
				if got != want {
					t.Fatalf("%s after %s was written", got, want)
				}
			}
		}
	})
}

// TestSilentUnitsHaveOneRequestAtATime: units behind a gateway that do not
// answer take one place, not all.
func TestSilentUnitsHaveOneRequestAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine(map[byte]*fakeUnit{7: {holding: registers(0, 200), turn: 20 * time.Millisecond}})
		line := &streamLine{fakeLine: l, width: 4}
		devices := []Device{eightBlocks("healthy", 7)}
		for i := 1; i <= 6; i++ {
			devices = append(devices, eightBlocks(fmt.Sprint("dead", i), i))
		}
		b := newBenchBus(t, Bus{Name: "bus", TCP: "h", MaxInFlight: 4}, line, l, nil, devices...)
		defer b.stop()
		b.run(10 * time.Second)
		line.suspects = 0
		b.forget()
		b.run(2 * time.Minute)
		if s := b.stats("healthy"); s.Overruns != 0 || len(b.of("healthy", "t7")) < 119 {
			t.Errorf("%+v", s)
		}
		if line.suspects > 1 {
			t.Errorf("%d requests to silent units were under way at once", line.suspects)
		}
		if s := b.stats("dead3"); s.State != "offline" {
			t.Errorf("%+v", s)
		}
	})
}

// TestCommandsGetTheLineOfABusyStream: neither reads nor writes wait for ever
// where something is always due.
func TestCommandsGetTheLineOfABusyStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine(map[byte]*fakeUnit{1: {holding: registers(0, 200), turn: 30 * time.Millisecond}})
		d := eightBlocks("plc", 1)
		d.Poll = Poll(50 * time.Millisecond) // more than the line can do
		b := newBenchBus(t, Bus{Name: "bus", TCP: "h", MaxInFlight: 4}, &streamLine{fakeLine: l, width: 4}, l, nil, d)
		defer b.stop()
		b.run(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if got, err := ReadOnce(ctx, b.d, 1, regs(t, "h5", "h100")...); err != nil || got.Values[1].Value.String() != "100" {
				t.Error(got, err)
			}
		})
		wg.Go(func() {
			if _, err := b.d.Write(ctx, "plc", "t1", drivers.UintValue(9)); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
	})
}
