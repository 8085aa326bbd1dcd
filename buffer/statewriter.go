package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

const (
	keyBoots = "boots"
	keyEpoch = "epoch"
	keyNames = "upstreams"
)

// openState opens state.db and starts its writer. Damage leads to a new file.
func openState(path string, b *Buffer) (*State, error) {
	s := &State{
		b: b, urgent: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
		sessions: make(map[string]*session), retained: make(map[string]*change),
	}
	s.db.path = path
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	err := checkLog(path)
	if err == nil {
		err = s.openCheckedLocked()
	}
	if isDamage(err) {
		err = s.replaceLocked(err)
	}
	if err != nil {
		s.db.closeLocked()
		return nil, fmt.Errorf("open the broker's state: %w", err)
	}
	go s.run()
	return s, nil
}

func (s *State) openCheckedLocked() error {
	if err := s.db.openLocked(stateSchema); err != nil {
		return err
	}
	if err := s.db.emptyLogLocked(); err != nil {
		return err
	}
	if fileSize(s.db.path) <= checkUpTo {
		if err := s.db.checkLocked(); err != nil {
			return err
		}
	}
	return s.readIndexLocked()
}

// readIndexLocked reads what memory keeps: the sessions' counters, the epoch
// and the boots.
func (s *State) readIndexLocked() error {
	err := s.db.queryLocked("SELECT k, v FROM kv WHERE k IN (?, ?, ?, ?)", func(scan func(...any) error) error {
		var k string
		var v []byte
		if err := scan(&k, &v); err != nil {
			return err
		}
		switch k {
		case keyBoots:
			s.boots = decodeBoots(v)
		case keyNames:
			s.names = v
		case keyMark:
			s.mark = v
		case keyEpoch:
			if n, used := binary.Uvarint(v); used > 0 && n <= maxEpoch {
				s.epoch = uint32(n)
			}
		}
		return nil
	}, keyBoots, keyEpoch, keyNames, keyMark)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.db.queryLocked("SELECT sid, client, n, bytes FROM session", func(scan func(...any) error) error {
		var x session
		if err := scan(&x.sid, &x.client, &x.n, &x.bytes); err != nil {
			return err
		}
		if old := s.sessions[x.client]; old != nil { // read anew, after damage
			old.sid, old.n, old.bytes = x.sid, x.n+pendingOf(old), x.bytes
		} else {
			s.sessions[x.client] = &x
		}
		s.nextSID = max(s.nextSID, x.sid)
		return nil
	})
}

func pendingOf(x *session) (n int) {
	for _, c := range x.pend {
		if !c.dead {
			n++
		}
	}
	return n
}

func (s *State) codecBoot(boot uint32) {
	s.mu.Lock()
	s.boot = boot
	s.mu.Unlock()
}

// saveEpoch stores the number of this start a second time, for the day
// queue.db is lost, with the boots.
func (s *State) saveEpoch(epoch uint32, boots []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addLocked(&change{kind: putKV, key: keyEpoch, value: binary.AppendUvarint(nil, uint64(epoch))}, nil)
	s.addLocked(&change{kind: putKV, key: keyBoots, value: boots, size: len(boots)}, nil)
}

// run commits when somebody waits, when there is enough, and once per commit
// interval, until close.
func (s *State) run() {
	defer close(s.done)
	tick := time.NewTicker(s.b.cfg.Commit.Std())
	defer tick.Stop()
	for {
		select {
		case <-s.urgent:
		case <-tick.C:
		case <-s.quit:
			s.mu.Lock()
			s.closed = true
			s.retryAt = time.Time{}
			s.mu.Unlock()
			err := s.flushNow()
			s.db.mu.Lock()
			s.err = errors.Join(err, s.db.closeLocked())
			s.db.mu.Unlock()
			return
		}
		s.flush()
	}
}

func (s *State) close() error {
	close(s.quit)
	<-s.done
	return s.err
}

// flush commits all there is, unless the disk failed a moment ago.
func (s *State) flush() {
	s.mu.Lock()
	rest := s.down != nil && time.Now().Before(s.retryAt)
	s.mu.Unlock()
	if !rest {
		s.flushNow()
	}
}

// flushNow commits all there is; after an error it repairs and tries again,
// at most three times.
func (s *State) flushNow() error {
	for tries := 0; ; {
		s.db.mu.Lock()
		more, err := s.commitLocked()
		if err != nil {
			err = s.repairLocked(err)
			tries++
		}
		s.db.mu.Unlock()
		if err != nil && tries >= 3 || err != nil && sqlCode(err) == codeFull {
			s.rest(err)
			return err
		}
		if err == nil && !more && tries == 0 {
			return nil
		}
		if err == nil && !more {
			tries = 0
		}
	}
}

// commitLocked commits one transaction's worth. The caller holds db.mu.
func (s *State) commitLocked() (more bool, err error) {
	s.mu.Lock()
	if len(s.stuck) == 0 {
		n := min(len(s.batch), stateTx)
		s.stuck = append(s.stuck[:0], s.batch[:n]...)
		for _, c := range s.stuck {
			c.taken = true
			if c.kind == dequeue {
				c.sess.leaving--
			}
			if c.kind == putRetained && s.retained[c.msg.Topic] == c {
				delete(s.retained, c.msg.Topic)
			}
		}
		rest := copy(s.batch, s.batch[n:])
		clear(s.batch[rest:])
		s.batch = s.batch[:rest]
	}
	work, boot := s.stuck, s.boot
	more = len(s.batch) > 0
	s.mu.Unlock()
	live := false
	for _, c := range work {
		live = live || !c.dead
	}
	if live {
		err = s.db.txLocked(func() error { return s.execLocked(work, boot) })
		if err != nil {
			return true, err
		}
	}
	s.settle(work)
	return more, nil
}

func (s *State) execLocked(work []*change, boot uint32) error {
	type freed struct {
		bytes   int64
		missing int // dequeued, and not there
	}
	touched := map[*session]freed{}
	for _, c := range work {
		if c.dead {
			continue
		}
		if err := s.execOneLocked(c, boot); err != nil {
			return err
		}
		if c.sess == nil || c.kind == dropSession {
			continue
		}
		f := touched[c.sess]
		if c.kind == dequeue {
			f.bytes += int64(c.size)
			if c.size == 0 {
				f.missing++
			}
		}
		touched[c.sess] = f
	}
	for x, f := range touched {
		s.mu.Lock()
		// What is stored counts the rows as they are after this transaction.
		n, bytes, dirty := x.n+x.leaving+f.missing, x.bytes-f.bytes, x.dirty
		for _, c := range x.pend { // they come with a later commit
			if !c.taken && !c.dead {
				n--
				bytes -= int64(c.size - 64)
			}
		}
		s.mu.Unlock()
		if !dirty {
			continue
		}
		if err := s.db.execLocked("UPDATE session SET n = ?, bytes = ? WHERE sid = ?", max(n, 0), max(bytes, 0), x.sid); err != nil {
			return err
		}
	}
	return nil
}

func (s *State) execOneLocked(c *change, boot uint32) error {
	qid := int64(c.sid)<<sessionSeqBits | int64(c.seq)
	switch c.kind {
	case putSession:
		return s.putSessionRowLocked(c, boot)
	case dropSession:
		return errors.Join(
			s.db.execLocked("DELETE FROM session WHERE sid = ?", c.sid),
			s.db.execLocked("DELETE FROM queued WHERE id >= ? AND id < ?", int64(c.sid)<<sessionSeqBits, int64(c.sid+1)<<sessionSeqBits),
			s.db.execLocked("DELETE FROM received WHERE id >= ? AND id < ?", int64(c.sid)<<16, int64(c.sid+1)<<16),
			s.db.execLocked("DELETE FROM exchange WHERE sid = ?", c.sid))
	case putRetained:
		if len(c.msg.Payload) == 0 {
			return s.db.execLocked("DELETE FROM retained WHERE topic = ?", c.msg.Topic)
		}
		return s.db.execLocked("INSERT OR REPLACE INTO retained(topic, body) VALUES(?, ?)", c.msg.Topic, s.codec.encodeMessage(c.msg, boot))
	case enqueue:
		return s.db.execLocked("INSERT OR REPLACE INTO queued(id, size, state, body) VALUES(?, ?, ?, ?)",
			qid, c.size-64, c.state.number(), s.codec.encodeMessage(c.msg, boot))
	case update:
		return s.db.execLocked("UPDATE queued SET state = ? WHERE id = ?", c.state.number(), qid)
	case dequeue:
		var size int64
		err := s.db.queryLocked("DELETE FROM queued WHERE id = ? RETURNING size", func(scan func(...any) error) error { return scan(&size) }, qid)
		s.mu.Lock()
		// A commit that reported an error may have taken the row away all the same.
		c.had = max(c.had, int(size))
		c.size = c.had // told to the session when the commit holds
		s.mu.Unlock()
		return err
	case receivedAdd:
		if c.exchange > 0 { // of one session they come in order
			if err := s.db.execLocked("UPDATE exchange SET taken = ? WHERE sid = ?", int64(c.exchange), c.sid); err != nil {
				return err
			}
		}
		return s.db.execLocked("INSERT OR IGNORE INTO received(id) VALUES(?)", int64(c.sid)<<16|int64(c.seq))
	case receivedDel:
		return s.db.execLocked("DELETE FROM received WHERE id = ?", int64(c.sid)<<16|int64(c.seq))
	case putKV:
		if c.value == nil {
			return s.db.execLocked("DELETE FROM kv WHERE k = ?", c.key)
		}
		return s.db.execLocked("INSERT OR REPLACE INTO kv(k, v) VALUES(?, ?)", c.key, c.value)
	}
	return nil
}

func (s *State) putSessionRowLocked(c *change, boot uint32) error {
	body := s.codec.encodeSession(c.put, boot)
	err := s.db.execLocked(`INSERT INTO session(sid, client, n, bytes, body) VALUES(?, ?, 0, 0, ?)
		ON CONFLICT(sid) DO UPDATE SET body = excluded.body`, c.sid, c.put.ClientID, body)
	if err != nil {
		return err
	}
	if c.put.Exchanges != 0 {
		err := s.db.execLocked("INSERT OR REPLACE INTO exchange(sid, session, taken) VALUES(?, ?, ?)", c.sid, int64(c.put.Exchanges), int64(c.put.Taken))
		if err != nil {
			return err
		}
	}
	if err := s.db.execLocked("DELETE FROM received WHERE id >= ? AND id < ?", int64(c.sid)<<16, int64(c.sid+1)<<16); err != nil {
		return err
	}
	for _, id := range c.put.Received {
		if err := s.db.execLocked("INSERT OR IGNORE INTO received(id) VALUES(?)", int64(c.sid)<<16|int64(id)); err != nil {
			return err
		}
	}
	return nil
}

// settle makes committed changes official.
func (s *State) settle(work []*change) {
	s.mu.Lock()
	if len(work) > 0 {
		s.commits++
	}
	for _, c := range work {
		releaseAll(c)
		if x := c.sess; x != nil {
			switch c.kind {
			case enqueue:
				for i, p := range x.pend {
					if p == c {
						x.pend = append(x.pend[:i], x.pend[i+1:]...)
						break
					}
				}
			case dequeue:
				delete(x.gone, c.seq)
				if c.size == 0 {
					x.n++ // it was not there
				}
				x.bytes -= int64(c.size)
				x.dirty = true
				c.size = 64
			case update:
				if u, ok := x.upd[c.seq]; ok && u == c.state {
					delete(x.upd, c.seq)
				}
			}
		}
		if !c.dead {
			s.bytes -= c.size
		}
	}
	clear(s.stuck)
	s.stuck = s.stuck[:0]
	again := s.down != nil
	s.down = nil
	s.mu.Unlock()
	if again {
		s.b.event(levelInfo, "I0712", "state.db is written again")
	}
}

// failed notes an error that a reader met; the next commit will meet it too
// and repair.
func (s *State) failed(err error) {
	if isDamage(err) {
		s.mu.Lock()
		s.down = nil
		s.mu.Unlock()
	}
	poke(s.urgent)
}

// repairLocked answers an error of a commit; nil says try again.
func (s *State) repairLocked(err error) error {
	switch {
	case isDamage(err):
		return s.replaceLocked(err)
	case sqlCode(err) == codeFull:
		s.db.truncateLocked()
		return err
	}
	s.db.closeLocked()
	if e := s.db.openLocked(stateSchema); e != nil {
		if isDamage(e) {
			return s.replaceLocked(e)
		}
		return e
	}
	if e := s.db.emptyLogLocked(); e != nil {
		if isDamage(e) {
			return s.replaceLocked(e)
		}
		s.db.closeLocked() // nothing is written before that has been done
		return e
	}
	if e := s.db.checkLocked(); isDamage(e) {
		return s.replaceLocked(e)
	}
	s.b.event(levelWarn, "W0711", "state.db was reopened after: %v", err)
	return err
}

// replaceLocked moves a damaged file aside and fills a new one from what can
// be read of it.
func (s *State) replaceLocked(cause error) error {
	s.db.closeLocked()
	name, err := moveAside(s.db.path)
	if err != nil {
		return err
	}
	s.b.noteMoved(filepath.Base(name))
	if err := s.db.openLocked(stateSchema); err != nil {
		return err
	}
	rows, err := s.salvageLocked(name)
	text := fmt.Sprintf("%d sessions and messages were put back from it", rows)
	if err != nil {
		text = "nothing was put back from it: " + err.Error()
	}
	s.b.event(levelError, "E0721", "state.db is damaged (%v); moved aside to %s, a new one is in use, %s", cause, name, text)
	return s.readIndexLocked()
}

// rest stops writing for a while.
func (s *State) rest(err error) {
	s.mu.Lock()
	first := s.down == nil
	s.down, s.retryAt = err, time.Now().Add(retryFull)
	s.mu.Unlock()
	if first {
		s.b.event(levelError, "E0710", "state.db cannot be written; changes wait in memory (8 MiB): %v", err)
	}
}
