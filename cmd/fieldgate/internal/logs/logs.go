// Package logs chooses where the log goes and keeps it short: journal fields
// under systemd, text on a terminal, JSON elsewhere; identical messages are
// counted, not repeated.
package logs

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"golang.org/x/term"
)

// Options are the [log] section, resolved.
type Options struct {
	Level    slog.Level
	Format   string        // auto, journal, text or json; empty is auto
	Repeat   time.Duration // identical messages within this time are counted
	Location *time.Location
	Color    bool // text with colours
}

// New makes a logger that writes to w, or to the journal when this process was
// started by systemd and the format is auto or journal.
func New(w io.Writer, o Options) *slog.Logger {
	return slog.New(newRepeat(handler(w, o), o.Repeat))
}

// ParseLevel reads debug, info, warn or error; empty is info.
func ParseLevel(name string) (slog.Level, error) {
	var l slog.Level
	if name == "" {
		return l, nil
	}
	if err := l.UnmarshalText([]byte(name)); err != nil {
		return 0, fmt.Errorf("log level %q: one of debug, info, warn, error", name)
	}
	return l, nil
}

func handler(w io.Writer, o Options) slog.Handler {
	opts := &slog.HandlerOptions{Level: o.Level, ReplaceAttr: readable}
	switch o.Format {
	case "json":
		return slog.NewJSONHandler(w, opts)
	case "text":
		return newText(w, o)
	case "journal":
		if journal.Enabled() { // else every line would be lost
			return newJournal(o.Level)
		}
	}
	if onJournal() {
		return newJournal(o.Level)
	}
	if f, ok := w.(*os.File); ok && !term.IsTerminal(int(f.Fd())) {
		return slog.NewJSONHandler(w, opts)
	}
	return newText(w, o)
}

// readable writes lengths of time and addresses as people write them, where
// JSON would show nanoseconds and the fields of a struct.
func readable(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value.Any().(type) {
	case time.Duration:
		return slog.String(a.Key, v.String())
	case fmt.Stringer:
		if _, isTime := v.(time.Time); !isTime {
			return slog.String(a.Key, v.String())
		}
	}
	return a
}

// onJournal reports that stderr is the journal's socket, as systemd says by
// JOURNAL_STREAM.
func onJournal() bool {
	ok, err := journal.StderrIsJournalStream()
	return err == nil && ok && journal.Enabled()
}
