package buffer

import (
	"math/rand/v2"
	"testing"

	"fieldgate/configs/conf"
)

// TestShelf: a shelf keeps the newest within its size under every policy, and
// what it gives up is counted.
func TestShelf(t *testing.T) {
	for _, policy := range []string{FullDropOldest, FullDropNewest, FullThin, FullBlock} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(memDir(t))
			cfg.Full, cfg.Commit = policy, conf.Duration(5e6)
			b := mustOpen(t, cfg)
			upstream(t, b, "up", "refused")
			const size = 256 << 10
			if err := b.Shelf("refused", size); err != nil {
				t.Fatal(err)
			}
			c, err := b.Cursor("refused")
			if err != nil {
				t.Fatal(err)
			}
			rnd := rand.New(rand.NewPCG(1, 2))
			const total = 600
			for n := range total {
				if err := b.Append(t.Context(), []Item{{Message: noise(rnd, n, 1000), Targets: c.Bit(), Priority: Bulk, Durable: true}}); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the shelf is within its size", func() bool { return c.Stats().Bytes <= size })
			s := c.Stats()
			if s.Messages == 0 || s.Dropped["full"]+uint64(s.Messages) != total || s.LimitBytes != size {
				t.Errorf("%+v", s)
			}
			entries, err := b.Peek(t.Context(), "refused", 0, total)
			if err != nil || len(entries) != int(s.Messages) || numberOf(entries[len(entries)-1]) != total-1 {
				t.Errorf("%d entries of %d, %v", len(entries), s.Messages, err)
			}
		})
	}
}

// TestTake: what is taken from a shelf is an upstream's again; what is left
// stays, and so does what comes meanwhile.
func TestTake(t *testing.T) {
	b := mustOpen(t, testConfig(memDir(t)))
	cs := upstream(t, b, "up", "refused")
	if err := b.Shelf("refused", 1<<20); err != nil {
		t.Fatal(err)
	}
	put := func(n int) {
		if err := b.Append(t.Context(), []Item{{Message: numbered(n), Targets: cs[1].Bit(), Priority: Bulk, Durable: true}}); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 250 {
		put(n)
	}
	more := true
	n, err := b.Take(t.Context(), "refused", func(e Entry) (Item, bool) {
		if more {
			more = false
			put(1000)
		}
		return Item{Message: e.Message, Targets: cs[0].Bit(), Priority: Normal}, numberOf(e)%2 == 0
	})
	if err != nil || n != 125 {
		t.Fatalf("%d taken, %v", n, err)
	}
	if up, left := cs[0].Stats().Messages, cs[1].Stats().Messages; up != 125 || left != 126 {
		t.Errorf("%d for the upstream, %d left", up, left)
	}
	cs[0].Mark()
	for i, e := range drain(t, cs[0], Backlog) {
		if numberOf(e) != 2*i {
			t.Fatalf("message %d is %d", i, numberOf(e))
		}
	}
	if n, err := b.Take(t.Context(), "refused", func(e Entry) (Item, bool) {
		return Item{Message: e.Message, Targets: cs[0].Bit()}, true
	}); err != nil || n != 126 {
		t.Errorf("%d taken then, %v", n, err)
	}
}
