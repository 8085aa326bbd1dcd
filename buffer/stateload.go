package buffer

import (
	"context"
	"fmt"

	"fieldgate/mqtt"
)

// Load reads every session and retained message, for the broker's start. What
// is damaged is left out and reported.
func (s *State) Load(ctx context.Context) (sessions []mqtt.SessionState, retained []mqtt.Message, err error) {
	if err := s.flushNow(); err != nil {
		return nil, nil, err
	}
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	s.mu.Lock()
	boot := s.boot
	s.mu.Unlock()
	lost := 0
	at := map[int64]int{}
	err = s.db.queryLocked("SELECT sid, client, body FROM session ORDER BY sid", func(scan func(...any) error) error {
		var sid int64
		var client string
		var body []byte
		if err := scan(&sid, &client, &body); err != nil {
			return err
		}
		x, err := decodeSession(body, client, boot)
		if err != nil {
			lost++
			return nil
		}
		at[sid] = len(sessions)
		sessions = append(sessions, x)
		return ctx.Err()
	})
	if err == nil {
		err = s.db.queryLocked("SELECT id FROM received ORDER BY id", func(scan func(...any) error) error {
			var id int64
			if err := scan(&id); err != nil {
				return err
			}
			if i, ok := at[id>>16]; ok {
				sessions[i].Received = append(sessions[i].Received, uint16(id))
			}
			return nil
		})
	}
	if err == nil {
		err = s.db.queryLocked("SELECT sid, session, taken FROM exchange", func(scan func(...any) error) error {
			var sid, session, taken int64
			if err := scan(&sid, &session, &taken); err != nil {
				return err
			}
			if i, ok := at[sid]; ok {
				sessions[i].Exchanges, sessions[i].Taken = uint64(session), uint64(taken)
			}
			return nil
		})
	}
	if err == nil {
		err = s.db.queryLocked("SELECT body FROM retained ORDER BY topic", func(scan func(...any) error) error {
			var body []byte
			if err := scan(&body); err != nil {
				return err
			}
			m, err := decodeMessage(body, boot)
			if err != nil {
				lost++
				return nil
			}
			retained = append(retained, m)
			return ctx.Err()
		})
	}
	if err != nil {
		s.failed(err)
		return nil, nil, fmt.Errorf("load the broker's state: %w", err)
	}
	if lost > 0 {
		s.b.event(levelError, "E0722", "state.db: %d damaged sessions or retained messages were left out", lost)
	}
	return sessions, retained, nil
}
