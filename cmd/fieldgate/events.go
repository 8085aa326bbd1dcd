package main

import (
	"context"
	"log/slog"
	"sync"

	"fieldgate/buffer"
	"fieldgate/drivers"
	"fieldgate/mqtt/broker"
)

// maxEvents bounds the events that wait to be published; the newest are given
// up, for the first ones say what began. All are in the log.
const maxEvents = 32

// events carries what the queue and the broker have to say to the event topic.
// It stands between them because none may wait for another: the supervisor waits
// for the queue while a disk is full, which is when the queue has most to say.
// A damaged database is even found before there is a supervisor.
type events struct {
	wake chan struct{} // capacity 1

	mu      sync.Mutex
	super   *drivers.Supervisor
	waiting []drivers.Event
}

func newEvents() *events { return &events{wake: make(chan struct{}, 1)} }

// take is called from the queue's goroutines, which have logged the event; it
// does not block.
func (e *events) take(ev buffer.Event) { e.add(ev.Code, ev.Text, ev.Level) }

// ofBroker is take for the broker, which publishes the events in the end.
func (e *events) ofBroker(ev broker.Event) { e.add(ev.Code, ev.Text, ev.Level) }

func (e *events) add(code, text string, level slog.Level) {
	e.mu.Lock()
	if len(e.waiting) < maxEvents {
		e.waiting = append(e.waiting, drivers.Event{Code: code, Level: levelName(level), Text: text})
	}
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// publishBy names who publishes; it comes before run.
func (e *events) publishBy(super *drivers.Supervisor) { e.super = super }

// run publishes what waits and what comes, until ctx ends.
func (e *events) run(ctx context.Context) error {
	for {
		e.mu.Lock()
		ready := e.waiting
		e.waiting = nil
		e.mu.Unlock()
		for _, ev := range ready {
			e.super.Event(ev) // waits while the broker is slow
		}
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
		}
	}
}

func levelName(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "error"
	case l >= slog.LevelWarn:
		return "warn"
	}
	return "info"
}
