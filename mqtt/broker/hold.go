package broker

import (
	"sync/atomic"
	"time"

	"fieldgate/mqtt"
)

// hold is a publisher that waits for one or more overfull sessions: a group of
// withheld acknowledgements, or a call of Publish.
type hold struct {
	left atomic.Int32 // sessions still overfull
	done func()       // called once, without locks, when none is
}

// holdFor makes done be called when all the sessions have room again, or have
// gone; at once where that is so already.
func (b *Broker) holdFor(sessions []*session, done func()) {
	h := &hold{done: done}
	h.left.Store(1)
	for _, s := range sessions {
		s.mu.Lock()
		if s.conn != nil && !s.gone && !s.roomyLocked() {
			h.left.Add(1)
			s.waiters = append(s.waiters, h)
			s.watchStallLocked()
		}
		s.mu.Unlock()
	}
	h.release()
}

func (h *hold) release() {
	if h.left.Add(-1) == 0 {
		h.done()
	}
}

// releaseWaitersLocked lets go of the publishers that wait for the session.
// They run elsewhere: done takes locks.
func (s *session) releaseWaitersLocked() {
	waiting := s.waiters
	s.waiters = nil
	if len(waiting) > 0 {
		go func() {
			for _, h := range waiting {
				h.release()
			}
		}()
	}
}

// watchStallLocked cuts the session's connection off where it takes nothing at
// all for stallTimeout while publishers wait for it. One timer runs at most.
func (s *session) watchStallLocked() {
	if s.stallWatch {
		return
	}
	s.stallWatch = true
	c, seen := s.conn, s.progress
	time.AfterFunc(stallTimeout, func() {
		s.mu.Lock()
		s.stallWatch = false
		waited := s.conn != nil && len(s.waiters) > 0
		stalled := waited && s.conn == c && s.progress == seen
		if waited && !stalled {
			s.watchStallLocked()
		}
		s.mu.Unlock()
		if stalled {
			s.b.log.Warn("client takes no messages while others wait for it; disconnected", "client", s.id, "for", stallTimeout)
			c.kick(mqtt.QuotaExceeded, "takes no messages")
		}
	})
}
