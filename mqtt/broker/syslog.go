package broker

import (
	"context"
	"log/slog"
	"sync/atomic"

	"fieldgate/mqtt"
)

// maxSysLines is how many lines of the log may wait to be published; what is
// more is left out.
const maxSysLines = 64

// sysLog passes what the broker logs on to $SYS/broker/log/E, W, N and I, where
// `sys_log` asks for it: error, warning, notice, and the rest. A line is
// published by the housekeeping, for it may be logged under any lock.
type sysLog struct {
	slog.Handler             // where the log goes anyway
	lines        chan []byte // first the letter of the topic, then the text
	on           *atomic.Bool
	attrs        []slog.Attr
}

func newSysLog(next slog.Handler) *sysLog {
	return &sysLog{Handler: next, lines: make(chan []byte, maxSysLines), on: &atomic.Bool{}}
}

// Enabled implements slog.Handler.
func (h *sysLog) Enabled(ctx context.Context, level slog.Level) bool {
	return h.Handler.Enabled(ctx, level) || h.on.Load() && level >= slog.LevelInfo
}

// Handle implements slog.Handler.
func (h *sysLog) Handle(ctx context.Context, r slog.Record) error {
	if h.on.Load() && r.Level >= slog.LevelInfo {
		line := append([]byte{sysLetter(r.Level)}, r.Message...)
		put := func(a slog.Attr) bool {
			line = append(append(append(append(line, ' '), a.Key...), '='), a.Value.String()...)
			return true
		}
		for _, a := range h.attrs {
			put(a)
		}
		r.Attrs(put)
		select {
		case h.lines <- line:
		default:
		}
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *sysLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.Handler = h.Handler.WithAttrs(attrs)
	with.attrs = append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)
	return &with
}

// sysLetter is mosquitto's letter for a level. The broker's own notices, as a
// listener that begins to listen, are Info.
func sysLetter(level slog.Level) byte {
	switch {
	case level >= slog.LevelError:
		return 'E'
	case level >= slog.LevelWarn:
		return 'W'
	case level > slog.LevelInfo:
		return 'N'
	}
	return 'I'
}

// publishLog publishes a line of the log. It is not retained, and goes to
// whoever may read $SYS.
func (b *Broker) publishLog(line []byte) {
	m := mqtt.Message{Topic: "$SYS/broker/log/" + string(line[:1]), Payload: line[1:], Origin: "gateway", Kind: mqtt.KindEvent}
	if err := b.Publish(context.Background(), m); err != nil {
		b.storeFailed(err)
	}
}
