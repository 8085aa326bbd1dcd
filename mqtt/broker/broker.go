package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
)

// Options are what New needs beyond the file. The zero value is a broker in
// memory that logs nothing.
type Options struct {
	Store   Store            // nil: in memory only
	Log     *slog.Logger     // nil: nothing is logged
	Version string           // for $SYS/broker/version
	Now     func() time.Time // for the validity of certificates where the clock may be wrong; nil: the clock
	TLSDir  string           // where certificates of our own making are kept; empty: nowhere
	Events  func(Event)      // told what a person should hear of, besides the log; must not wait; nil: nobody
}

// Broker is the MQTT server. Its methods may be called from any goroutine.
//
// Locks, in the order in which they may be held together: session.mu, then
// retained.mu. Broker.mu, tree.mu and users.mu are never held together with
// another, but for tree.mu, under which nothing else is taken.
type Broker struct {
	log     *slog.Logger
	version string
	now     func() time.Time // nil: time.Now
	events  func(Event)      // nil: nobody
	tlsDir  string
	store   Store
	started clock.Stamp
	life    context.Context // ends when the broker stops for good
	end     context.CancelFunc

	set         atomic.Pointer[settings]
	acl         atomic.Pointer[acl]
	users       atomic.Pointer[users]
	handlers    atomic.Pointer[[]*handler]
	tree        tree
	retained    retained
	queuedBytes atomic.Int64
	stats       counters
	batches     sync.Pool
	unsaved     unsaved
	local       localRoutes
	sysLog      *sysLog
	loop        loop
	knocks      *knocks
	volatile    bool // the store is in memory: nothing waits for a disk

	mu        sync.Mutex
	config    Config
	sessions  map[string]*session
	claims    map[string]*claim
	takeovers map[string]*takeover
	clients   int
	maxSeen   int
	listeners []*listener
	running   bool
	stopping  bool
	wg        sync.WaitGroup // listeners and connections
	storeBad  time.Time      // when trouble with the store was last logged
}

// handler is an in-process subscriber.
type handler struct {
	filter string
	call   func(ctx context.Context, msgs []mqtt.Message) error
}

// New makes a broker from a valid Config and loads its sessions and retained
// messages. It binds nothing; a missing users file or certificate is an error.
func New(cfg Config, o Options) (*Broker, error) {
	b := &Broker{
		log: o.Log, version: o.Version, now: o.Now, events: o.Events, tlsDir: o.TLSDir, store: o.Store, started: clock.Now(),
		config: cfg, sessions: map[string]*session{}, claims: map[string]*claim{}, takeovers: map[string]*takeover{},
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	b.sysLog = newSysLog(b.log.Handler())
	b.log = slog.New(b.sysLog)
	if b.store == nil || !cfg.persistent() {
		b.store, b.volatile = newMemory(), true
	}
	b.loop.b = b
	b.knocks = newKnocks(b)
	b.life, b.end = context.WithCancel(context.Background())
	b.batches.New = func() any { return &batch{b: b} }
	b.handlers.Store(&[]*handler{})
	access, err := loadAccess(cfg)
	if err != nil {
		return nil, err
	}
	b.use(cfg, access)
	if err := b.load(b.life); err != nil {
		return nil, fmt.Errorf("load sessions and retained messages: %w", err)
	}
	return b, nil
}

// time is the wall clock, as far as it is trusted.
func (b *Broker) time() time.Time {
	if b.now != nil {
		return b.now()
	}
	return time.Now()
}

// use puts settings and rights in force.
func (b *Broker) use(cfg Config, a *accessFiles) {
	set := newSettings(cfg)
	b.fit(set)
	b.sysLog.on.Store(set.sysLog)
	b.set.Store(set)
	b.acl.Store(a.acl)
	b.users.Store(a.users)
	b.retained.limit(orInt(cfg.RetainLimit, DefaultRetainLimit), cfg.RetainBytes.Or(DefaultRetainBytes))
	b.tree.gen.Add(1)
}

// Handle makes h an in-process subscriber to a filter. It is called in the
// publisher's goroutine with what one read or one Publish brought, after
// connected subscribers were served and before the publisher is acknowledged;
// an error refuses the messages. It may wait for the disk, never for a network
// or a device. It may keep messages, but not the slice nor pointers into it, which
// are used again. Filters do not share or exclude each other: two handlers get
// two copies. Call it before Run, or messages published meanwhile are missed.
func (b *Broker) Handle(filter string, h func(ctx context.Context, msgs []mqtt.Message) error) error {
	if err := mqtt.CheckFilter(filter); err != nil {
		return fmt.Errorf("filter %q: %w", filter, err)
	}
	b.mu.Lock()
	list := append([]*handler(nil), *b.handlers.Load()...)
	list = append(list, &handler{filter, h})
	b.handlers.Store(&list)
	b.mu.Unlock()
	b.tree.gen.Add(1)
	return nil
}

// Publish publishes messages of our own parts, without asking for rights. It
// returns when the handlers have returned and, for QoS 1 and 2, when everything
// that persistent sessions must get is durable; for those it also waits for
// overfull subscribers, as long as ctx allows: then the messages are published
// all the same and the error is that of ctx. With the context of a handler it
// does not wait for them: the one it would wait for may be waiting for it.
func (b *Broker) Publish(ctx context.Context, msgs ...mqtt.Message) error {
	for i := range msgs {
		if err := mqtt.CheckTopic(msgs[i].Topic); err != nil {
			return fmt.Errorf("topic %q: %w", msgs[i].Topic, err)
		}
		if msgs[i].QoS > 2 {
			return fmt.Errorf("topic %q: %w", msgs[i].Topic, mqtt.QoSNotSupported)
		}
	}
	bt := b.getBatch()
	defer b.putBatch(bt)
	for i := range msgs {
		bt.publishOne(&msgs[i], nil)
	}
	bt.finish(ctx)
	err := bt.err
	if len(bt.blocked) > 0 && ctx.Value(inHandler{}) == nil {
		room := make(chan struct{})
		b.holdFor(bt.blocked, func() { close(room) })
		select {
		case <-room:
		case <-b.life.Done():
		case <-ctx.Done():
			err = errors.Join(err, ctx.Err())
		}
	}
	return err
}

// publishOne puts one message of ours, or a will, on its way. from is the
// will's session.
func (bt *batch) publishOne(m *mqtt.Message, from *session) {
	var r *route
	if from == nil {
		r = bt.b.local.route(bt.b, m.Topic)
	} else {
		r = bt.b.newRoute(m.Topic, from)
	}
	if r.refusal != mqtt.Success {
		return
	}
	p := &bt.pub
	p.reset()
	p.topic, p.payload, p.qos, p.retain, p.props = r.topic, m.Payload, m.QoS, m.Retain, m.Props
	p.kind, p.origin, p.stamp, p.sample, p.from = m.Kind, m.Origin, m.Stamp, m.Sample, m.From
	if p.props != nil && len(p.props.SubscriptionIDs) > 0 {
		p.props = withoutIDs(p.props)
	}
	if !system(m.Topic) { // what tells of the counters does not move them
		bt.b.stats.publishReceived.Add(1)
		bt.b.stats.publishBytesReceived.Add(uint64(len(m.Payload)))
	}
	bt.send(r, -1)
}

func withoutIDs(props *mqtt.Properties) *mqtt.Properties {
	own := *props
	own.SubscriptionIDs = nil
	return &own
}

// localRoutes remembers the ways of what our own parts publish.
type localRoutes struct {
	mu     sync.Mutex
	routes map[string]*route
}

// maxLocalRoutes is more than a gateway has tags.
const maxLocalRoutes = 16 << 10

func (l *localRoutes) route(b *Broker, topic string) *route {
	l.mu.Lock()
	r := l.routes[topic]
	l.mu.Unlock()
	if r != nil && r.gen == b.tree.gen.Load() {
		return r
	}
	r = b.newRoute(topic, nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.routes == nil || len(l.routes) >= maxLocalRoutes {
		l.routes = map[string]*route{}
	}
	l.routes[topic] = r
	return r
}

// Retained returns the retained messages under a filter, in no order.
func (b *Broker) Retained(filter string) []mqtt.Message {
	now := clock.Now()
	var list []mqtt.Message
	for _, m := range b.retained.match(filter) {
		if _, expired := remaining(m, b.started, now); !expired {
			list = append(list, *m)
		}
	}
	return list
}

func (b *Broker) getBatch() *batch { return b.batches.Get().(*batch) }

func (b *Broker) putBatch(bt *batch) {
	bt.reset()
	b.batches.Put(bt)
}

func (b *Broker) session(id string) *session {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sessions[id]
}

// levelsFit checks a topic against max_levels.
func (b *Broker) levelsFit(topic string) bool {
	n := 0
	for i := range len(topic) {
		if topic[i] == '/' {
			n++
		}
	}
	return n < b.set.Load().maxLevels
}

// storeFailed reports trouble with the store, not too often.
func (b *Broker) storeFailed(err error) {
	b.stats.storeErrors.Add(1)
	b.mu.Lock()
	silent := time.Since(b.storeBad) < reportEvery
	if !silent {
		b.storeBad = time.Now()
	}
	b.mu.Unlock()
	if !silent {
		b.log.Error("the store of the broker fails; publishers are not acknowledged meanwhile", "error", err)
	}
}

// Addr is the address a listener is bound to, nil where it is not.
func (b *Broker) Addr(name string) net.Addr {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.listeners {
		if l.name() == name && l.ln != nil {
			return l.ln.Addr()
		}
	}
	return nil
}
