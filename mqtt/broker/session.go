package broker

import (
	"maps"
	"slices"
	"sync"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// session is what the broker knows of a client, while it is connected and, if
// it asked for that, beyond.
//
// Deliveries to it wait in three places, in the order of their seq:
//
//	window   sent and not acknowledged, at most Receive Maximum of them
//	queue    in RAM, to be sent when the window or the buffer has room
//	store    persistent sessions only: everything unacknowledged is there, and
//	         what lies beyond cursor is only there; fill brings it into queue
//
// While a persistent session is offline, window and queue are empty. A
// delivery's packet id follows from its seq, so that it is the same after a
// restart and a QoS 2 exchange can go on.
//
// mu guards all fields and also the outgoing side of conn. No other lock is
// taken but that of the retained messages, and nothing is waited for while it
// is held.
type session struct {
	id string
	b  *Broker

	mu         sync.Mutex
	conn       *conn // nil: offline
	last       *conn // the latest one; until its done is closed it may still be letting go
	who        identity
	version    mqtt.Version
	expiry     uint32 // seconds beyond the connection
	persistent bool   // expiry > 0: the store knows it
	gone       bool   // ended: nothing more is delivered
	left       clock.Stamp
	will       *mqtt.Will // waits for its delay
	timer      *time.Timer
	subs       map[string]*subscription // by filter as sent
	order      []string                 // their filters in the order they were made
	received   map[uint16]struct{}      // QoS 2 publishes whose PUBREL is due
	exchanges  uint64                   // names a persistent session in mqtt.Exchange
	taken      uint64                   // the number of its last exchange

	seq         uint64 // the last one given
	sent        uint64 // the highest one sent on any connection
	window      ring[entry]
	queue       ring[entry]
	queueBytes  int64
	disk        int    // messages that are only in the store
	cursor      uint64 // up to here nothing is only in the store
	filling     bool
	uncommitted []*pending         // on their way into the store, by seq
	owed        []mqtt.StoreChange // for the next commit of whoever makes one
	waiters     []*hold            // publishers that wait until there is room
	charged     int64              // bytes in Broker.queuedBytes
	stallWatch  bool
	progress    uint64 // counts acknowledgements and sent bytes
	dropped     uint64 // messages lost to this client: slow at QoS 0, queue full, expired
	lastDenied  string // the last topic it was refused
}

// entry is a delivery in the window or the queue.
type entry struct {
	seq      uint64        // 0: QoS 0
	msg      *mqtt.Message // nil in the window of a session that cannot be resumed, but for those of a share
	ids      []uint32      // subscription identifiers
	share    *subscription // the share it came by, nil: none, or taken from the store
	pend     *pending      // not yet committed
	size     int64         // what it counts in the sum of queued bytes, 0: not counted
	qos      mqtt.QoS
	retain   bool
	dup      bool // sent on an earlier connection
	released bool // QoS 2: PUBREC has come
	lent     bool // msg is this entry's alone and goes back to its pool, see lend
	current  bool // retained, on subscribe: only worth sending while it is still retained
}

// pending is a persistent session's delivery that has not been committed yet.
type pending struct {
	session *session
	seq     uint64
	acked   bool // acknowledged before it was committed
	disk    bool // counts in session.disk
	settled bool // its commit is over, well or not
	size    int64
}

// earlyLocked reports a delivery that must not be sent before its commit.
// Had the client begun a QoS 2 exchange that a crash makes us forget, it would
// take the next message with that packet id for a repetition, and lose it.
func (e *entry) earlyLocked() bool { return e.qos == 2 && e.pend != nil && !e.pend.settled }

// packetID is the packet id of a delivery.
func packetID(seq uint64) uint16 { return uint16((seq-1)%65535) + 1 }

// state is the session as the store keeps it.
func (s *session) stateLocked() *mqtt.SessionState {
	st := &mqtt.SessionState{
		ClientID: s.id, User: s.who.user, Version: s.version, Expiry: s.expiry,
		Disconnected: s.left, Will: s.will, Received: slices.Sorted(maps.Keys(s.received)),
		Exchanges: s.exchanges, Taken: s.taken,
	}
	for _, f := range s.order {
		st.Subscriptions = append(st.Subscriptions, s.subs[f].Subscription)
	}
	return st
}

// outstandingLocked is how many QoS > 0 messages the session must still get.
func (s *session) outstandingLocked() int { return s.window.len() + s.queue.len() + s.disk }

// overfullLocked reports that a connected session's queue has reached its limit.
func (s *session) overfullLocked() bool {
	set := s.b.set.Load()
	return s.queue.len()+s.disk >= set.maxQueued || s.queueBytes >= int64(set.maxOut) ||
		s.queue.len()+s.disk > 0 && s.b.queuedBytes.Load() >= set.maxQueuedBytes
}

// roomyLocked reports that a queue has drained far enough for publishers to go on.
func (s *session) roomyLocked() bool {
	set := s.b.set.Load()
	return s.queue.len()+s.disk <= set.maxQueued/2 && s.queueBytes <= int64(set.maxOut)/2
}

// dropLocked counts a message that the client will not get.
func (s *session) dropLocked() {
	s.dropped++
	s.b.stats.dropped.Add(1)
}

// unqueueLocked takes the i-th entry out of the queue.
func (s *session) unqueueLocked(i int) entry {
	e := *s.queue.at(i)
	s.queue.remove(i)
	if e.msg != nil {
		s.queueBytes -= messageBytes(e.msg)
	}
	return e
}

func (s *session) enqueueLocked(e entry) {
	s.queue.push(e)
	s.queueBytes += messageBytes(e.msg)
}

// chargeLocked adds to what the session's messages count in the sum of all.
// What the store reckons for a message may differ a little from what we do;
// when nothing is outstanding the difference is put right.
func (s *session) chargeLocked(size int64) {
	s.charged += size
	s.b.queuedBytes.Add(size)
	if s.charged != 0 && size < 0 && s.outstandingLocked() == 0 {
		s.b.queuedBytes.Add(-s.charged)
		s.charged = 0
	}
}

// doneLocked forgets a delivery that was acknowledged or given up.
func (s *session) doneLocked(e *entry) {
	s.chargeLocked(-e.size)
	switch {
	case !s.persistent || e.seq == 0:
	case e.pend != nil && !e.pend.settled:
		e.pend.acked = true // its commit takes care
	default:
		s.owed = append(s.owed, mqtt.StoreChange{Dequeue: &mqtt.SessionSeq{ClientID: s.id, Seq: e.seq}})
	}
}

// firstUncommittedLocked is the lowest seq that is on its way into the store,
// or the next one to be given where none is.
func (s *session) firstUncommittedLocked() uint64 {
	if len(s.uncommitted) > 0 {
		return s.uncommitted[0].seq
	}
	return s.seq + 1
}
