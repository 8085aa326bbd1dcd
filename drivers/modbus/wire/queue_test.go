package wire

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// line up callers in a known order behind a holder, and note who is served.
func served(t *testing.T, callers ...bool) (order []int) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		var mu sync.Mutex
		if err := q.acquire(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		for i, write := range callers {
			go func() {
				if err := q.acquire(t.Context(), write); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				q.release()
			}()
			synctest.Wait()
		}
		q.release()
		synctest.Wait()
		if q.taken {
			t.Error("still taken")
		}
	})
	return order
}

func TestQueueOrder(t *testing.T) {
	const r, w = false, true
	for name, tc := range map[string]struct {
		callers []bool
		want    []int
	}{
		"reads as they come": {[]bool{r, r, r}, []int{0, 1, 2}},
		"writes pass":        {[]bool{r, r, w, w}, []int{2, 3, 0, 1}},
		"but not for ever":   {[]bool{r, w, w, w, w, w, w, w, w, w, w}, []int{1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 10}},
	} {
		if got := served(t, tc.callers...); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestQueueLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		q.acquire(t.Context(), false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.acquire(ctx, true); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		if q.tryAcquire() {
			t.Error("taken twice")
		}
		q.release()
		if !q.tryAcquire() {
			t.Error("the caller who left still has it")
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		q.acquire(t.Context(), false)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range maxWaiting {
			wg.Go(func() { q.acquire(ctx, false) })
		}
		synctest.Wait()
		if err := q.acquire(t.Context(), true); !errors.Is(err, ErrBusy) {
			t.Errorf("got %v", err)
		}
		cancel()
		wg.Wait()
	})
}

// TestQueueRace has callers come, leave and hold at random: one at a time, and
// in the end it is free.
func TestQueueRace(t *testing.T) {
	var q queue
	var wg sync.WaitGroup
	holders := 0 // guarded by q, which the race detector checks
	for i := range 50 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%7)*time.Millisecond)
			defer cancel()
			for range 20 {
				if q.acquire(ctx, i%3 == 0) != nil {
					return
				}
				if holders++; holders != 1 {
					t.Error("two holders")
				}
				holders--
				q.release()
			}
		})
	}
	wg.Wait()
	if !q.tryAcquire() {
		t.Error("not free in the end")
	}
}
