package broker

import (
	"context"

	"fieldgate/mqtt"
)

// Store keeps what must survive a restart: persistent sessions with their
// queues, and retained messages. The buffer implements it on disk; without one
// the broker uses its own in memory.
type Store interface {
	// Load returns all sessions and retained messages, once, before Apply.
	Load(ctx context.Context) (sessions []mqtt.SessionState, retained []mqtt.Message, err error)

	// Apply makes changes in order. With durable it returns once they are
	// committed and synced (many callers share a commit); without, they go
	// with the next commit. Calls that overlap may be applied in any order.
	// Changes to a session that is not there, because it has ended meanwhile,
	// are left out without an error.
	Apply(ctx context.Context, durable bool, changes []mqtt.StoreChange) error

	// Pending returns up to max messages of a session with a Seq above after,
	// in rising order, among those whose Apply has returned (others may appear).
	Pending(ctx context.Context, clientID string, after uint64, max int) ([]mqtt.Queued, error)

	// PendingCount is how many messages wait for a session, and their bytes.
	PendingCount(clientID string) (n int, bytes int64)
}
