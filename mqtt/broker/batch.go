package broker

import (
	"context"
	"errors"
	"slices"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

// batch is what one read of a connection, or one call of Publish, has brought
// and what must still be done for it. finish does it in this order:
//
//  1. flush the connections that were given something, so that subscribers
//     wait for no disk
//  2. call the in-process handlers
//  3. commit what persistent sessions must get, in one Apply
//  4. acknowledge, unless a subscriber is so far behind that the publisher
//     has to wait for it
//
// A batch belongs to one goroutine and is reused.
type batch struct {
	b        *Broker
	conn     *conn // nil: Publish
	touched  []*conn
	durable  []mqtt.StoreChange // must be committed before the acknowledgements
	lazy     []mqtt.StoreChange // may go with the next commit
	pending  []placed           // deliveries among durable
	calls    []call
	acks     []ack
	raw      []byte // other answers, encoded, that wait for the commit as well
	rawCount uint64 // their number
	blocked  []*session
	vital    bool  // an answer other than to a publish waits for the commit
	err      error // the first failure, for Publish
	pub      publish
	room     []byte // small payloads for handlers; what is written is theirs
}

// placed is a delivery and its place in batch.durable.
type placed struct {
	*pending
	change int
}

// call is what a handler will be called with.
type call struct {
	handler *handler
	msgs    []mqtt.Message
	acks    []int // places in batch.acks, by message; -1: none
}

// ack is an acknowledgement to be sent.
type ack struct {
	typ    packet.Type
	id     uint16
	reason mqtt.ReasonCode
}

// touchLocked notes that a connection must be flushed.
func (bt *batch) touchLocked(c *conn) {
	if !c.flushDue {
		c.flushDue = true
		bt.touched = append(bt.touched, c)
	}
}

// blockLocked notes that acknowledgements must wait for an overfull session.
// Where the publisher can be told to try later, what follows is refused instead.
func (bt *batch) blockLocked(s *session) {
	if c := bt.conn; c != nil && c.version == mqtt.V5 && bt.b.set.Load().refuseWhenFull {
		return
	}
	if !slices.Contains(bt.blocked, s) {
		bt.blocked = append(bt.blocked, s)
	}
}

// store adds a delivery to what must be committed, with the session's lock held.
func (bt *batch) store(p *publish, s *session, e *entry) {
	entry := &mqtt.SessionEntry{ClientID: s.id}
	entry.Seq, entry.Message = e.seq, *p.message()
	m := &entry.Message
	m.QoS, m.Retain, m.Sample, m.From = e.qos, e.retain, nil, nil
	m.Props = withIDs(m.Props, e.ids)
	e.msg = m
	e.pend = &pending{session: s, seq: e.seq, size: e.size}
	s.uncommitted = append(s.uncommitted, e.pend)
	bt.pending = append(bt.pending, placed{e.pend, len(bt.durable)})
	bt.durable = append(bt.durable, mqtt.StoreChange{Enqueue: entry})
}

// flush sends what was appended to connections.
func (bt *batch) flush() {
	for i, c := range bt.touched {
		c.flush()
		bt.touched[i] = nil
	}
	bt.touched = bt.touched[:0]
}

// waits reports whether completing the batch may have to wait.
func (bt *batch) waits() bool {
	c := bt.conn
	return len(bt.calls) > 0 || len(bt.durable) > 0 && !bt.b.volatile ||
		c.wantFill || c.holding || c.pause > 0
}

// finish completes the batch; see there.
func (bt *batch) finish(ctx context.Context) {
	slow := len(bt.calls) > 0 || len(bt.durable) > 0
	if slow {
		bt.flush()
		bt.callHandlers(ctx)
	}
	bt.commit(ctx)
	if c := bt.conn; c != nil {
		c.answer(bt)
	}
	bt.flush()
}

// reset empties the batch, after the connection has answered.
func (bt *batch) reset() {
	clear(bt.durable)
	clear(bt.lazy)
	clear(bt.pending)
	clear(bt.blocked)
	bt.durable, bt.lazy, bt.pending, bt.blocked = bt.durable[:0], bt.lazy[:0], bt.pending[:0], bt.blocked[:0]
	for i := range bt.calls {
		bt.calls[i].reset()
	}
	bt.calls = bt.calls[:0]
	bt.acks, bt.raw, bt.rawCount, bt.err, bt.vital = bt.acks[:0], bt.raw[:0], 0, nil, false
	if cap(bt.raw) > 64<<10 {
		bt.raw = nil
	}
	bt.pub.reset()
	bt.pub.now = clock.Stamp{}
}

// reply appends an answer that is not to a publish.
func (bt *batch) reply(p packet.Packet) (err error) {
	bt.raw, err = p.Append(bt.raw, bt.conn.version)
	bt.rawCount++
	return err
}

// hand notes that a handler is to be called with a message.
func (bt *batch) hand(h *handler, m *mqtt.Message, ack int) {
	for i := range bt.calls {
		if c := &bt.calls[i]; c.handler == h {
			c.msgs, c.acks = append(c.msgs, *m), append(c.acks, ack)
			return
		}
	}
	n := len(bt.calls)
	if n == cap(bt.calls) {
		bt.calls = append(bt.calls, call{})
	}
	bt.calls = bt.calls[:n+1] // one of an earlier batch has its slices still
	c := &bt.calls[n]
	c.handler, c.msgs, c.acks = h, append(c.msgs, *m), append(c.acks, ack)
}

// callsPooled is how many messages a call may have had whose slices are kept.
const callsPooled = 256

func (c *call) reset() {
	if c.handler = nil; cap(c.msgs) > callsPooled {
		c.msgs, c.acks = nil, nil
		return
	}
	clear(c.msgs)
	c.msgs, c.acks = c.msgs[:0], c.acks[:0]
}

// forHandlers is the message as handlers get it. Where nobody keeps it yet,
// its payload is copied into one object with others.
func (bt *batch) forHandlers(p *publish) (m mqtt.Message) {
	if p.kept != nil || !p.view || len(p.payload) > smallPayload {
		return *p.message()
	}
	if cap(bt.room)-len(bt.room) < len(p.payload) {
		bt.room = make([]byte, 0, roomBytes)
	}
	at := len(bt.room)
	bt.room = append(bt.room, p.payload...)
	p.write(&m, bt.room[at:len(bt.room):len(bt.room)])
	return m
}

// roomBytes is what small payloads share. One that is kept for long keeps it all.
const roomBytes = 2 << 10

// inHandler marks the context of a handler.
type inHandler struct{}

func (bt *batch) callHandlers(ctx context.Context) {
	if len(bt.calls) > 0 {
		ctx = context.WithValue(ctx, inHandler{}, true)
	}
	for i := range bt.calls {
		c := &bt.calls[i]
		if err := c.handler.call(ctx, c.msgs); err != nil {
			bt.refuse(err, c.acks)
		}
	}
}

// refuse turns acknowledgements into refusals.
func (bt *batch) refuse(err error, acks []int) {
	if bt.err == nil {
		bt.err = err
	}
	reason := mqtt.ImplementationSpecificError
	var code mqtt.ReasonCode
	if errors.As(err, &code) && code.Failed() {
		reason = code
	}
	for _, i := range acks {
		if i >= 0 {
			bt.acks[i].reason = reason
		}
	}
}

// commit applies what is to be stored. If it fails, everything that this
// batch would have acknowledged is refused instead: the publisher still has it.
func (bt *batch) commit(ctx context.Context) {
	if c := bt.conn; c != nil && c.s.persistent { // which only changes before it has a connection
		c.s.mu.Lock()
		bt.lazy = append(bt.lazy, c.s.owed...)
		clear(c.s.owed)
		c.s.owed = c.s.owed[:0]
		c.s.mu.Unlock()
	}
	bt.elide()
	if len(bt.durable)+len(bt.lazy) > 0 {
		bt.apply(ctx)
	}
}

func (bt *batch) apply(ctx context.Context) {
	must := len(bt.durable) > 0
	err := bt.b.store.Apply(ctx, must, append(bt.durable, bt.lazy...))
	if err != nil {
		bt.b.storeFailed(err)
		if must {
			bt.refuseAll(err)
		}
	}
	bt.settle(err)
}

// refuseAll refuses every publish of the batch.
func (bt *batch) refuseAll(err error) {
	bt.err = err
	for i := range bt.acks {
		if a := &bt.acks[i]; a.typ == packet.TypePuback || a.typ == packet.TypePubrec {
			a.reason = mqtt.ImplementationSpecificError
		}
	}
	if bt.conn != nil {
		bt.conn.storeBroken = true
		bt.conn.forget(bt.durable)
	}
}

// forget takes QoS 2 publishes back that were not taken in after all: sent
// again, they are new.
func (c *conn) forget(changes []mqtt.StoreChange) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for i := range changes {
		if add := changes[i].ReceivedAdd; add != nil {
			delete(c.s.received, add.PacketID)
		}
	}
}

// elide takes out deliveries that have been acknowledged meanwhile: they need
// no disk.
func (bt *batch) elide() {
	if len(bt.pending) == 0 {
		return
	}
	skip := 0
	for i := range bt.pending {
		p := &bt.pending[i]
		s := p.session
		s.mu.Lock()
		if p.acked {
			s.settleLocked(p.pending)
			bt.durable[p.change] = mqtt.StoreChange{}
			p.pending = nil
			skip++
		}
		s.mu.Unlock()
	}
	if skip > 0 {
		bt.durable = slices.DeleteFunc(bt.durable, func(c mqtt.StoreChange) bool { return c == mqtt.StoreChange{} })
	}
}

// settle tells the sessions that their deliveries are committed, or lost.
func (bt *batch) settle(err error) {
	var late []mqtt.StoreChange
	var fill []*session
	for i := range bt.pending {
		p := bt.pending[i].pending
		if p == nil {
			continue
		}
		s := p.session
		s.mu.Lock()
		s.settleLocked(p)
		if !p.disk && s.conn != nil {
			bt.goOnLocked(s, p, err)
		}
		switch {
		case p.acked && err == nil:
			late = append(late, mqtt.StoreChange{Dequeue: &mqtt.SessionSeq{ClientID: s.id, Seq: p.seq}})
		case p.disk && err != nil && !s.gone:
			s.disk--
			s.chargeLocked(-p.size)
		case p.disk && s.conn != nil && s.queue.len() == 0 && !slices.Contains(fill, s):
			fill = append(fill, s)
		}
		s.mu.Unlock()
	}
	if len(late) > 0 {
		if err := bt.b.store.Apply(context.Background(), false, late); err != nil {
			bt.b.storeFailed(err)
		}
	}
	for _, s := range fill {
		s.fill(bt)
	}
}

// goOnLocked sends what waited for this commit, or takes it out of the queue
// where the commit failed: then its publisher is refused.
func (bt *batch) goOnLocked(s *session, p *pending, err error) {
	if err != nil {
		for i := range s.queue.len() {
			if e := s.queue.at(i); e.pend == p && e.qos == 2 {
				gone := s.unqueueLocked(i)
				s.chargeLocked(-gone.size)
				break
			}
		}
	}
	if s.pumpLocked() {
		bt.touchLocked(s.conn)
	}
}

func (s *session) settleLocked(p *pending) {
	p.settled = true
	if i := slices.Index(s.uncommitted, p); i >= 0 {
		s.uncommitted = slices.Delete(s.uncommitted, i, i+1)
	}
}
