package broker

import (
	"context"
	"math/rand/v2"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// claim is held by the one connection that may attach to, or by the one timer
// that may end, the session of a client id.
type claim struct {
	turn    chan struct{}
	waiting int
}

// claimID waits for the turn to change which connection a client id has. The
// claim is given back by the function that is returned.
func (b *Broker) claimID(ctx context.Context, id string) (release func(), err error) {
	b.mu.Lock()
	cl := b.claims[id]
	if cl == nil {
		cl = &claim{turn: make(chan struct{}, 1)}
		b.claims[id] = cl
	}
	if cl.waiting >= maxClaims {
		b.mu.Unlock()
		return nil, &refusal{mqtt.ServerBusy, "too many connections at once for this client id"}
	}
	cl.waiting++
	b.mu.Unlock()
	leave := func() {
		b.mu.Lock()
		if cl.waiting--; cl.waiting == 0 {
			delete(b.claims, id)
		}
		b.mu.Unlock()
	}
	select {
	case cl.turn <- struct{}{}:
		return func() { <-cl.turn; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// attach gives the connection its session: the one that is there, or a new
// one. A connection that has it loses it first (take-over). CONNACK is in the
// buffer before anything else can be.
func (c *conn) attach(ctx context.Context, p *packet.Connect, who identity) error {
	b, id := c.b, p.ClientID
	release, err := b.claimID(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	s := b.session(id)
	if s != nil {
		if err := c.takeOver(s, who); err != nil {
			return err
		}
		s = b.session(id) // it may have ended with its connection
	}
	if s != nil && (p.CleanStart || s.foreign(who)) {
		if err := b.endSession(ctx, s); err != nil {
			return err
		}
		s = nil
	}
	present := s != nil
	if s == nil {
		s = &session{id: id, b: b}
	}
	if err := c.enter(s); err != nil {
		return err
	}
	if err := c.take(ctx, s, p, who, present); err != nil {
		c.leave()
		if err := b.endSession(ctx, s); err != nil {
			b.storeFailed(err)
		}
		return err
	}
	c.flush()
	return nil
}

// takeOver ends the connection that a session has [MQTT-3.1.4-3] and waits
// until the last one has let go of it.
func (c *conn) takeOver(s *session, who identity) error {
	s.mu.Lock()
	old, last := s.conn, s.last
	s.mu.Unlock()
	if old != nil {
		if s.foreign(who) {
			c.b.log.Debug("client id in use", "client", s.id, "by", s.userName(), "wanted_by", who.user)
			return &refusal{mqtt.NotAuthorized, "the client id is in use by another user"}
		}
		c.b.countTakeover(s.id, old.addr.String(), c.addr.String())
		old.kick(mqtt.SessionTakenOver, "")
	}
	if last != nil {
		<-last.done
	}
	return nil
}

// foreign reports that a session belongs to another user, who alone may have
// its messages.
func (s *session) foreign(who identity) bool { return s.userName() != who.user }

func (s *session) userName() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.who.user
}

// take makes s the connection's session and puts CONNACK into the buffer.
func (c *conn) take(ctx context.Context, s *session, p *packet.Connect, who identity, present bool) error {
	c.limits(p)
	if changes := s.prepare(c, who, c.b.sessionExpiry(p)); changes != nil {
		// Not durable: SUBACK, PUBACK and the like are, each for what it answers.
		if err := c.b.store.Apply(ctx, false, changes); err != nil {
			c.b.storeFailed(err)
			return &refusal{mqtt.ServerUnavailable, "the session cannot be stored"}
		}
	}
	c.s, c.will, c.from = s, p.Will, who.publisher()
	ack, err := c.accept(p, present).Append(nil, c.version)
	switch {
	case err != nil:
		return err
	case len(ack) > c.maxPacket:
		return &refusal{mqtt.PacketTooLarge, "CONNACK is larger than the client takes"}
	}
	c.nc.SetDeadline(time.Time{})
	c.last.Store(mono())
	c.adopt()
	c.l.admitted(c.base)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.outLocked().b = append(c.out.b, ack...)
	s.conn, s.last = c, c
	c.wantFill = s.disk > 0
	c.b.stats.connects.Add(1)
	c.b.stats.messagesReceived.Add(1)
	c.b.stats.messagesSent.Add(1)
	return nil
}

// prepare changes the session for its new connection and returns what must be
// stored of that, nil: nothing. A session that the store knows stays there
// until it ends, whatever expiry the new connection asks for.
func (s *session) prepare(c *conn, who identity, expiry uint32) []mqtt.StoreChange {
	c.b.tree.gen.Add(1) // rights may differ from those of the last connection
	s.mu.Lock()
	defer s.mu.Unlock()
	s.who, s.version, s.expiry = who, c.version, expiry
	s.persistent = s.persistent || expiry > 0
	if s.persistent && s.exchanges == 0 {
		s.exchanges = rand.Uint64()>>1 | 1 // of 63 bits, never 0
	}
	s.left, s.will = clock.Stamp{}, nil // back before the delay was over: no will [MQTT-3.1.3-9]
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if !s.persistent {
		return nil
	}
	return []mqtt.StoreChange{{PutSession: s.stateLocked()}}
}

// sessionExpiry is how long the session of a CONNECT may live on. Before MQTT
// 5 a session that is not clean lives as long as we allow any.
func (b *Broker) sessionExpiry(p *packet.Connect) uint32 {
	most := b.set.Load().maxSessionExpiry
	switch {
	case p.Version == mqtt.V5:
		return min(p.Props.SessionExpiry, most)
	case p.CleanStart:
		return 0
	}
	return most
}

// enter counts a client in, within the limits.
func (c *conn) enter(s *session) error {
	b, set := c.b, c.b.set.Load()
	b.mu.Lock()
	defer b.mu.Unlock()
	_, known := b.sessions[s.id]
	switch {
	case b.clients >= set.maxClients, c.l.maxClients() > 0 && c.l.clients >= c.l.maxClients():
		return &refusal{mqtt.QuotaExceeded, "too many clients are connected"}
	case !known && len(b.sessions) >= set.maxSessions:
		return &refusal{mqtt.QuotaExceeded, "too many sessions"}
	case b.stopping:
		return &refusal{mqtt.ServerShuttingDown, "the broker is stopping"}
	}
	b.clients++
	c.l.clients++
	b.maxSeen = max(b.maxSeen, b.clients)
	b.sessions[s.id] = s
	return nil
}

// leave undoes enter for a connection that was not completed, or is over.
func (c *conn) leave() {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	c.b.clients--
	c.l.clients--
}

// countTakeover reports client ids that are fought over.
func (b *Broker) countTakeover(id, old, new string) {
	b.stats.takeovers.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	t := b.takeovers[id]
	if t == nil || now.Sub(t.since) > takeoverWindow {
		if len(b.takeovers) >= 1000 {
			clear(b.takeovers)
		}
		t = &takeover{since: now}
		b.takeovers[id] = t
	}
	if t.count++; t.count == takeoverReport {
		b.tell(fight(id, old, new), "client", id)
	}
}

// takeover counts how often a client id changed its connection.
type takeover struct {
	since time.Time
	count int
}
