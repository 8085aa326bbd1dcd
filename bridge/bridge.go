package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"fieldgate/buffer"
	"fieldgate/buffer/clock"
	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
	"fieldgate/mqtt/encode"
)

// Store is what a bridge needs of the buffer; *buffer.Buffer is one.
type Store interface {
	Appender
	Wall(s clock.Stamp) (t time.Time, synced bool)
}

// QuarantineName is the queue that keeps messages an upstream refuses; no
// upstream may be called so.
const QuarantineName = "quarantine"

// Options are what a bridge needs beside its configuration. All but the last
// six are required.
type Options struct {
	Gateway string // the gateway's id
	Base    string // topic of the gateway's own state, "fieldgate/GATEWAY"
	Buffer  Store
	Cursor  Cursor // of this upstream in the buffer
	Broker  Broker

	Log        *slog.Logger              // default: discard
	Zone       *time.Location            // of connect.schedule; default: the system's
	AsIs       *encode.Encoder           // how this gateway publishes values, to put late times right; default JSON
	Build      time.Time                 // of the program: certificates are never checked against an earlier time
	Floor      func() time.Time          // the latest time known to be past, kept over restarts
	Settings   Settings                  // where the use of the month and what was learnt about the link are kept over restarts; nil: they are not
	Quarantine interface{ Bit() uint64 } // cursor of a queue that keeps messages the upstream refuses; nil: they are dropped, with an event
}

// Bridge connects the gateway with one upstream. Its methods may be called
// from any goroutine.
type Bridge struct {
	cfg     Config
	s       *settings
	opts    Options
	queue   Cursor
	log     *slog.Logger
	origin  string // "upstream:NAME"
	replies string // prefix of the topics that carry results to this upstream

	replyRoute, eventRoute *route

	meter     meter
	tickets   tickets
	budget    *budget
	count     counters
	latency   latencies
	echoes    *echoes
	asked     asked
	replySeq  atomic.Uint64
	loopSeen  atomic.Int64 // Unix seconds
	poison    poison
	suspect   suspect // Run's
	mutes     int     // Run's: connections in a row that ended without a CONNACK; -1: MQTT 5 was agreed on before
	knowsOld  bool    // Run's: the upstream answers 3.1.1 and closes on 5
	whereOnce sync.Once
	kick      chan struct{}                                                        // capacity 1
	pulse     *pulse                                                               // nil: a fixed keep-alive
	dial      dialFunc                                                             // tests replace it
	dialer    func(ctx context.Context, network, address string) (net.Conn, error) // tests set it; nil: the network's

	primaryCheck, scheduleLook, alarmLinger, stableAfter time.Duration    // tests shorten them
	wall                                                 func() time.Time // tests replace it

	mu    sync.Mutex // guards state alone
	state Stats      // the part about the connection
}

// New compiles the configuration, which should have been validated. It opens
// nothing.
func New(cfg Config, o Options) (*Bridge, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.AsIs == nil {
		asIs, err := encode.New(encode.Options{Format: encode.JSON, Gateway: o.Gateway, Wall: o.Buffer.Wall})
		if err != nil {
			return nil, err
		}
		o.AsIs = asIs
	}
	s, err := cfg.compile(o.Gateway, compileOptions{wall: o.Buffer.Wall, asIs: o.AsIs})
	if err != nil {
		return nil, err
	}
	b := &Bridge{cfg: cfg, s: s, opts: o, queue: o.Cursor, log: o.Log.With("upstream", s.name), origin: "upstream:" + s.name,
		replies: o.Base + "/upstream/" + s.name + "/reply/", echoes: newEchoes(), kick: make(chan struct{}, 1), dial: dialClient,
		primaryCheck: primaryCheck, scheduleLook: scheduleLook, alarmLinger: alarmLinger, stableAfter: stableAfter, wall: time.Now}
	if s.keepaliveMax > s.keepalive {
		b.pulse = newPulse(s.name, s.keepalive, s.keepaliveMax, o.Settings, b.log)
	}
	plain := route{gateway: o.Gateway, format: encode.AsIs, qos: DefaultRouteQoS, batch: batchLimits{samples: 1},
		priority: buffer.Alarm, wall: o.Buffer.Wall, asIs: o.AsIs, strip: true}
	reply := plain
	reply.reply = true
	b.replyRoute, b.eventRoute = &reply, &plain
	b.suspect.b = b
	b.budget = newBudget(cfg.Budget, s.name, o.Settings, b.trustedNow)
	b.state = Stats{Name: s.name, State: StateStopped, Since: time.Now(), URL: s.urls[0].String()}
	return b, nil
}

// Name is the upstream's name.
func (b *Bridge) Name() string { return b.s.name }

// Kick ends a pause: the bridge tries at once, as after a reload. While it is
// online it does nothing.
func (b *Bridge) Kick() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

// Run connects, and again, until ctx ends; it returns nil then. One Run at a
// time.
func (b *Bridge) Run(ctx context.Context) error {
	defer func() { b.budget.close(b.meter.total()) }()
	b.publishStatus("offline") // a retained "online" of an earlier run is not true any more
	if b.cfg.Disabled {
		b.setState(StateDisabled, "disabled", "")
		<-ctx.Done()
		return nil
	}
	back := newBackoff(b.s.backMin, b.s.backMax, b.s.jitter, b.s.spread)
	urls := rotation{n: len(b.s.urls), primary: b.s.primary}
	for ctx.Err() == nil {
		select {
		case <-b.kick: // for the attempt that is made anyway
		default:
		}
		urgent := b.awaitSchedule(ctx)
		if ctx.Err() != nil {
			break
		}
		began := time.Now()
		online, err := b.attempt(ctx, &urls, urgent)
		if ctx.Err() != nil {
			break
		}
		held := online && time.Since(began) >= b.stableAfter
		if held {
			back.reset()
		}
		b.next(ctx, &urls, back, online, held, err)
	}
	b.setState(StateStopped, "stopped", "")
	return nil
}

// next decides what follows a failed attempt or a lost connection, and waits
// until it is time for it.
func (b *Bridge) next(ctx context.Context, urls *rotation, back *backoff, online, held bool, err error) {
	why := explain(err, b.cfg)
	switch {
	case errors.Is(err, errScheduleClosed), errors.Is(err, errScheduleOpen), errors.Is(err, errAlarmsSent):
		urls.failed(online)
		return // the schedule says what comes next
	case errors.Is(err, errPrimaryBack):
		urls.goBack()
		return // it is there, and nobody else comes back with us
	case urls.refer(redirect(err, urls.address(b.s.urls))):
		b.setState(StateConnecting, why.text, "")
		return
	}
	again := urls.failed(online)
	if again && why.pace == normalPace && !online {
		b.setState(StateConnecting, why.text, why.hint)
		return // the other addresses first
	}
	if held && why.pace == normalPace && endedByPeer(err) {
		why.pace = sharedPace
	}
	b.pause(ctx, back.next(why.pace), why)
}

// pause waits before the next attempt, until Kick or the end.
func (b *Bridge) pause(ctx context.Context, d time.Duration, why reason) {
	b.mu.Lock()
	b.state.NextTry = time.Now().Add(d)
	first := b.state.Reason != why.text
	b.mu.Unlock()
	b.setState(StateWaiting, why.text, why.hint)
	if first {
		b.log.Warn("upstream is offline", "reason", why.text, "hint", why.hint, "next_try", d.Round(time.Millisecond))
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-b.kick:
	case <-timer.C:
	}
}

// attempt makes one connection and uses it until it ends. online says that the
// upstream had let us in.
func (b *Bridge) attempt(ctx context.Context, urls *rotation, urgent bool) (online bool, err error) {
	u := urls.address(b.s.urls)
	b.mu.Lock()
	b.state.URL = u.String()
	b.state.Attempts++
	b.mu.Unlock()
	b.setState(StateConnecting, b.reason(), "")

	incoming := newInbox(b)
	conn, err := b.dial(ctx, b, u, incoming.put)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if err := b.announce(ctx, conn); err != nil {
		return false, err
	}
	urls.connected()
	sender := newSender(b, conn, conn.Limits())
	if urgent {
		sender.onlyUrgent()
	}
	b.online(conn)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	wg.Go(func() { incoming.run(ctx) })
	if urls.standby() {
		every := urls.patience(b.primaryCheck)
		wg.Go(func() { b.watchPrimary(ctx, cancel, every) })
	}
	if len(b.s.schedule) > 0 {
		wg.Go(func() { b.watchSchedule(ctx, cancel, urgent) })
	}
	err = sender.run(ctx)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	b.farewell(conn)
	cancel(nil)
	wg.Wait()
	return true, err
}

// announce subscribes to the commands and says that we are here.
func (b *Bridge) announce(ctx context.Context, conn connection) error {
	ctx, cancel := context.WithTimeout(ctx, b.s.timeout)
	defer cancel()
	if err := b.subscribe(ctx, conn); err != nil {
		return err
	}
	if b.s.stateTopic == "" {
		return nil
	}
	if err := conn.Publish(ctx, b.stateMessage("online", conn.Limits())); err != nil {
		code, refused := client.Refusal(err)
		if !refused {
			return fmt.Errorf("publish state: %w", err)
		}
		b.log.Warn("the upstream refuses the gateway's state", "topic", b.s.stateTopic, "reason", code,
			"hint", `allow it there, or set state_topic = "off"`)
	}
	return nil
}

// farewell says that we go, where the connection still stands. Where the word
// does not get through, MQTT 5 lets the will say it.
func (b *Bridge) farewell(conn connection) {
	select {
	case <-conn.Done():
		return
	default:
	}
	if b.s.stateTopic == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewellTimeout)
	defer cancel()
	if err := conn.Publish(ctx, b.stateMessage("offline", conn.Limits())); err != nil {
		b.log.Debug("publish state", "err", err)
		_ = conn.Disconnect(mqtt.DisconnectWithWill) // the connection may be gone meanwhile
	}
}

const farewellTimeout = 5 * time.Second

// stateMessage is the gateway's state at the upstream.
func (b *Bridge) stateMessage(text string, lim limits) mqtt.Message {
	m := mqtt.Message{Topic: b.s.stateTopic, Payload: []byte(text), QoS: min(1, lim.maxQoS), Retain: lim.retain}
	return m
}

// expired reports a message whose publisher wanted it gone by now.
func (b *Bridge) expired(m *mqtt.Message) bool {
	if m.Props == nil || !m.Props.HasExpiry || m.Stamp.IsZero() {
		return false
	}
	age, known := b.age(m.Stamp)
	return known && age > time.Duration(m.Props.MessageExpiry)*time.Second
}

// wearExpiry takes the time in the queue off the message's expiry, as a server
// does [MQTT-3.3.2-6].
func (b *Bridge) wearExpiry(m *mqtt.Message, stamp clock.Stamp) {
	if m.Props == nil || !m.Props.HasExpiry || stamp.IsZero() {
		return
	}
	if age, known := b.age(stamp); known && age > 0 {
		left := time.Duration(m.Props.MessageExpiry)*time.Second - age
		m.Props.MessageExpiry = uint32(max(1, left.Round(time.Second)/time.Second))
	}
}

// age is the time since a stamp. A stamp of an earlier boot has a known age
// only where both clocks were right.
func (b *Bridge) age(s clock.Stamp) (d time.Duration, known bool) {
	if s.Boot == 0 {
		return clock.Now().Sub(s), true
	}
	then, ok := b.opts.Buffer.Wall(s)
	now, synced := b.opts.Buffer.Wall(clock.Now())
	return now.Sub(then), ok && synced
}
