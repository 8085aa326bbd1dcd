package drivers

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"fieldgate/mqtt"
)

// outbox stands between the drivers and the broker, whose Publish may wait for
// the disk. Batches leave in the order they came. A full outbox makes the
// reporter wait: polls are then late and counted, but no sample is lost
// silently.
type outbox struct {
	broker  Broker
	log     *slog.Logger
	batches chan []mqtt.Message
	failed  atomic.Uint64 // messages
	failing bool          // of run's goroutine: the last Publish failed

	closing sync.Once
	end     chan struct{} // closed: no more batches, publish the rest
	gone    chan struct{} // closed: run has returned

	ctx    context.Context // of Publish; ends drainTimeout after hurry
	cancel context.CancelFunc
}

func newOutbox(b Broker, log *slog.Logger) *outbox {
	o := &outbox{broker: b, log: log, batches: make(chan []mqtt.Message, outboxBatches), end: make(chan struct{}), gone: make(chan struct{})}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	return o
}

// send hands over a batch; it is refused only after close.
func (o *outbox) send(batch []mqtt.Message) bool {
	select {
	case <-o.end:
		return false
	case <-o.gone:
		return false
	default:
	}
	select {
	case o.batches <- batch:
		return true
	case <-o.end:
		return false
	case <-o.gone:
		return false
	}
}

// hurry bounds the time for what is still to be published: a broker that
// hangs must not hold up the end. The caller stops the timer.
func (o *outbox) hurry() *time.Timer { return time.AfterFunc(drainTimeout, o.cancel) }

// close lets run publish what is left and return.
func (o *outbox) close() { o.closing.Do(func() { close(o.end) }) }

func (o *outbox) run() {
	defer close(o.gone)
	defer o.cancel()
	for {
		select {
		case batch := <-o.batches:
			o.publish(batch)
		case <-o.end:
			for {
				select {
				case batch := <-o.batches:
					o.publish(batch)
				default:
					return
				}
			}
		}
	}
}

// publish counts failures and logs the first of a series: the broker refuses
// only while it ends or its disk fails.
func (o *outbox) publish(batch []mqtt.Message) {
	err := o.broker.Publish(o.ctx, batch...)
	switch {
	case err == nil:
		o.failing = false
		return
	case !o.failing:
		o.failing = true
		o.log.Error("publish to the local broker", "code", CodePublishFailed, "messages", len(batch), "error", err)
	}
	o.failed.Add(uint64(len(batch)))
}
