package logs

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// maxRepeats bounds how many different messages are remembered.
const maxRepeats = 256

// repeat passes a message on once per window and counts those that are
// identical meanwhile: same level, text and attributes. The count goes out
// with the next message that comes after the window.
type repeat struct {
	next   slog.Handler
	prefix string // of WithAttrs and WithGroup, part of what identical means
	state  *repeatState
}

type repeatState struct {
	mu     sync.Mutex
	window time.Duration
	seen   map[string]*seen
}

type seen struct {
	began  time.Time
	count  int
	record slog.Record
	next   slog.Handler
}

func newRepeat(next slog.Handler, window time.Duration) slog.Handler {
	if window <= 0 {
		return next
	}
	return &repeat{next: next, state: &repeatState{window: window, seen: map[string]*seen{}}}
}

func (h *repeat) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

func (h *repeat) Handle(ctx context.Context, r slog.Record) error {
	h.state.mu.Lock()
	defer h.state.mu.Unlock()
	h.state.sweep(ctx, r.Time)
	key := h.key(r)
	if s := h.state.seen[key]; s != nil {
		s.count++
		return nil
	}
	if len(h.state.seen) < maxRepeats {
		h.state.seen[key] = &seen{began: r.Time, record: r.Clone(), next: h.next}
	}
	return h.next.Handle(ctx, r)
}

// sweep forgets messages whose window is over and reports how often they came.
func (s *repeatState) sweep(ctx context.Context, now time.Time) {
	for key, e := range s.seen {
		age := now.Sub(e.began)
		if age >= 0 && age < s.window {
			continue
		}
		delete(s.seen, key)
		if e.count > 0 {
			r := e.record.Clone()
			r.Time = now
			r.AddAttrs(slog.Int("repeated", e.count), slog.Duration("within", age.Round(time.Second)))
			_ = e.next.Handle(ctx, r) // nowhere to report that a log cannot be written
		}
	}
}

func (h *repeat) key(r slog.Record) string {
	var b strings.Builder
	b.WriteString(h.prefix)
	b.WriteString(r.Level.String())
	b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		b.WriteByte(0)
		b.WriteString(a.String())
		return true
	})
	return b.String()
}

func (h *repeat) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.next = h.next.WithAttrs(attrs)
	for _, a := range attrs {
		c.prefix += a.String() + "\x00"
	}
	return &c
}

func (h *repeat) WithGroup(name string) slog.Handler {
	c := *h
	c.next = h.next.WithGroup(name)
	c.prefix += name + ".\x00"
	return &c
}
