package buffer

import "context"

// Alive is nil while the writer of the queue takes work, and the context's
// error when it does not within that time. It touches no disk.
func (b *Buffer) Alive(ctx context.Context) error {
	done := make(chan struct{})
	select {
	case b.calls <- func() { close(done) }:
	case <-b.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
