package logs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
)

// text writes one line for people: time, level, message, then key=value.
type text struct {
	mu    *sync.Mutex
	w     io.Writer
	opts  Options
	attrs string
	group string
}

func newText(w io.Writer, o Options) *text {
	if o.Location == nil {
		o.Location = time.Local
	}
	return &text{mu: &sync.Mutex{}, w: w, opts: o}
}

func (h *text) Enabled(_ context.Context, l slog.Level) bool { return l >= h.opts.Level }

func (h *text) Handle(_ context.Context, r slog.Record) error {
	var b bytes.Buffer
	b.WriteString(r.Time.In(h.opts.Location).Format("15:04:05.000 "))
	level := fmt.Sprintf("%-5s ", r.Level)
	if h.opts.Color {
		level = colors[r.Level] + level + "\x1b[0m"
	}
	b.WriteString(level)
	b.WriteString(r.Message)
	b.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		appendAttr(&b, h.group, a)
		return true
	})
	b.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.w.Write(b.Bytes())
	return err
}

var colors = map[slog.Level]string{
	slog.LevelDebug: "\x1b[2m", slog.LevelInfo: "\x1b[32m", slog.LevelWarn: "\x1b[33m", slog.LevelError: "\x1b[31m",
}

func (h *text) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b bytes.Buffer
	for _, a := range attrs {
		appendAttr(&b, h.group, a)
	}
	c := *h
	c.attrs += b.String()
	return &c
}

func (h *text) WithGroup(name string) slog.Handler {
	c := *h
	c.group += name + "."
	return &c
}

func appendAttr(b *bytes.Buffer, group string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		for _, m := range v.Group() {
			appendAttr(b, group+a.Key+".", m)
		}
		return
	}
	s := v.String()
	if s == "" || strings.ContainsAny(s, " \t\r\n\"=") || strconv.Quote(s) != `"`+s+`"` && !printable(s) {
		s = strconv.Quote(s)
	}
	fmt.Fprintf(b, " %s%s=%s", group, a.Key, s)
}

func printable(s string) bool {
	for _, r := range s {
		if !strconv.IsPrint(r) {
			return false
		}
	}
	return true
}
