package broker

import (
	"fmt"
	"log/slog"
)

// Event is something about the broker that a person should hear of.
type Event struct {
	Code  string     // "W0519"; stable
	Level slog.Level // Warn or Error
	Text  string     // what happened, and what helps
}

// tell logs an event and hands it on. It does not wait.
func (b *Broker) tell(ev Event, attrs ...any) {
	b.log.Log(b.life, ev.Level, ev.Text, append([]any{"code", ev.Code}, attrs...)...)
	if b.events != nil {
		b.events(ev)
	}
}

// fight is two clients with one client id, each of which throws the other out.
func fight(id, old, new string) Event {
	return Event{"W0519", slog.LevelWarn, fmt.Sprintf("two clients fight for the client id %q, from %s and from %s; give each its own", id, old, new)}
}
