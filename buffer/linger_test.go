package buffer

import (
	"context"
	"sync"
	"testing"
	"time"
)

// TestLinger: while the upstream takes messages within milliseconds, publishers
// are answered by that and nearly nothing is written; when it stops taking
// them, publishers are answered by a commit all the same.
func TestLinger(t *testing.T) {
	b := mustOpen(t, testConfig(memDir(t)))
	c := upstream(t, b, "a")[0]
	c.Mark()
	ctx, stop := context.WithCancel(t.Context())
	var reader sync.WaitGroup
	reader.Go(func() {
		for ctx.Err() == nil {
			got, err := c.Next(Live, 0, 100, 1<<20)
			if err != nil {
				return
			}
			for _, e := range got {
				c.Ack(e.ID)
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Millisecond):
			}
		}
	})
	var publishers sync.WaitGroup
	const each = 200
	for range 8 {
		publishers.Go(func() {
			for n := range each {
				if err := b.Append(context.Background(), []Item{{Message: numbered(n), Targets: c.Bit(), Durable: true}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	publishers.Wait()
	stop()
	reader.Wait()
	if s := b.Stats(); s.Appended != 8*each {
		t.Errorf("%+v", s)
	} else if s.Elided == 0 {
		t.Error("everything was written although the upstream took it at once")
	}
	written := b.Stats().Committed
	for n := range 5 { // nobody takes them any more
		if err := b.Append(t.Context(), []Item{{Message: numbered(n), Targets: c.Bit(), Durable: true}}); err != nil {
			t.Fatal(err)
		}
	}
	if now := b.Stats().Committed; now < written+5 {
		t.Errorf("publishers were answered with %d of 5 messages written", now-written)
	}
}
