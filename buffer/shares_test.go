package buffer

import (
	"context"
	"math/rand/v2"
	"testing"

	"fieldgate/configs/conf"
)

// flood appends n messages of one priority that do not compress.
func flood(t *testing.T, b *Buffer, rnd *rand.Rand, p Priority, first, n int) {
	t.Helper()
	for i := first; i < first+n; i++ {
		if err := b.Append(context.Background(), []Item{{Message: noise(rnd, i, 2000), Targets: 1, Priority: p, Durable: i%20 == 0}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.call(func() error { return b.w.flush() }); err != nil {
		t.Fatal(err)
	}
}

// stored is what an upstream has stored of each class.
func stored3(c *Cursor) [classes]int64 {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	return c.bytes
}

// TestShares: whoever floods a full queue, bulk goes first, normal messages
// keep 60 % of it even against alarms, and alarms give way to nobody else; what
// is given up is reported to the message.
func TestShares(t *testing.T) {
	const limit, slack = 1 << 20, 2 * segmentBytes
	rnd := rand.New(rand.NewPCG(1, 2))
	cfg := testConfig(memDir(t))
	cfg.MaxSize, cfg.Full = limit, FullDropOldest
	b := mustOpen(t, cfg)
	defer b.Close()
	c := upstream(t, b, "a")[0]
	total := 0
	put := func(p Priority, n int) [classes]int64 {
		t.Helper()
		flood(t, b, rnd, p, total, n)
		total += n
		s := stored3(c)
		if sum := s[0] + s[1] + s[2]; sum > limit+slack {
			t.Errorf("%d bytes are stored, max_size is %d", sum, limit)
		}
		return s
	}
	if s := put(Bulk, 800); s[2] < limit-slack {
		t.Errorf("bulk alone has %v", s)
	}
	if s := put(Normal, 800); s[2] != 0 || s[1] < limit-slack {
		t.Errorf("normal messages did not push bulk out: %v", s)
	}
	if s := put(Alarm, 800); s[1] < limit*normalShare/100-slack || s[0] < limit*(100-normalShare)/100-slack {
		t.Errorf("after a flood of alarms: %v", s)
	}
	if s := put(Normal, 1600); s[0] < limit*(100-normalShare)/100-2*slack || s[1] < limit*normalShare/100-slack {
		t.Errorf("after a flood of normal messages, which give up their own before any alarm: %v", s)
	}
	if s := put(Bulk, 800); s[0] < limit*(100-normalShare)/100-2*slack || s[1] < limit*normalShare/100-slack || s[2] > slack {
		t.Errorf("after a flood of bulk: %v", s)
	}
	got, gaps := account(t, c)
	reported := uint64(0)
	for _, g := range gaps {
		reported += g.Count
		if g.Reason != "full" {
			t.Errorf("%+v", g)
		}
	}
	if uint64(len(got))+reported != uint64(total) {
		t.Errorf("%d came and %d are reported, of %d", len(got), reported, total)
	}
}

// TestMinFree: with less than min_free on the disk the queue keeps the size it
// has, says so, and grows again when there is room.
func TestMinFree(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	cfg := testConfig(memDir(t))
	b := mustOpen(t, cfg)
	defer b.Close()
	c := upstream(t, b, "a")[0]
	flood(t, b, rnd, Normal, 0, 400)
	had := c.Stats().Bytes
	setMinFree := func(n conf.Size) {
		t.Helper()
		err := b.call(func() error {
			b.cfg.MinFree = n
			b.w.measure()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	setMinFree(1 << 50)
	if !b.Stats().LowDisk {
		t.Fatal("nobody says that the disk is nearly full")
	}
	flood(t, b, rnd, Normal, 400, 800)
	if s := c.Stats(); s.Bytes > had+2*segmentBytes || s.Bytes < had-2*segmentBytes || s.Dropped["full"] == 0 {
		t.Errorf("%d bytes were stored when the disk ran low, now %+v", had, s)
	}
	setMinFree(1)
	before := c.Stats().Dropped["full"]
	flood(t, b, rnd, Normal, 1200, 800)
	if s := c.Stats(); b.Stats().LowDisk || s.Bytes < 2*had || s.Dropped["full"] != before {
		t.Errorf("with room again: %+v", s)
	}
	got, gaps := account(t, c)
	reported := uint64(0)
	for _, g := range gaps {
		reported += g.Count
	}
	if uint64(len(got))+reported != 2000 {
		t.Errorf("%d came and %d are reported, of 2000", len(got), reported)
	}
}
