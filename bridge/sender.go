package bridge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"fieldgate/buffer"
	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
)

// Cursor is the upstream's place in the queue; *buffer.Cursor is one.
type Cursor interface {
	Bit() uint64
	Mark()
	Next(lane buffer.Lane, after uint64, max, maxBytes int) ([]buffer.Entry, error)
	Ack(ids ...uint64)
	Requeue(ids ...uint64)
	GiveUp(entries ...buffer.Entry)
	Notify() <-chan struct{}
	Stats() buffer.CursorStats
}

// publisher is what the sender needs of a connection; *client.Conn is one.
type publisher interface {
	Put(ctx context.Context, m *mqtt.Message, r client.Receipt) error
	Flush()
	Done() <-chan struct{}
	Err() error
}

// limits are what the upstream has allowed in its CONNACK.
type limits struct {
	receiveMaximum int
	maxQoS         mqtt.QoS
	retain         bool
	maxPacket      int // bytes; 0: no limit
	v5             bool
}

// sender drains the queue into one connection. run is its only goroutine; the
// connection's reading goroutine hands acknowledgements over through done.
//
// Every entry is in one of these places, and leaves the queue only by Ack:
//
//	queue ──Next──> batch or ready ──publish──> flight ──ack──> Ack
//	                      ^                       │ refused: waits, goes again,
//	                      └───────────────────────┘ after five times is put aside
type sender struct {
	b       *Bridge
	conn    publisher
	lim     limits
	live    *lane // nil in strict order
	back    *lane // the backlog; in strict order everything
	window  window
	bucket  bucket
	careful bool // one message at a time until the first acknowledgement

	flight   flight
	letter   letter
	put      bool // something waits for Flush
	lastAck  time.Time
	usual    time.Duration // what an acknowledgement takes, smoothed
	lastLive time.Time
	paused   time.Time // nothing goes before, after "quota exceeded"
	pause    time.Duration
	acks     int
	pressed  bool // the window holds something back
	hold     bool // bulk waits, to save

	acked  []uint64 // by the upstream, not told to the queue yet; empty outside collect
	spare  []result
	both   [2]*lane
	looked time.Time // at the budget
	swept  time.Time // the flight, for overdue acknowledgements
	turn   time.Time // when run's last turn ended

	mu      sync.Mutex // guards results alone
	results []result
	wake    chan struct{} // capacity 1
}

type result struct {
	p   *parcel
	err error
	at  time.Time
}

// Pauses of the sender.
const (
	retries     = 5
	retryFirst  = time.Second // doubled at each refusal
	quotaFirst  = 5 * time.Second
	quotaMost   = 5 * time.Minute
	liveIdle    = 2 * time.Second // without live values for so long the backlog may use the whole window
	tick        = time.Second
	gatherFor   = time.Millisecond
	gatherPart  = 8 // or so much of what an acknowledgement takes
	gatherMost  = 5 * time.Millisecond
	closedFresh = 10 * time.Second // a peer that closes so soon after a message may have closed because of it
)

// newSender marks the queue: what is there now is backlog.
func newSender(b *Bridge, conn publisher, lim limits) *sender {
	b.queue.Mark()
	s := &sender{b: b, conn: conn, lim: lim, window: newWindow(lim.receiveMaximum), bucket: newBucket(b.s.rate),
		wake: make(chan struct{}, 1), careful: b.suspect.careful}
	if b.s.strict {
		s.back = newLane(buffer.Strict)
	} else {
		s.live, s.back = newLane(buffer.Live), newLane(buffer.Backlog)
		if b.s.newest {
			s.back.kind = buffer.Newest
		}
	}
	return s
}

// onlyUrgent makes the sender send alarms and nothing else.
func (s *sender) onlyUrgent() { s.live, s.back = nil, newLane(buffer.Urgent) }

// run sends until the connection or ctx ends. It returns why.
func (s *sender) run(ctx context.Context) error {
	s.lastAck = time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	defer s.leave()
	for {
		s.collect()
		s.save(time.Now())
		if err := s.read(); err != nil {
			return err
		}
		wait, err := s.send(ctx)
		if err != nil {
			return err
		}
		if err := s.overdue(time.Now()); err != nil {
			return err
		}
		s.b.count.window.Store(int64(s.window.size))
		s.b.count.inflight.Store(int64(s.flight.n))
		s.gather()
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.conn.Done():
			s.collect()
			return lost(s.conn.Err())
		case <-s.wake:
		case <-s.b.queue.Notify():
			s.stir()
		case <-timer.C:
			s.stir()
		}
	}
}

// gather lets a moment go by where something is in flight: what comes meanwhile
// shares the next packets on the wire, and the work around them. The moment is
// small beside what an acknowledgement takes at present. A message that finds
// the link idle goes at once.
func (s *sender) gather() {
	now := time.Now()
	moment := min(max(gatherFor, s.usual/gatherPart), gatherMost)
	if pause := moment - now.Sub(s.turn); pause > 0 && s.flight.n > 0 {
		time.Sleep(pause)
		now = now.Add(pause)
	}
	s.turn = now
}

func lost(err error) error {
	if err == nil {
		return errors.New("connection closed")
	}
	return err
}

// leave tells the bridge what a cut in the middle says about the messages in
// flight, see suspect.
func (s *sender) leave() {
	s.collect()
	s.b.count.inflight.Store(0)
	s.b.suspect.left(s)
}

func (s *sender) lanes() []*lane {
	if s.live == nil {
		s.both[0] = s.back
		return s.both[:1]
	}
	s.both = [2]*lane{s.live, s.back}
	return s.both[:]
}

// stir makes the lanes look into the queue again.
func (s *sender) stir() {
	for _, l := range s.lanes() {
		l.dry, l.calm = false, false
	}
}

// done runs in the connection's reading goroutine.
func (s *sender) done(p *parcel, err error) {
	s.mu.Lock()
	s.results = append(s.results, result{p, err, time.Now()})
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// collect takes the acknowledgements in.
func (s *sender) collect() {
	s.mu.Lock()
	results := s.results
	s.results = s.spare[:0]
	s.mu.Unlock()
	defer s.settle(results)
	for _, r := range results {
		if !r.p.flying {
			continue
		}
		code, refused := client.Refusal(r.err)
		if r.err != nil && !refused {
			continue // the connection went first: the queue hands it out again after Mark
		}
		s.flight.remove(r.p)
		s.answered(r.at)
		if refused {
			s.refused(r.p, code, r.at)
		} else {
			s.taken(r)
		}
	}
}

// settle tells the queue what was acknowledged, all of it at once.
func (s *sender) settle(results []result) {
	clear(results)
	s.spare = results[:0]
	if len(s.acked) == 0 {
		return
	}
	s.b.poison.forget(s.acked)
	s.b.queue.Ack(s.acked...)
	s.acked = s.acked[:0]
}

// answered notes that the upstream is alive and takes messages.
func (s *sender) answered(at time.Time) {
	s.acks++
	s.lastAck, s.careful = at, false
	s.b.suspect.clear()
}

func (s *sender) taken(r result) {
	s.pause = 0
	took := r.at.Sub(r.p.sent)
	s.usual += (took - s.usual) / 8
	s.window.acked(took, s.pressed, r.at)
	s.b.latency.add(took)
	s.b.count.acked.Add(uint64(len(r.p.entries)))
	for i := range r.p.entries {
		s.acked = append(s.acked, r.p.entries[i].ID)
	}
	r.p.lane.reuse(r.p)
}

// refused decides about a message that the upstream did not take.
func (s *sender) refused(p *parcel, code mqtt.ReasonCode, now time.Time) {
	s.b.count.refused.Add(1)
	if code == mqtt.QuotaExceeded || code == mqtt.ServerBusy {
		if !now.Before(s.paused) { // the first refusal since the last pause
			s.pause = min(max(quotaFirst, 4*s.pause), quotaMost)
			s.paused = now.Add(s.pause)
		}
		s.careful = true
		p.lane.putBack(p)
		return
	}
	p.attempts = s.b.poison.strike(p.entries[0].ID)
	switch {
	case len(p.entries) > 1 && p.attempts >= 2:
		a, b := p.split() // find the sample that is refused
		p.lane.putBack(a, b)
	case p.attempts >= retries:
		s.aside(p, "refused by the upstream: "+code.Error())
	default:
		p.due = now.Add(retryFirst << (p.attempts - 1))
		p.lane.putBack(p)
	}
}

// aside puts a message into quarantine, where it blocks nothing.
func (s *sender) aside(p *parcel, reason string) {
	s.b.quarantine(p, reason)
	s.b.poison.forget(p.ids())
	s.b.queue.Ack(p.ids()...)
}

// read fills the lanes from the queue.
func (s *sender) read() error {
	now := time.Now()
	for _, l := range s.lanes() {
		for !l.dry && l.wantsMore(s.window.size) {
			n, err := s.readLane(l, s.urgency(), now)
			if err != nil {
				return err
			}
			l.dry = n == 0
		}
		for !l.dry && !l.calm && len(l.ready[0]) < readAhead { // a full lane still looks for alarms
			n, err := s.readLane(l, buffer.AlarmsOnly, now)
			if err != nil {
				return err
			}
			l.calm = n == 0
		}
	}
	return nil
}

// readLane takes entries into a lane and says how many came.
func (s *sender) readLane(l *lane, after uint64, now time.Time) (int, error) {
	entries, err := s.b.queue.Next(l.kind, after, max(readAhead, 2*s.window.size), readBytes)
	if err != nil {
		return 0, fmt.Errorf("read the queue: %w", err)
	}
	for i := range entries {
		s.sort(l, &entries[i], now)
	}
	return len(entries), nil
}

// sort gives an entry its route; what has expired or has no route is done.
func (s *sender) sort(l *lane, e *buffer.Entry, now time.Time) {
	if s.b.expired(&e.Message) {
		s.b.count.expired.Add(1)
		s.b.queue.Ack(e.ID)
		return
	}
	r, topic := s.b.destination(&e.Message)
	if r == nil {
		s.b.count.unrouted.Add(1)
		s.b.queue.Ack(e.ID)
		return
	}
	if s.thins(r, e) {
		return
	}
	l.add(r, topic, e, now)
}

// send publishes what may go now and says how long to wait for what may not.
func (s *sender) send(ctx context.Context) (wait time.Duration, err error) {
	defer s.flush()
	for {
		now := time.Now()
		wait = tick
		for _, l := range s.lanes() {
			wait = sooner(wait, l.closeDue(now), now)
			wait = sooner(wait, l.soonest(now), now)
		}
		if now.Before(s.paused) {
			return sooner(wait, s.paused, now), nil
		}
		p := s.pick(now)
		if p == nil {
			return wait, nil
		}
		if pause := s.pace(p, now); pause > 0 {
			return min(wait, pause), nil
		}
		p.lane.remove(p)
		if err := s.publish(ctx, p, now); err != nil {
			return 0, err
		}
		s.collect()
		if err := s.read(); err != nil {
			return 0, err
		}
	}
}

// flush lets what was put go.
func (s *sender) flush() {
	if s.put {
		s.put = false
		s.conn.Flush()
	}
}

func sooner(wait time.Duration, at, now time.Time) time.Duration {
	if at.IsZero() {
		return wait
	}
	return max(0, min(wait, at.Sub(now)))
}

// pick is the parcel whose turn it is: alarms, then live values, then the
// backlog within its share. Nil: none, or the window is full.
func (s *sender) pick(now time.Time) *parcel {
	size := s.window.size
	if s.careful {
		size = 1
	}
	s.pressed = s.flight.n >= size
	if s.pressed || s.live == nil && s.retrying() {
		return nil
	}
	for _, l := range s.lanes() {
		if p := l.front(0, now); p != nil {
			return p
		}
	}
	for _, l := range s.lanes() {
		if l == s.back && s.live != nil && !s.backlogMay(size, now) {
			s.pressed = l.waiting() > 0
			continue
		}
		for r := 1; r < len(l.ready); r++ {
			if p := l.front(r, now); p != nil && !s.held(p) {
				return p
			}
		}
	}
	return nil
}

// retrying reports that a message which was refused before is in flight; in
// strict order nothing may overtake it again.
func (s *sender) retrying() bool {
	for p := range s.flight.all() {
		if p.attempts > 0 {
			return true
		}
	}
	return false
}

// backlogMay reports whether the backlog is within its share of the window:
// all of it while there are no live values, and always one message.
func (s *sender) backlogMay(size int, now time.Time) bool {
	if s.lastLive.IsZero() || now.Sub(s.lastLive) > liveIdle {
		return true
	}
	return s.back.flying < max(1, int(float64(size)*s.b.s.share))
}

// overdue looks at acknowledgements that do not come.
func (s *sender) overdue(now time.Time) error {
	if s.flight.n == 0 {
		s.lastAck = now
		return nil
	}
	if now.Sub(s.swept) < tick/4 {
		return nil
	}
	s.swept = now
	if now.Sub(s.flight.first.sent) > ackTimeout {
		s.window.timedOut(now)
	}
	if silent := now.Sub(s.lastAck); silent > ackGiveUp {
		return fmt.Errorf("no acknowledgement for %s", silent.Round(time.Second))
	}
	return nil
}
