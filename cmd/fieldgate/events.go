package main

import (
	"context"
	"log/slog"
	"sync"

	"fieldgate/buffer"
	"fieldgate/drivers"
)

// maxEarly bounds the events kept until they can be published.
const maxEarly = 32

// events carries what the queue has to say to the event topic. A damaged
// database is found before there is a broker to tell: such events wait.
type events struct {
	log *slog.Logger

	mu    sync.Mutex
	super *drivers.Supervisor
	early []drivers.Event
}

// take is called from the queue's goroutines; it does not block.
func (e *events) take(ev buffer.Event) {
	e.log.Log(context.Background(), ev.Level, ev.Text, "code", ev.Code)
	out := drivers.Event{Code: ev.Code, Level: levelName(ev.Level), Text: ev.Text}
	e.mu.Lock()
	super := e.super
	if super == nil && len(e.early) < maxEarly {
		e.early = append(e.early, out)
	}
	e.mu.Unlock()
	if super != nil {
		super.Event(out)
	}
}

// publishBy names who publishes, and hands over what waits.
func (e *events) publishBy(super *drivers.Supervisor) {
	e.mu.Lock()
	e.super = super
	early := e.early
	e.early = nil
	e.mu.Unlock()
	for _, ev := range early {
		super.Event(ev)
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
