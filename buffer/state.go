package buffer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"fieldgate/mqtt"
)

// stateSchema: bodies are sealed records; queued.id is sid<<40|seq, so that a
// session's queue is a range of the primary key.
const stateSchema = `
CREATE TABLE IF NOT EXISTS kv(k TEXT PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS session(sid INTEGER PRIMARY KEY, client TEXT NOT NULL UNIQUE, n INTEGER NOT NULL, bytes INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS queued(id INTEGER PRIMARY KEY, size INTEGER NOT NULL, state INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS received(id INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS exchange(sid INTEGER PRIMARY KEY, session INTEGER NOT NULL, taken INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS retained(topic TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
`

const (
	sessionSeqBits = 40
	maxSessions    = 1 << 23
	stateBatch     = 256 << 10 // a commit starts early at this many bytes
	stateRAM       = 8 << 20   // beyond it nothing is taken until the disk works
	stateTx        = 4096      // changes per transaction
)

// State is the durable state of the local broker: retained messages, sessions
// with their queues, QoS 2 ids, and small settings, in state.db. It satisfies
// the broker's Store. Its methods may be called from any goroutine.
//
// Changes wait in memory for the next commit, which all durable callers that
// wait share. A message that is enqueued and dequeued before its commit never
// touches the disk.
type State struct {
	b     *Buffer
	db    db
	boots []boot // as stored, until start
	epoch uint32 // as stored
	names []byte // as stored
	mark  []byte // as stored: see mark.go

	urgent chan struct{}
	quit   chan struct{}
	done   chan struct{}

	mu       sync.Mutex
	closed   bool
	boot     uint32
	sessions map[string]*session
	nextSID  uint32
	batch    []*change          // not committed
	bytes    int                // of batch
	retained map[string]*change // of batch and not being committed, by topic
	down     error
	commits  uint64
	err      error     // of close
	stuck    []*change // being committed; owned by the writer
	codec    codec     // likewise
	retryAt  time.Time
}

// session is what memory knows of a session's queue.
type session struct {
	sid    uint32
	client string
	n      int
	bytes  int64
	pend   []*change           // enqueued, not committed, by seq
	gone   map[uint64]struct{} // stored, dequeued, not committed
	// leaving is how many of gone the writer does not have yet: n does not
	// count them any more, and their rows are there.
	leaving int
	upd     map[uint64]queueState // stored, updated, not committed
	dirty   bool                  // n and bytes differ from what is stored
}

type queueState struct {
	packetID uint16
	released bool
}

func (q queueState) number() int64 {
	n := int64(q.packetID)
	if q.released {
		n |= 1 << 16
	}
	return n
}

func queueStateOf(n int64) queueState { return queueState{uint16(n), n&(1<<16) != 0} }

type changeKind uint8

const (
	putSession changeKind = iota
	dropSession
	putRetained
	enqueue
	update
	dequeue
	receivedAdd
	receivedDel
	putKV
)

// change is one change that waits for its commit.
type change struct {
	kind  changeKind
	sess  *session
	sid   uint32
	seq   uint64 // or packet id
	state queueState
	msg   *mqtt.Message
	put   *mqtt.SessionState
	key   string
	value []byte
	size  int
	wait  []*waiter

	exchange uint64 // its number, of receivedAdd

	taken bool // the writer has it
	dead  bool // undone before it was committed
	had   int  // of a dequeue: the size of the row, as any attempt to commit found it
}

// Apply makes changes, in order. With durable it returns after the commit
// that carries them is synced, or after later changes have undone them;
// otherwise at once, and they are committed within a second.
//
// The error is ErrClosed, ErrFull or ctx's. Changes to a session that is not
// there any more are left out: who made them could not know yet.
func (s *State) Apply(ctx context.Context, durable bool, changes []mqtt.StoreChange) error {
	var w *waiter
	if durable {
		w = &waiter{done: make(chan struct{})}
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	if s.bytes > stateRAM {
		s.mu.Unlock()
		poke(s.urgent)
		return ErrFull
	}
	var err error
	for i := range changes {
		err = errors.Join(err, s.applyLocked(&changes[i], w))
	}
	left := 0
	if w != nil {
		left = w.left
	}
	early := s.bytes > stateBatch || len(s.batch) >= stateTx
	s.mu.Unlock()
	if left > 0 || early {
		poke(s.urgent)
	}
	if left == 0 || err != nil {
		return err
	}
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the commit: %w", ctx.Err())
	case <-s.done:
		select {
		case <-w.done:
			return nil
		default:
			return ErrClosed
		}
	}
}

func (s *State) applyLocked(ch *mqtt.StoreChange, w *waiter) error {
	switch {
	case ch.PutSession != nil:
		return s.putSessionLocked(ch.PutSession, w)
	case ch.DropSession != "":
		s.dropSessionLocked(ch.DropSession, w)
		return nil
	case ch.Retain != nil:
		s.retainLocked(ch.Retain, w)
		return nil
	case ch.Enqueue != nil:
		return s.enqueueLocked(ch.Enqueue, w)
	case ch.Update != nil:
		return s.updateLocked(ch.Update, w)
	case ch.Dequeue != nil:
		return s.dequeueLocked(ch.Dequeue, w)
	case ch.ReceivedAdd != nil:
		return s.receivedLocked(ch.ReceivedAdd, receivedAdd, w)
	case ch.ReceivedDel != nil:
		return s.receivedLocked(ch.ReceivedDel, receivedDel, w)
	}
	return nil
}

func (s *State) addLocked(c *change, w *waiter) {
	if w != nil {
		c.wait = append(c.wait, w)
		w.left++
	}
	c.size += 64
	s.batch = append(s.batch, c)
	s.bytes += c.size
}

// undoLocked takes a change back that the writer does not have yet.
func (s *State) undoLocked(c *change) {
	c.dead = true
	s.bytes -= c.size
	c.size = 0
	c.msg = nil
	releaseAll(c)
}

func releaseAll(c *change) {
	for _, w := range c.wait {
		w.release()
	}
	c.wait = nil
}

func (s *State) putSessionLocked(p *mqtt.SessionState, w *waiter) error {
	x := s.sessions[p.ClientID]
	if x == nil {
		if len(s.sessions) >= maxSessions-1 {
			return fmt.Errorf("session %q: %w", p.ClientID, ErrFull)
		}
		s.nextSID++
		x = &session{sid: s.nextSID, client: p.ClientID}
		s.sessions[p.ClientID] = x
	}
	cp := *p
	s.addLocked(&change{kind: putSession, sess: x, sid: x.sid, put: &cp, size: 128 + 64*len(p.Subscriptions)}, w)
	return nil
}

func (s *State) dropSessionLocked(client string, w *waiter) {
	x := s.sessions[client]
	if x == nil {
		return
	}
	for _, c := range x.pend {
		if !c.taken {
			s.undoLocked(c)
		}
	}
	delete(s.sessions, client)
	s.addLocked(&change{kind: dropSession, sess: x, sid: x.sid}, w)
}

// retainLocked keeps only the newest of the values that wait.
func (s *State) retainLocked(m *mqtt.Message, w *waiter) {
	if c := s.retained[m.Topic]; c != nil && !c.taken {
		s.bytes += len(m.Payload) - len(c.msg.Payload)
		c.size += len(m.Payload) - len(c.msg.Payload)
		c.msg = m
		if w != nil {
			c.wait = append(c.wait, w)
			w.left++
		}
		return
	}
	c := &change{kind: putRetained, msg: m, size: messageSize(m)}
	s.retained[m.Topic] = c
	s.addLocked(c, w)
}

func (s *State) enqueueLocked(e *mqtt.SessionEntry, w *waiter) error {
	x := s.sessions[e.ClientID]
	if x == nil {
		return nil // the session ended meanwhile: nothing of it is to be kept
	}
	if e.Seq == 0 || e.Seq >= 1<<sessionSeqBits {
		return fmt.Errorf("session %q: sequence number %d cannot be stored", e.ClientID, e.Seq)
	}
	m := e.Message
	c := &change{kind: enqueue, sess: x, sid: x.sid, seq: e.Seq, state: queueState{e.PacketID, e.Released}, msg: &m, size: messageSize(&m)}
	x.n++
	x.bytes += int64(c.size)
	x.dirty = true
	s.addLocked(c, w)
	i := len(x.pend) // callers that overlap may come out of order
	for i > 0 && x.pend[i-1].seq > c.seq {
		i--
	}
	x.pend = slices.Insert(x.pend, i, c)
	return nil
}

// pending finds an entry that is not committed yet.
func (x *session) pending(seq uint64) (int, *change) {
	lo, hi := 0, len(x.pend)
	for lo < hi {
		mid := (lo + hi) / 2
		if x.pend[mid].seq < seq {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(x.pend) && x.pend[lo].seq == seq && !x.pend[lo].dead {
		return lo, x.pend[lo]
	}
	return -1, nil
}

func (s *State) updateLocked(e *mqtt.SessionEntry, w *waiter) error {
	x := s.sessions[e.ClientID]
	if x == nil {
		return nil // the session ended meanwhile: nothing of it is to be kept
	}
	st := queueState{e.PacketID, e.Released}
	if _, c := x.pending(e.Seq); c != nil && !c.taken {
		c.state = st
		if w != nil {
			c.wait = append(c.wait, w)
			w.left++
		}
		return nil
	}
	if x.upd == nil {
		x.upd = make(map[uint64]queueState)
	}
	x.upd[e.Seq] = st
	s.addLocked(&change{kind: update, sess: x, sid: x.sid, seq: e.Seq, state: st}, w)
	return nil
}

func (s *State) dequeueLocked(e *mqtt.SessionSeq, w *waiter) error {
	x := s.sessions[e.ClientID]
	if x == nil {
		return nil // the session ended meanwhile: nothing of it is to be kept
	}
	if _, gone := x.gone[e.Seq]; gone || x.n == 0 {
		return nil
	}
	i, c := x.pending(e.Seq)
	if c != nil && !c.taken {
		x.n--
		x.bytes -= int64(c.size - 64)
		s.undoLocked(c)
		if i == 0 {
			x.pend = x.pend[1:]
		} else {
			x.pend = slices.Delete(x.pend, i, i+1)
		}
		return nil
	}
	x.n--
	x.dirty = true
	if x.gone == nil {
		x.gone = make(map[uint64]struct{})
	}
	x.gone[e.Seq] = struct{}{}
	x.leaving++
	s.addLocked(&change{kind: dequeue, sess: x, sid: x.sid, seq: e.Seq}, w)
	return nil
}

func (s *State) receivedLocked(e *mqtt.SessionPacketID, kind changeKind, w *waiter) error {
	x := s.sessions[e.ClientID]
	if x == nil {
		return nil // the session ended meanwhile: nothing of it is to be kept
	}
	s.addLocked(&change{kind: kind, sess: x, sid: x.sid, seq: uint64(e.PacketID), exchange: e.Taken}, w)
	return nil
}
