package buffer

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// salvageLocked fills a new state.db from the newest copies of the pages of a
// damaged one: every session, queued message and retained message whose
// checksum is right. It returns how many rows that is.
func (s *State) salvageLocked(name string) (rows int, err error) {
	pages, err := openPages(name)
	if err != nil {
		return 0, err
	}
	defer pages.close()
	err = s.db.txLocked(func() error {
		n := 0
		var fail error
		err := pages.latest(func(page []byte) error {
			pages.rows(page, func(id int64, record []byte) {
				cols, ok := columns(record)
				if !ok || fail != nil {
					return
				}
				put, err := s.putBackLocked(id, cols)
				fail = err
				if put {
					n++
				}
			})
			return fail
		})
		if err != nil {
			return err
		}
		rows = n
		return errors.Join(
			s.db.execLocked("DELETE FROM received WHERE id >> 16 NOT IN (SELECT sid FROM session)"),
			s.db.execLocked("DELETE FROM queued WHERE id >> 40 NOT IN (SELECT sid FROM session)"),
			s.db.execLocked(`UPDATE session SET
				n = (SELECT count(*) FROM queued WHERE id >= sid << 40 AND id < (sid + 1) << 40),
				bytes = (SELECT coalesce(sum(size), 0) FROM queued WHERE id >= sid << 40 AND id < (sid + 1) << 40)`))
	})
	if err != nil {
		return 0, err
	}
	return rows, os.WriteFile(name+salvageDone, fmt.Appendf(nil, "%d rows\n", rows), 0o600)
}

// putBackLocked recognises a row by its shape and its checksum.
func (s *State) putBackLocked(id int64, cols [][]byte) (bool, error) {
	switch {
	case len(cols) == 5 && id > 0: // session(sid, client, n, bytes, body)
		client := string(cols[1])
		if _, err := decodeSession(cols[4], client, 0); err != nil || id >= maxSessions {
			return false, nil
		}
		return true, s.db.execLocked("INSERT OR IGNORE INTO session(sid, client, n, bytes, body) VALUES(?, ?, 0, 0, ?)", id, client, cols[4])
	case len(cols) == 4 && id > 0: // queued(id, size, state, body)
		if _, err := decodeMessage(cols[3], 0); err != nil {
			return false, nil
		}
		return true, s.db.execLocked("INSERT OR IGNORE INTO queued(id, size, state, body) VALUES(?, ?, 0, ?)", id, len(cols[3]), cols[3])
	case len(cols) == 1 && id > 1<<16: // received(id)
		return false, s.db.execLocked("INSERT OR IGNORE INTO received(id) VALUES(?)", id)
	case len(cols) == 2 && id == 0:
		key := string(cols[0])
		if m, err := decodeMessage(cols[1], 0); err == nil && m.Topic == key {
			return true, s.db.execLocked("INSERT OR IGNORE INTO retained(topic, body) VALUES(?, ?)", key, cols[1])
		}
		if strings.HasPrefix(key, "s:") || key == keyBoots || key == keyEpoch || key == keyNames || key == keyMark {
			return true, s.db.execLocked("INSERT OR IGNORE INTO kv(k, v) VALUES(?, ?)", key, cols[1])
		}
	}
	return false, nil
}
