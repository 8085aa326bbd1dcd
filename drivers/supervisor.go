package drivers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/mqtt"
)

// Broker is what the supervisor needs of the local broker.
type Broker interface {
	Publish(ctx context.Context, msgs ...mqtt.Message) error
	Handle(filter string, h func(ctx context.Context, msgs []mqtt.Message) error) error
}

// Options are the supervisor's surroundings. Broker and Gateway.ID are required.
type Options struct {
	Broker  Broker
	Gateway Gateway
	Publish Publish
	Log     *slog.Logger // nil: silent

	Synced     func() bool   // whether the wall clock can be trusted; nil asks the kernel
	CommandTTL time.Duration // how old a command may get, default 30s
	StaleTick  time.Duration // how often staleness is looked at, default 1s
}

// Bounds and paces of the supervisor.
const (
	defaultCommandTTL = 30 * time.Second
	restartMin        = time.Second     // pause before a failed driver starts again,
	restartMax        = time.Minute     // doubling up to this
	restartStable     = time.Minute     // a run this long starts the back-off anew
	restartJitter     = 0.2             // ± share of the pause
	infoEvery         = time.Minute     // device/info at most this often without a change of state
	outboxBatches     = 1024            // reports that may wait for the broker
	drainTimeout      = 5 * time.Second // at the end, for what is still in the outbox
)

// Supervisor runs drivers and stands between them and the broker.
//
// Goroutines: Run starts one for the outbox, one for staleness and info, and
// for each driver one for Driver.Run and one for its commands; the four request
// workers start with Run too. All end with Run's context, drivers first, the
// outbox last.
//
// Locks: order is held while samples become messages and enter the outbox, so
// that a tag's messages keep their order; mu guards the maps and states below
// it and is never held while anything blocks. order before mu.
type Supervisor struct {
	opt     Options
	log     *slog.Logger
	mapping *Mapping
	outbox  *outbox

	order    sync.Mutex
	readings []Reading // of report, which holds order: its place in memory

	mu         sync.Mutex
	entries    map[string]*entry    // by driver name
	tags       map[tagKey]*tagState //
	topics     map[string]*tagState // by value topic
	devices    map[string]*deviceState
	dependents map[tagKey][]*tagState // computed tags by what they follow from
	touched    []*deviceState         // that saw a sample since publishChangedDevices
	left       map[string][]string    // by driver that is away: its retained topics
	running    context.Context        // nil before Run and after it
	ran        bool                   // Run was called
	wg         sync.WaitGroup         // the goroutines of entries

	requests *requests
}

type tagKey struct{ device, tag string }

// entry is one driver under supervision.
type entry struct {
	driver   Driver
	devices  []string
	tags     []*tagState // in the driver's order
	commands *commandQueue
	cancel   context.CancelFunc // set while running
	done     chan struct{}      // closed when both goroutines ended
	restarts int
	lastErr  string
}

// NewSupervisor registers the command topics with the broker; it runs nothing.
func NewSupervisor(o Options) (*Supervisor, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.CommandTTL <= 0 {
		o.CommandTTL = defaultCommandTTL
	}
	if o.StaleTick <= 0 {
		o.StaleTick = time.Second
	}
	if o.Publish.MaxAge == 0 {
		o.Publish.MaxAge = conf.Duration(DefaultMaxAge)
	}
	m, err := NewMapping(o.Publish, o.Gateway, o.Synced)
	if err != nil {
		return nil, err
	}
	s := &Supervisor{
		opt: o, log: o.Log, mapping: m, outbox: newOutbox(o.Broker, o.Log),
		entries: map[string]*entry{}, tags: map[tagKey]*tagState{}, topics: map[string]*tagState{},
		devices: map[string]*deviceState{}, left: map[string][]string{}, dependents: map[tagKey][]*tagState{},
	}
	s.requests = newRequests(s)
	filter, err := m.SetFilter()
	if err != nil {
		return nil, err
	}
	if err := o.Broker.Handle(filter, s.handleSet); err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", filter, err)
	}
	filter = m.Base() + "/cmd/request/+"
	if err := o.Broker.Handle(filter, s.requests.handle); err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", filter, err)
	}
	return s, nil
}

// Mapping is the mapping in force, for those who need topics.
func (s *Supervisor) Mapping() *Mapping { return s.mapping }

// Add puts a driver under supervision. While Run runs it starts at once, else
// with Run. Names of drivers, of tags within a device and their topics must be
// new. What an earlier driver of the name has left retained and the new one
// does not have is cleared.
func (s *Supervisor) Add(d Driver, devices []DeviceInfo) error {
	orphans, err := s.add(d, devices)
	s.clear(orphans)
	return err
}

func (s *Supervisor) add(d Driver, devices []DeviceInfo) (orphans []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, twice := s.entries[d.Name()]; twice {
		return nil, fmt.Errorf("driver %q exists already", d.Name())
	}
	e := &entry{driver: d, commands: newCommandQueue()}
	states, err := s.newTagsLocked(d.Tags())
	if err != nil {
		return nil, err
	}
	for _, dev := range devices {
		if _, twice := s.devices[dev.Name]; twice {
			return nil, fmt.Errorf("device %q exists already", dev.Name)
		}
	}
	for _, dev := range devices {
		s.devices[dev.Name] = newDeviceState(dev)
		s.touchLocked(s.devices[dev.Name]) // a disabled one sees no samples
		e.devices = append(e.devices, dev.Name)
	}
	for _, t := range states {
		t.entry, t.device = e, s.devices[t.tag.Device]
		s.tags[tagKey{t.tag.Device, t.tag.Name}], s.topics[t.topic] = t, t
		s.linkLocked(t)
		if t.device != nil && t.tag.Computed == nil {
			t.device.tags = append(t.device.tags, t)
		}
	}
	e.tags = states
	s.entries[d.Name()] = e
	orphans = s.orphansLocked(d.Name())
	if s.running != nil {
		s.startLocked(s.running, e)
	}
	return orphans, nil
}

// orphansLocked takes what a driver has left and is nobody's now.
func (s *Supervisor) orphansLocked(driver string) (topics []string) {
	if len(s.left[driver]) == 0 {
		return nil
	}
	owned := map[string]bool{}
	for device := range s.devices {
		owned[s.deviceTopic(device, "status")], owned[s.deviceTopic(device, "info")] = true, true
	}
	for _, topic := range s.left[driver] {
		if s.topics[topic] == nil && !owned[topic] {
			topics = append(topics, topic)
		}
	}
	delete(s.left, driver)
	return topics
}

// clear deletes retained messages.
func (s *Supervisor) clear(topics []string) {
	for _, topic := range topics {
		s.send(mqtt.Message{Topic: topic, Retain: true, Kind: mqtt.KindStatus, Origin: "gateway"})
	}
}

// Remove stops a driver and waits for its end. forget also clears what it left
// retained at the broker; leave it false where the driver comes back at once
// with other settings: then Add clears what it no longer has.
func (s *Supervisor) Remove(name string, forget bool) error {
	s.mu.Lock()
	e := s.entries[name]
	if e == nil {
		s.mu.Unlock()
		return fmt.Errorf("there is no driver %q", name)
	}
	cancel, done := e.cancel, e.done
	s.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
	s.mu.Lock()
	delete(s.entries, name)
	var topics []string
	for _, t := range e.tags {
		delete(s.tags, tagKey{t.tag.Device, t.tag.Name})
		delete(s.topics, t.topic)
		s.unlinkLocked(t)
		topics = append(topics, t.topic)
	}
	for _, dev := range e.devices {
		s.devices[dev].gone = true
		delete(s.devices, dev)
		topics = append(topics, s.deviceTopic(dev, "status"), s.deviceTopic(dev, "info"))
	}
	if !forget {
		s.left[name] = topics
	}
	s.mu.Unlock()
	if forget {
		s.clear(topics)
	}
	return nil
}

// Run runs everything until ctx ends, then stops the drivers, publishes what
// is left and returns nil. It may be called once.
func (s *Supervisor) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.mu.Lock()
	if s.ran {
		s.mu.Unlock()
		return errors.New("the supervisor was run already")
	}
	s.running, s.ran = ctx, true
	for _, e := range s.entries {
		s.startLocked(ctx, e)
	}
	s.mu.Unlock()

	outboxDone := make(chan struct{})
	go func() { defer close(outboxDone); s.outbox.run() }()
	var own sync.WaitGroup
	own.Go(func() { s.watch(ctx) })
	s.requests.start(ctx, &own)
	s.publishStates()

	<-ctx.Done()
	defer s.outbox.hurry().Stop()
	s.mu.Lock()
	s.running = nil
	s.mu.Unlock()
	s.wg.Wait()
	own.Wait()
	s.outbox.close()
	<-outboxDone
	return nil
}

// startLocked starts a driver's two goroutines.
func (s *Supervisor) startLocked(ctx context.Context, e *entry) {
	ctx, e.cancel = context.WithCancel(ctx)
	e.done = make(chan struct{})
	now := s.now()
	for _, t := range e.tags {
		t.since = now
	}
	var both sync.WaitGroup
	both.Go(func() { s.keepRunning(ctx, e) })
	both.Go(func() { s.runCommands(ctx, e) })
	done := e.done
	s.wg.Go(func() { both.Wait(); close(done) })
}

// keepRunning is the driver loop: run, and when it ends, again after a pause.
func (s *Supervisor) keepRunning(ctx context.Context, e *entry) {
	pause := restartMin
	for {
		started := time.Now()
		err := runSafely(ctx, e.driver, func(samples []Sample) { s.report(samples) })
		if ctx.Err() != nil {
			return
		}
		if time.Since(started) >= restartStable {
			pause = restartMin
		}
		wait := jitter(pause, restartJitter)
		text := fmt.Sprintf("driver %s ended: %v; it starts again in %s", e.driver.Name(), err, wait.Round(100*time.Millisecond))
		s.mu.Lock()
		e.restarts++
		e.lastErr = fmt.Sprint(err)
		s.mu.Unlock()
		s.log.Error("driver ended", "driver", e.driver.Name(), "error", err, "again_in", wait)
		s.Event(Event{Code: CodeDriverFailed, Level: "error", Text: text})
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		pause = min(2*pause, restartMax)
	}
}

// runSafely turns a panic into an error with its stack: one driver's mistake
// must not stop the other lines, and is not hidden either.
func runSafely(ctx context.Context, d Driver, report func([]Sample)) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	err = d.Run(ctx, report)
	if err == nil {
		err = errors.New("it returned without an error")
	}
	return err
}

// jitter is d ± share, so that what failed together does not come back together.
func jitter(d time.Duration, share float64) time.Duration {
	return d + time.Duration(float64(d)*share*(2*rand.Float64()-1))
}

// Stats are the counts of all drivers that count, by bus.
func (s *Supervisor) Stats() []BusStats {
	s.mu.Lock()
	var statsers []Statser
	var ended []string
	for _, e := range s.entries {
		if st, ok := e.driver.(Statser); ok {
			statsers, ended = append(statsers, st), append(ended, e.lastErr)
		}
	}
	s.mu.Unlock()
	out := make([]BusStats, 0, len(statsers))
	for i, st := range statsers {
		one := st.Stats()
		if one.Error == "" && !one.Open {
			one.Error = ended[i] // it is not running, and this is why
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b BusStats) int { return strings.Compare(a.Bus, b.Bus) })
	return out
}

// PublishErrors is how many of our messages the broker has refused.
func (s *Supervisor) PublishErrors() uint64 { return s.outbox.failed.Load() }

// Driver finds a driver by its name, for commands that need more than the
// common methods.
func (s *Supervisor) Driver(name string) (Driver, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[name]
	if !ok {
		return nil, false
	}
	return e.driver, true
}
