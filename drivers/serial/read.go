package serial

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"fieldgate/drivers"
)

var _ drivers.Reader = (*Driver)(nil)

// maxOrders is how many reads out of turn may wait.
const maxOrders = 16

// order is a read out of turn: requests to be sent now, and what came of them.
// The goroutine of Run fills it in and closes done; nobody else touches it
// before that.
type order struct {
	open []*request // still to be asked
	got  []drivers.Sample
	err  error
	done chan struct{}
}

// orders is the queue of reads out of turn. Its lock is never held while
// anything waits.
type orders struct {
	mu     sync.Mutex
	queue  []*order
	line   line // of the session that takes orders; nil: none
	reason error
}

// errNotOpen is why orders are refused before the line was ever open.
var errNotOpen = errors.New("the line is not open yet")

// Read asks the instrument now for some of its tags (none named: all), reports
// the samples as after a poll, and returns them. It ends with ctx.
func (d *Driver) Read(ctx context.Context, _ string, tags ...string) ([]drivers.Sample, error) {
	if len(d.p.requests) == 0 {
		return nil, drivers.Refuse(drivers.CodeRequest, "%s talks by itself and cannot be asked", d.p.name)
	}
	o := &order{open: d.requestsFor(tags), done: make(chan struct{})}
	if len(o.open) == 0 {
		return nil, drivers.Refuse(drivers.CodeRequest, "%s has no such tags", d.p.name)
	}
	if err := d.orders.add(o); err != nil {
		return nil, err
	}
	select {
	case <-o.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if o.err != nil {
		return nil, o.err
	}
	return slices.DeleteFunc(o.got, func(s drivers.Sample) bool {
		return len(tags) > 0 && !slices.Contains(tags, s.Tag)
	}), nil
}

// requestsFor lists the requests whose answers hold the tags. A tag that is
// not bound to one may be in the answer of any.
func (d *Driver) requestsFor(tags []string) (out []*request) {
	for _, r := range d.p.requests {
		for _, t := range d.tags {
			if (len(tags) == 0 || slices.Contains(tags, t.Name)) && t.asked(r) {
				out = append(out, r)
				break
			}
		}
	}
	return out
}

// add queues an order and wakes the session.
func (q *orders) add(o *order) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.line == nil:
		reason := q.reason
		if reason == nil {
			reason = errNotOpen
		}
		return drivers.Refuse(drivers.CodeUnavailable, "%s", reason)
	case len(q.queue) >= maxOrders:
		return drivers.Refuse(drivers.CodeBusy, "%d reads are waiting already", maxOrders)
	}
	q.queue = append(q.queue, o)
	// The session sets its deadline first and looks at the queue second, so
	// one of the two ends its wait. Where the line has just been lost the end of
	// the session refuses the order.
	_ = q.line.SetReadDeadline(time.Now())
	return nil
}

// waiting reports orders with open requests.
func (q *orders) waiting() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.queue) > 0
}

// wanted is the first request that an order waits for.
func (q *orders) wanted() *request {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		return nil
	}
	return q.queue[0].open[0]
}

// answered gives the samples of a request to all orders that wait for it.
func (q *orders) answered(r *request, samples []drivers.Sample) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = slices.DeleteFunc(q.queue, func(o *order) bool {
		if !slices.Contains(o.open, r) {
			return false
		}
		o.got = append(o.got, samples...)
		o.open = slices.DeleteFunc(o.open, func(x *request) bool { return x == r })
		if len(o.open) > 0 {
			return false
		}
		close(o.done)
		return true
	})
}

// begin lets a session take orders.
func (q *orders) begin(l line) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.line, q.reason = l, nil
}

// end refuses what waits and what comes until the next session begins.
func (q *orders) end(reason error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.line, q.reason = nil, reason
	for _, o := range q.queue {
		o.err = drivers.Refuse(drivers.CodeUnavailable, "%s", reason)
		close(o.done)
	}
	q.queue = nil
}
