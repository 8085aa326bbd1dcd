package wire

import (
	"context"
	"math"
	"slices"
	"sync"
)

// writesInARow may pass waiting reads before one of those gets its turn.
const writesInARow = 8

// queue lets one caller at a time have the line: writes first, otherwise in
// the order of coming. The zero value is ready.
type queue struct {
	mu           sync.Mutex
	taken        bool
	writes       []chan struct{}
	reads        []chan struct{}
	writesServed int
}

// acquire waits for the line. Who gets it must release it.
func (q *queue) acquire(ctx context.Context, write bool) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	turn, err := q.join(write, maxWaiting)
	if turn == nil {
		return err
	}
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	if !q.leave(turn) {
		q.release() // the turn came at the same moment
	}
	return context.Cause(ctx)
}

// wait is acquire for who must have the line, however many others want it.
func (q *queue) wait() {
	if turn, _ := q.join(true, math.MaxInt); turn != nil {
		<-turn
	}
}

// join takes the line (no turn, no error) or a place in the queue, which is
// closed when its turn has come.
func (q *queue) join(write bool, limit int) (turn chan struct{}, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.taken {
		q.taken = true
		return nil, nil
	}
	if len(q.writes)+len(q.reads) >= limit {
		return nil, ErrBusy
	}
	turn = make(chan struct{})
	if write {
		q.writes = append(q.writes, turn)
	} else {
		q.reads = append(q.reads, turn)
	}
	return turn, nil
}

// tryAcquire takes the line if nobody has it.
func (q *queue) tryAcquire() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.taken {
		return false
	}
	q.taken = true
	return true
}

// wanted reports that somebody waits for the line.
func (q *queue) wanted() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.writes)+len(q.reads) > 0
}

// leave reports whether turn was still waiting.
func (q *queue) leave(turn chan struct{}) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, list := range []*[]chan struct{}{&q.writes, &q.reads} {
		if i := slices.Index(*list, turn); i >= 0 {
			*list = slices.Delete(*list, i, i+1)
			return true
		}
	}
	return false
}

// release hands the line to the next caller.
func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := &q.reads
	if len(q.writes) > 0 && (q.writesServed < writesInARow || len(q.reads) == 0) {
		list = &q.writes
		q.writesServed++
	} else {
		q.writesServed = 0
	}
	if len(*list) == 0 {
		q.taken = false
		return
	}
	close((*list)[0])
	*list = slices.Delete(*list, 0, 1)
}
