package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"fieldgate/buffer"
	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
)

// fakeQueue is a Cursor in memory. Ids are seqs, with the class of the
// priority on top.
type fakeQueue struct {
	mu      sync.Mutex
	entries []buffer.Entry // sorted by id
	mark    uint64         // seq
	seq     uint64
	out     map[uint64]bool
	acked   []uint64 // seqs, in order
	given   []uint64 // seqs given up
	notify  chan struct{}
}

func newFakeQueue() *fakeQueue {
	return &fakeQueue{out: map[uint64]bool{}, notify: make(chan struct{}, 1)}
}

func (q *fakeQueue) add(m mqtt.Message, p buffer.Priority) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.seq++
	e := buffer.Entry{ID: uint64(rank(p))<<60 | q.seq, Epoch: 1, Seq: q.seq, Priority: p, Message: m}
	i, _ := slices.BinarySearchFunc(q.entries, e.ID, func(e buffer.Entry, id uint64) int {
		if e.ID < id {
			return -1
		}
		return 1
	})
	q.entries = slices.Insert(q.entries, i, e)
	q.poke()
	return q.seq
}

func (q *fakeQueue) poke() {
	select {
	case q.notify <- struct{}{}:
	default:
	}
}

func (q *fakeQueue) Bit() uint64             { return 1 }
func (q *fakeQueue) Notify() <-chan struct{} { return q.notify }

func (q *fakeQueue) Mark() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mark = q.seq
	clear(q.out)
	q.poke()
}

func (q *fakeQueue) Next(lane buffer.Lane, after uint64, max, _ int) (got []buffer.Entry, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.entries {
		if len(got) >= max {
			break
		}
		live := e.Seq > q.mark
		if after == buffer.NoBulk && e.Priority == buffer.Bulk || after == buffer.AlarmsOnly && e.Priority != buffer.Alarm {
			continue
		}
		if q.out[e.ID] || lane == buffer.Live && !live || lane == buffer.Backlog && live {
			continue
		}
		q.out[e.ID] = true
		got = append(got, e)
	}
	return got, nil
}

func (q *fakeQueue) Ack(ids ...uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		if !q.out[id] {
			continue
		}
		delete(q.out, id)
		q.entries = slices.DeleteFunc(q.entries, func(e buffer.Entry) bool {
			if e.ID == id {
				q.acked = append(q.acked, e.Seq)
			}
			return e.ID == id
		})
	}
}

func (q *fakeQueue) GiveUp(entries ...buffer.Entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range entries {
		if q.out[e.ID] {
			delete(q.out, e.ID)
			q.given = append(q.given, e.Seq)
			q.entries = slices.DeleteFunc(q.entries, func(x buffer.Entry) bool { return x.ID == e.ID })
		}
	}
}

func (q *fakeQueue) Requeue(ids ...uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		delete(q.out, id)
	}
	q.poke()
}

func (q *fakeQueue) Stats() buffer.CursorStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return buffer.CursorStats{Messages: int64(len(q.entries))}
}

func (q *fakeQueue) left() int { return int(q.Stats().Messages) }

// fakeStore keeps what is appended for the quarantine and for results.
type fakeStore struct {
	mu    sync.Mutex
	items []buffer.Item
	queue *fakeQueue // gets items with its bit
}

func (s *fakeStore) Append(_ context.Context, items []buffer.Item) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items = append(s.items, items...)
	for _, it := range items {
		if s.queue != nil && it.Targets&s.queue.Bit() != 0 {
			s.queue.add(it.Message, it.Priority)
		}
	}
	return nil
}

func (s *fakeStore) Wall(st clock.Stamp) (time.Time, bool) { return clock.Wall(st), true }

// fakeBroker is a local broker that only remembers and dispatches.
type fakeBroker struct {
	mu       sync.Mutex
	messages []mqtt.Message
	handlers []func(context.Context, []mqtt.Message) error
	refuse   error
}

func (b *fakeBroker) Handle(_ string, h func(context.Context, []mqtt.Message) error) error {
	b.handlers = append(b.handlers, h)
	return nil
}

func (b *fakeBroker) Publish(ctx context.Context, msgs ...mqtt.Message) error {
	b.mu.Lock()
	refuse := b.refuse
	b.messages = append(b.messages, msgs...)
	b.mu.Unlock()
	if refuse != nil && msgs[0].Kind == mqtt.KindMessage {
		return refuse
	}
	for _, h := range b.handlers {
		if err := h(ctx, msgs); err != nil {
			return err
		}
	}
	return nil
}

func (b *fakeBroker) on(topic string) (payloads []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.messages {
		if m.Topic == topic {
			payloads = append(payloads, string(m.Payload))
		}
	}
	return payloads
}

// fakeConn acknowledges after a round trip, by the rules of the test.
type fakeConn struct {
	rtt    time.Duration
	lim    limits
	answer func(m *mqtt.Message) error // nil: success; errSilent: never

	mu        sync.Mutex
	published []mqtt.Message
	at        []time.Time
	open, max int
	done      chan struct{}
	err       error
	subs      []mqtt.Subscription
}

var errSilent = errors.New("no answer")

func newFakeConn(rtt time.Duration) *fakeConn {
	return &fakeConn{rtt: rtt, lim: limits{receiveMaximum: 1000, maxQoS: 2, retain: true, v5: true}, done: make(chan struct{})}
}

func (c *fakeConn) Flush() {}

func (c *fakeConn) Put(_ context.Context, put *mqtt.Message, r client.Receipt) error {
	m := *put
	if put.Props != nil { // they are the sender's
		p := *put.Props
		p.User = slices.Clone(p.User)
		m.Props = &p
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	c.published = append(c.published, m)
	c.at = append(c.at, time.Now())
	c.open++
	c.max = max(c.max, c.open)
	var err error
	if c.answer != nil {
		err = c.answer(&m)
	}
	if errors.Is(err, errSilent) {
		return nil
	}
	time.AfterFunc(c.rtt, func() {
		c.mu.Lock()
		gone := c.err != nil
		c.open--
		c.mu.Unlock()
		if gone {
			err = errors.New("connection lost")
		}
		r.Done(err)
	})
	return nil
}

func (c *fakeConn) Publish(_ context.Context, m mqtt.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	c.published = append(c.published, m)
	c.at = append(c.at, time.Now())
	return nil
}

func (c *fakeConn) Subscribe(_ context.Context, subs ...mqtt.Subscription) ([]mqtt.ReasonCode, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subs = append(c.subs, subs...)
	return make([]mqtt.ReasonCode, len(subs)), nil
}

func (c *fakeConn) Disconnect(mqtt.ReasonCode) error { return c.Close() }
func (c *fakeConn) Limits() limits                   { return c.lim }
func (c *fakeConn) Done() <-chan struct{}            { return c.done }
func (c *fakeConn) Close() error                     { c.cut(errors.New("closed by us")); return nil }

func (c *fakeConn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// cut ends the connection.
func (c *fakeConn) cut(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
		close(c.done)
	}
}

func (c *fakeConn) payloads() (list []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.published {
		list = append(list, string(m.Payload))
	}
	return list
}

// world is a bridge with everything around it faked.
type world struct {
	*Bridge
	q      *fakeQueue
	store  *fakeStore
	broker *fakeBroker
	dialer *dialer
}

func newWorld(t testing.TB, cfg Config) *world {
	t.Helper()
	if cfg.URL == "" && len(cfg.URLs) == 0 {
		cfg.Name, cfg.URL = "up", "mqtt://127.0.0.1:1"
	}
	q := newFakeQueue()
	w := &world{q: q, store: &fakeStore{queue: q}, broker: &fakeBroker{}}
	b, err := New(cfg, Options{Gateway: "gw", Base: "fieldgate/gw", Buffer: w.store, Cursor: q, Broker: w.broker})
	if err != nil {
		t.Fatal(err)
	}
	w.Bridge = b
	return w
}

// start runs a sender over the connection; the returned function stops it and
// gives its error.
func (w *world) start(c *fakeConn) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- newSender(w.Bridge, c, c.lim).run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}

func value(n int) mqtt.Message {
	return mqtt.Message{Topic: "acme/pump/level", Payload: fmt.Append(nil, n), Kind: mqtt.KindSample,
		Sample: &mqtt.Sample{Device: "pump", Tag: "level", Value: fmt.Sprint(n), Quality: "good", Time: clock.Now()}}
}
