package broker

import (
	"context"
	"time"

	"fieldgate/mqtt"
)

// fillRetry is how long to wait after the store could not be read.
const fillRetry = time.Second

// fill brings the next page of a connected session's messages from the store
// into its queue, as long as the queue is short and the store has some, and
// sends what can be sent. Connections that got something are noted in bt.
func (s *session) fill(bt *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.conn != nil && !s.conn.closing && !s.filling && s.disk > 0 && s.queue.len() < queuePage/2 {
		if !s.fillPageLocked() {
			break
		}
		if s.pumpLocked() {
			bt.touchLocked(s.conn)
		}
	}
}

// fillPageLocked reads one page; it lets go of the lock while it reads. It
// returns false where nothing came.
//
// Deliveries are committed in any order, so the page may lack one that is on
// its way while later ones are there. Only what lies below the first of those
// is taken; the rest comes with the next page, after their commit.
func (s *session) fillPageLocked() bool {
	c, after, disk := s.conn, s.cursor, s.disk
	limit, settled := s.firstUncommittedLocked(), len(s.uncommitted) == 0
	s.filling = true
	s.mu.Unlock()
	page, err := s.b.store.Pending(context.Background(), s.id, after, queuePage)
	s.mu.Lock()
	s.filling = false
	if s.conn != c {
		return false // the next connection starts anew
	}
	if err != nil {
		s.b.storeFailed(err)
		time.AfterFunc(fillRetry, func() { s.b.refill(s, c) })
		return false
	}
	taken := 0
	for i := range page {
		if page[i].Seq >= limit {
			break
		}
		s.takeStoredLocked(&page[i])
		taken++
	}
	s.disk = max(0, s.disk-taken)
	switch {
	case len(page) < queuePage && settled && taken == len(page):
		s.disk = max(0, s.disk-max(0, disk-taken)) // what is left came while we read
	case len(page) == queuePage:
		s.disk = max(1, s.disk) // a full page: look again, whatever the count says
	}
	return taken > 0
}

// takeStoredLocked puts a stored message into the queue.
func (s *session) takeStoredLocked(q *mqtt.Queued) {
	s.cursor = q.Seq
	m := &q.Message
	e := entry{
		seq: q.Seq, msg: m, qos: m.QoS, retain: m.Retain, released: q.Released,
		dup: q.PacketID != 0 || q.Seq <= s.sent, size: int64(len(m.Topic) + len(m.Payload) + 64),
	}
	if m.Props != nil {
		e.ids = m.Props.SubscriptionIDs
	}
	s.enqueueLocked(e)
}

// refill tries fill again for a connection.
func (b *Broker) refill(s *session, c *conn) {
	s.mu.Lock()
	same := s.conn == c
	s.mu.Unlock()
	if !same {
		return
	}
	bt := b.getBatch()
	s.fill(bt)
	bt.flush()
	b.putBatch(bt)
}

// lastSeq finds the highest seq among a session's stored messages. The store
// is asked only whether there is one above a number, so it is found in a few
// dozen steps without reading the queue.
func lastSeq(ctx context.Context, st Store, id string) (uint64, error) {
	above := func(n uint64) (bool, error) {
		page, err := st.Pending(ctx, id, n, 1)
		return len(page) > 0, err
	}
	low, step := uint64(0), uint64(1) // the answer is not below low
	for {
		ok, err := above(low + step - 1)
		if err != nil {
			return 0, err
		}
		if !ok {
			break
		}
		low += step
		step *= 2
	}
	high := low + step - 1 // none above
	for low < high {
		mid := low + (high-low)/2
		ok, err := above(mid)
		if err != nil {
			return 0, err
		}
		if ok {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, nil
}
