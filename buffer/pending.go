package buffer

import (
	"context"
	"fmt"

	"fieldgate/mqtt"
)

// PendingCount is how many messages wait for a session and about how many
// bytes; it touches no disk.
func (s *State) PendingCount(clientID string) (n int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.sessions[clientID]; x != nil {
		return x.n, max(x.bytes, 0)
	}
	return 0, 0
}

// Pending reads up to max messages of a session's queue with a Seq beyond
// after, in order. Reading does not remove.
func (s *State) Pending(ctx context.Context, clientID string, after uint64, max int) ([]mqtt.Queued, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.db.mu.Lock() // no commit moves entries from memory to disk meanwhile
	defer s.db.mu.Unlock()
	s.mu.Lock()
	x := s.sessions[clientID]
	closed, boot := s.closed, s.boot
	inMemory := x != nil && x.n > 0 && len(x.pend) >= x.n && len(x.gone) == 0
	s.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	if x == nil || max <= 0 {
		return nil, nil
	}
	var out []mqtt.Queued
	if !inMemory {
		var err error
		if out, err = s.storedLocked(x, after, max, boot); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range x.pend {
		if len(out) >= max {
			break
		}
		if _, gone := x.gone[c.seq]; c.seq > after && !c.dead && !gone {
			state := c.state
			if u, ok := x.upd[c.seq]; ok { // the writer has c already
				state = u
			}
			out = append(out, mqtt.Queued{Seq: c.seq, Message: *c.msg, PacketID: state.packetID, Released: state.released})
		}
	}
	return out, nil
}

// storedLocked reads from disk, less what memory knows better. The caller
// holds db.mu.
func (s *State) storedLocked(x *session, after uint64, max int, boot uint32) (out []mqtt.Queued, err error) {
	base := int64(x.sid) << sessionSeqBits
	for len(out) < max {
		n := 0
		want := max - len(out)
		var damaged []uint64
		err = s.db.queryLocked("SELECT id, state, body FROM queued WHERE id > ? AND id < ? ORDER BY id LIMIT ?", func(scan func(...any) error) error {
			var id, state int64
			var body []byte
			if err := scan(&id, &state, &body); err != nil {
				return err
			}
			n++
			seq := uint64(id & (1<<sessionSeqBits - 1))
			after = seq
			m, err := decodeMessage(body, boot)
			if err != nil {
				damaged = append(damaged, seq)
				return nil
			}
			out = append(out, mqtt.Queued{Seq: seq, Message: m, PacketID: queueStateOf(state).packetID, Released: queueStateOf(state).released})
			return nil
		}, base|int64(after), base+1<<sessionSeqBits, want)
		if err != nil {
			s.failed(err)
			return nil, fmt.Errorf("read the queue of session %q: %w", x.client, err)
		}
		out = s.overlay(x, out, damaged)
		if n < want {
			break
		}
	}
	return out, nil
}

// overlay applies what is not committed to what was read, and drops damaged
// entries from the queue.
func (s *State) overlay(x *session, out []mqtt.Queued, damaged []uint64) []mqtt.Queued {
	s.mu.Lock()
	kept := out[:0]
	for _, q := range out {
		if _, gone := x.gone[q.Seq]; gone {
			continue
		}
		if u, ok := x.upd[q.Seq]; ok {
			q.PacketID, q.Released = u.packetID, u.released
		}
		kept = append(kept, q)
	}
	for _, seq := range damaged {
		s.dequeueLocked(&mqtt.SessionSeq{ClientID: x.client, Seq: seq}, nil)
	}
	s.mu.Unlock()
	if len(damaged) > 0 {
		s.b.event(levelError, "E0722", "state.db: %d damaged messages in the queue of session %q were left out", len(damaged), x.client)
	}
	return kept
}
