package broker

import (
	"context"
	"errors"
	"io"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// errLeft is the end of a connection by DISCONNECT.
var errLeft = errors.New("client disconnected")

// onDisconnect handles DISCONNECT: without a will unless it asks for one.
func (c *conn) onDisconnect(p *packet.Disconnect) error {
	s := c.s
	s.mu.Lock() // the broker may be kicking this client just now
	defer s.mu.Unlock()
	if p.HasSessionExpiry {
		if s.expiry == 0 && p.SessionExpiry != 0 {
			return &packet.Error{Reason: mqtt.ProtocolError, Packet: packet.TypeDisconnect, Text: "session expiry was 0 in CONNECT"} // §3.14.2.2.2
		}
		s.expiry = min(p.SessionExpiry, c.b.set.Load().maxSessionExpiry)
	}
	c.clean = true
	if p.Reason == mqtt.Success {
		c.will = nil // [MQTT-3.14.4-3]
	}
	return errLeft
}

// fail ends the connection for something that came from the client.
func (c *conn) fail(err error) {
	if errors.Is(err, errLeft) {
		c.stop()
		return
	}
	reason := mqtt.UnspecifiedError
	var wrong *packet.Error
	text := ""
	if errors.As(err, &wrong) {
		reason, text = wrong.Reason, wrong.Text
	}
	c.b.log.Info("client sent something wrong; disconnected", "client", c.s.id, "from", c.addr, "error", err)
	c.kick(reason, text)
}

// detach takes the connection from its session: the session ends, or waits for
// the next connection, and the will is published or waits for its delay.
func (c *conn) detach(ctx context.Context, cause error) {
	s, b := c.s, c.b
	c.stop()
	s.mu.Lock()
	c.closing = true
	s.conn = nil
	s.left = clock.Now()
	ends := s.expiry == 0
	will := c.will
	delay := time.Duration(0)
	if will != nil && !ends {
		delay = time.Duration(min(will.Delay, s.expiry)) * time.Second
	}
	if delay > 0 {
		s.will, will = will, nil
	}
	var left []entry
	if ends {
		left = s.sharedLocked()
	}
	changes := s.parkLocked()
	if !ends {
		changes = append(changes, mqtt.StoreChange{PutSession: s.stateLocked()})
		s.armLocked()
	}
	s.releaseWaitersLocked()
	s.mu.Unlock()
	c.in.release()
	c.leave()
	if will != nil {
		b.publishWill(will, s)
	}
	if ends {
		if err := b.endSession(context.WithoutCancel(ctx), s); err != nil {
			b.storeFailed(err)
		}
		b.handOver(left)
	} else if err := b.store.Apply(context.WithoutCancel(ctx), delay > 0, changes); err != nil {
		b.storeFailed(err)
	}
	b.stats.disconnects.Add(1)
	if !errors.Is(cause, errLeft) && !errors.Is(cause, io.EOF) {
		b.log.Debug("connection ended", "client", s.id, "cause", cause)
	}
}

// parkLocked empties window and queue of a session that has lost its
// connection: what it must still get is in the store. Those that were sent are
// marked there, so that they are sent again with DUP even after a restart.
func (s *session) parkLocked() []mqtt.StoreChange {
	changes := s.owed
	s.owed = nil
	if s.persistent {
		for i := range s.window.len() {
			e := s.window.at(i)
			s.disk++
			switch {
			case e.pend != nil && !e.pend.settled:
				e.pend.disk = true
			case !e.released:
				u := &mqtt.SessionEntry{ClientID: s.id}
				u.Seq, u.PacketID = e.seq, packetID(e.seq)
				changes = append(changes, mqtt.StoreChange{Update: u})
			}
		}
		for i := range s.queue.len() {
			if e := s.queue.at(i); e.seq > 0 {
				if s.disk++; e.pend != nil && !e.pend.settled {
					e.pend.disk = true
				}
			}
		}
		s.cursor = 0
	}
	s.window.reset()
	s.queue.reset()
	s.queueBytes = 0
	return changes
}

// armLocked sets the timer of an offline session: for its will, and then for
// its end.
func (s *session) armLocked() {
	now := clock.Now()
	end := s.endLocked()
	if s.will != nil {
		end = min(end, s.leftLocked().Add(time.Duration(s.will.Delay)*time.Second).Nanos)
	}
	wait := max(0, time.Duration(end-now.Nanos))
	if s.timer != nil {
		s.timer.Stop()
	}
	s.timer = time.AfterFunc(wait, func() { s.b.lapse(s) })
}

// leftLocked is when the connection ended; for one of an earlier boot, which
// lies no one knows how far back, the start of this process.
func (s *session) leftLocked() clock.Stamp {
	if s.left.IsZero() || s.left.Boot != 0 {
		return s.b.started
	}
	return s.left
}

// endLocked is when an offline session ends, as nanoseconds of this boot.
func (s *session) endLocked() int64 {
	return s.leftLocked().Add(time.Duration(s.expiry) * time.Second).Nanos
}

// lapse does what is due for an offline session.
func (b *Broker) lapse(s *session) {
	release, err := b.claimID(b.life, s.id)
	if err != nil {
		return // stopping
	}
	defer release()
	known := b.session(s.id) == s
	s.mu.Lock()
	if last := s.last; s.conn == nil && last != nil {
		s.mu.Unlock()
		<-last.done
		s.mu.Lock()
	}
	if s.conn != nil || s.gone || !known {
		s.mu.Unlock()
		return
	}
	now := clock.Now().Nanos
	ends := now >= s.endLocked()
	var will *mqtt.Will
	if s.will != nil && (ends || now >= s.leftLocked().Add(time.Duration(s.will.Delay)*time.Second).Nanos) {
		will, s.will = s.will, nil
	}
	var changes []mqtt.StoreChange
	if !ends {
		changes = []mqtt.StoreChange{{PutSession: s.stateLocked()}}
		s.armLocked()
	}
	s.mu.Unlock()
	if will != nil {
		b.publishWill(will, s)
	}
	if ends {
		b.stats.expired.Add(1)
		err = b.endSession(b.life, s)
	} else if will != nil {
		err = b.store.Apply(b.life, true, changes)
	}
	if err != nil && b.life.Err() == nil {
		b.storeFailed(err)
	}
}

// endSession ends a session without a connection: its subscriptions, its
// queue, and its will if that still waits [MQTT-3.1.3-9]. The caller has the
// claim on its id, or is the connection it had.
func (b *Broker) endSession(ctx context.Context, s *session) error {
	s.mu.Lock()
	if s.gone {
		s.mu.Unlock()
		return nil
	}
	s.gone = true
	will, stored := s.will, s.persistent
	s.will = nil
	if s.timer != nil {
		s.timer.Stop()
	}
	subs := s.subs
	s.subs, s.order, s.received = nil, nil, nil
	s.chargeLocked(-s.charged)
	s.mu.Unlock()
	for _, sub := range subs {
		b.tree.remove(sub)
	}
	b.mu.Lock()
	if b.sessions[s.id] == s {
		delete(b.sessions, s.id)
	}
	b.mu.Unlock()
	if will != nil {
		b.publishWill(will, s)
	}
	if !stored {
		return nil
	}
	b.handOverStored(ctx, s.id, subs)
	return b.store.Apply(ctx, true, []mqtt.StoreChange{{DropSession: s.id}})
}

// publishWill publishes a will with the rights its client has now.
func (b *Broker) publishWill(w *mqtt.Will, s *session) {
	s.mu.Lock()
	who := s.who
	s.mu.Unlock()
	m := w.Message
	if !b.acl.Load().allowed(who, accessWrite, m.Topic) {
		b.log.Warn("will not published: its client has no right to", "client", s.id, "user", who.user, "topic", m.Topic)
		return
	}
	m.Origin, m.Stamp, m.From = s.id, clock.Stamp{}, who.publisher()
	bt := b.getBatch()
	defer b.putBatch(bt)
	bt.publishOne(&m, s)
	bt.finish(b.life)
}
