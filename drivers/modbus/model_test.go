package modbus

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/configs/conf"
	"fieldgate/drivers"
	"fieldgate/drivers/modbus/wire"
)

// TestNeverAWrongValue lets everything fail at random for some minutes of
// simulated time: units die, refuse, answer something else, the line goes away,
// while tags are written. Every register holds its own address until a write
// changes it, so each good value can be checked.
func TestNeverAWrongValue(t *testing.T) {
	seeds := modelSeeds
	if os.Getenv("FIELDGATE_LONG") != "" {
		seeds = modelSeedsLong
	}
	for seed := range uint64(seeds) {
		width := 1 + 3*int(seed%2) // one request at a time, or four
		t.Run(fmt.Sprintf("%d at a time, seed %d", width, seed), func(t *testing.T) { neverAWrongValue(t, seed, width) })
	}
}

// How many histories a test run simulates.
const (
	modelSeeds     = 2
	modelSeedsLong = 20
)

func neverAWrongValue(t *testing.T, seed uint64, width int) {
	const units, tags = 4, 12
	span := 4 * time.Minute
	if os.Getenv("FIELDGATE_LONG") != "" {
		span = 10 * time.Minute
	}
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 1))
		faults := rand.New(rand.NewPCG(seed, 2)) // used with the line's lock held
		l := newFakeLine(map[byte]*fakeUnit{})
		refuse, misfit := 0, 0
		var devices []Device
		for u := 1; u <= units; u++ {
			l.units[byte(u)] = &fakeUnit{
				holding: registers(0, 100),
				refuse: func(wire.Request) byte {
					if faults.IntN(100) < refuse {
						return []byte{1, 2, 3, 4, 6, 10, 11, 99}[faults.IntN(8)]
					}
					return 0
				},
				misfit: func(wire.Request) bool { return faults.IntN(100) < misfit },
			}
			d := Device{Name: fmt.Sprint("m", u), Unit: u, Poll: Poll(time.Second), Offline: Offline{BackoffMax: conf.Duration(10 * time.Second)}}
			for i := range tags {
				one := writable(tag(fmt.Sprint("t", i), fmt.Sprint("h", 7*i)))
				one.Poll = Poll([]time.Duration{200 * time.Millisecond, time.Second, 5 * time.Second}[i%3])
				d.Tags = append(d.Tags, one)
			}
			devices = append(devices, d)
		}
		b := newBenchBus(t, Bus{Name: "bus", TCP: "h", MaxInFlight: width}, &streamLine{fakeLine: l, width: width}, l, &fakeMemory{map[string][]byte{}}, devices...)
		value := map[string]uint64{} // what a write has made of a tag
		for end := time.Now().Add(span); time.Now().Before(end); {
			b.run(time.Duration(r.IntN(20000)) * time.Millisecond)
			l.change(func() {
				refuse, misfit = r.IntN(2)*r.IntN(30), r.IntN(2)*r.IntN(20)
				l.gone = r.IntN(10) == 0
				l.units[byte(1+r.IntN(units))].dead = r.IntN(3) == 0
			})
			device, name := fmt.Sprint("m", 1+r.IntN(units)), fmt.Sprint("t", r.IntN(tags))
			got, err := b.d.Write(t.Context(), device, name, drivers.UintValue(uint64(r.IntN(60000))))
			if value[device+name] = unknown; err == nil {
				value[device+name], _ = got.ReadBack.Uint()
			}
			checkModel(t, b, value)
		}
		l.change(func() {
			l.gone, refuse, misfit = false, 0, 0
			for _, u := range l.units {
				u.dead = false
			}
		})
		b.run(15 * time.Minute) // the longest that anything is left alone, and a poll
		b.forget()
		b.run(10 * time.Second)
		for u := 1; u <= units; u++ {
			for i := range tags {
				if got := b.of(fmt.Sprint("m", u), fmt.Sprint("t", i)); len(got) == 0 || got[len(got)-1][0] == 'b' {
					t.Errorf("m%d/t%d has not recovered: %q", u, i, got)
				}
			}
		}
		b.stop()
	})
}

// unknown stands for a tag of which a write failed: it may have been done or not.
const unknown = 1 << 20

// checkModel checks what was reported since the last look.
func checkModel(t *testing.T, b *bench, value map[string]uint64) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	newest := map[string]clock.Stamp{}
	last := map[string]uint64{}
	for _, s := range b.samples {
		key := s.Device + s.Tag
		if s.Quality != drivers.Good {
			if !s.Value.IsNull() || s.Reason == "" {
				t.Fatalf("%+v", s)
			}
			continue
		}
		if s.Time.Before(newest[key]) {
			t.Fatalf("%s goes back in time", key)
		}
		newest[key] = s.Time
		last[key], _ = s.Value.Uint()
	}
	// The newest good value of a tag is what was written last, or its address.
	for key, got := range last {
		want, written := value[key]
		if !written {
			var unit, n uint64
			if _, err := fmt.Sscanf(key, "m%dt%d", &unit, &n); err != nil {
				t.Fatal(err)
			}
			want = 7 * n
		}
		if want != unknown && got != want {
			t.Fatalf("%s is %d, reported as %d with quality good", key, want, got)
		}
	}
	b.samples = b.samples[:0]
}
