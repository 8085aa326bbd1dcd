package logs

import (
	"context"
	"log/slog"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
)

// native sends journal fields, so that `journalctl FIELDGATE_DEVICE=boiler2
// -p warning` works.
type native struct {
	level  slog.Level
	fields map[string]string
	text   string
	group  string
}

func newJournal(level slog.Level) *native {
	return &native{level: level, fields: map[string]string{"SYSLOG_IDENTIFIER": "fieldgate"}}
}

func (h *native) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h *native) Handle(_ context.Context, r slog.Record) error {
	c := h.clone()
	r.Attrs(func(a slog.Attr) bool {
		c.add(a)
		return true
	})
	return journal.Send(r.Message+c.text, priority(r.Level), c.fields)
}

func priority(l slog.Level) journal.Priority {
	switch {
	case l >= slog.LevelError:
		return journal.PriErr
	case l >= slog.LevelWarn:
		return journal.PriWarning
	case l >= slog.LevelInfo:
		return journal.PriInfo
	}
	return journal.PriDebug
}

func (h *native) clone() *native {
	c := *h
	c.fields = make(map[string]string, len(h.fields)+4)
	for k, v := range h.fields {
		c.fields[k] = v
	}
	return &c
}

func (h *native) add(a slog.Attr) {
	v := a.Value.Resolve().String()
	h.text += " " + h.group + a.Key + "=" + v
	h.fields[fieldName(h.group+a.Key)] = v
}

// fieldName is a journal field: capitals, digits and underscores.
func fieldName(key string) string {
	return "FIELDGATE_" + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
}

func (h *native) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := h.clone()
	for _, a := range attrs {
		c.add(a)
	}
	return c
}

func (h *native) WithGroup(name string) slog.Handler {
	c := h.clone()
	c.group += name + "."
	return c
}
