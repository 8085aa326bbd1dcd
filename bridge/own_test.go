package bridge

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"fieldgate/buffer"
	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/broker"
	"fieldgate/mqtt/client"
	"fieldgate/mqtt/mqtttest"
)

// TestMain checks that no test leaves a goroutine behind.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	for began := time.Now(); code == 0 && runtime.NumGoroutine() > before+1; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > patience {
			buf := make([]byte, 1<<20)
			fmt.Fprintf(os.Stderr, "%d goroutines, %d before the tests:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
			code = 1
		}
	}
	os.Exit(code)
}

// ownBroker is our broker on a free port, as the local one or as the upstream.
func ownBroker(t testing.TB, cfg broker.Config, o broker.Options) (b *broker.Broker, addr string) {
	t.Helper()
	cfg.Listener = []broker.Listener{{Name: "l", Bind: "127.0.0.1:0", AllowAnonymous: true, MaxConnects: 10_000}}
	b, err := broker.New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("broker: %v", err)
		}
	})
	return b, b.Addr("l").String()
}

// TestBetweenOwnBrokers: client, local broker, queue on disk, bridge, upstream,
// all real. What a publisher got a PUBACK for while the upstream was away
// arrives later, once, in order; a command comes down and its result goes up.
func TestBetweenOwnBrokers(t *testing.T) {
	up, upAddr := ownBroker(t, broker.Config{}, broker.Options{})
	link := mqtttest.NewLink(t, upAddr)
	link.Cut()
	store, err := buffer.Open(buffer.Config{Dir: t.TempDir(), MinFree: 1 << 20, Commit: conf.Duration(50 * time.Millisecond)}, buffer.Options{GatewayID: "gw"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if err := store.Upstreams([]string{"up"}); err != nil {
		t.Fatal(err)
	}
	cursor, err := store.Cursor("up")
	if err != nil {
		t.Fatal(err)
	}
	local, localAddr := ownBroker(t, broker.Config{}, broker.Options{Store: store.State()})
	b, err := New(Config{Name: "up", URL: "mqtt://" + link.Address(), Connect: Connect{BackoffMin: conf.Duration(50 * time.Millisecond), BackoffMax: conf.Duration(time.Second)},
		Route: []Route{{From: "acme/#", To: "f/{gateway}/{#}"}}, Command: []Command{{From: "f/gw/cmd/+/set", To: "acme/{1}/set"}}},
		Options{Gateway: "gw", Base: "fieldgate/gw", Buffer: store, Cursor: cursor, Broker: local})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewHub(local, store, []*Bridge{b}); err != nil {
		t.Fatal(err)
	}
	r := &rig{Bridge: b, t: t}
	r.run()

	var mu sync.Mutex
	var got []mqtt.Message
	if err := up.Handle("f/#", func(_ context.Context, msgs []mqtt.Message) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, msgs...)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	taken := func() []mqtt.Message {
		mu.Lock()
		defer mu.Unlock()
		return append([]mqtt.Message(nil), got...)
	}
	pub, err := client.Dial(t.Context(), client.Config{URL: "mqtt://" + localAddr, CleanStart: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pub.Close() })
	for i := range 100 {
		if err := pub.Publish(t.Context(), counted(i, 1)); err != nil {
			t.Fatal(err)
		}
	}
	link.Restore()
	r.online()
	until(t, "all arrived", func() bool { return len(taken()) >= 100 })
	if repeats := account(t, taken(), 100); repeats != 0 {
		t.Errorf("%d repeats", repeats)
	}
	for i, m := range taken() {
		if m.Topic != "f/gw/n" || string(m.Payload) != fmt.Sprint(i) {
			t.Fatalf("message %d is %s %s", i, m.Topic, m.Payload)
		}
	}

	answered := make(chan mqtt.Message, 1)
	if err := local.Handle("acme/pump/set", func(ctx context.Context, msgs []mqtt.Message) error {
		m := msgs[0]
		go func() {
			_ = local.Publish(context.Background(), mqtt.Message{Topic: m.Props.ResponseTopic, Payload: m.Payload, Kind: mqtt.KindCommandResult, Origin: "device:pump",
				Props: &mqtt.Properties{CorrelationData: m.Props.CorrelationData}})
		}()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := up.Handle("answers", func(_ context.Context, msgs []mqtt.Message) error {
		answered <- msgs[0]
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := up.Publish(t.Context(), mqtt.Message{Topic: "f/gw/cmd/pump/set", Payload: []byte("72.5"), QoS: 1,
		Props: &mqtt.Properties{ResponseTopic: "answers", CorrelationData: []byte("7")}}); err != nil {
		t.Fatal(err)
	}
	select {
	case m := <-answered:
		if string(m.Payload) != "72.5" || string(m.Props.CorrelationData) != "7" {
			t.Errorf("answer %s %+v", m.Payload, m.Props)
		}
	case <-time.After(patience):
		t.Fatalf("no answer; %+v", r.Stats())
	}
	if msgs := local.Retained("fieldgate/gw/upstream/up/status"); len(msgs) != 1 || string(msgs[0].Payload) != "online" {
		t.Errorf("state here: %+v", msgs)
	}
}

// TestManyGateways: two hundred gateways lose one upstream together and come
// back by themselves, not all at once; nothing is missing.
func TestManyGateways(t *testing.T) {
	const gateways, each = 200, 20
	const spread = time.Minute // nobody waits for it, see below
	up, addr := ownBroker(t, broker.Config{MaxClients: 2 * gateways}, broker.Options{})
	link := mqtttest.NewLink(t, addr)
	var mu sync.Mutex
	got := map[string]int{}
	if err := up.Handle("many/#", func(_ context.Context, msgs []mqtt.Message) error {
		mu.Lock()
		defer mu.Unlock()
		for _, m := range msgs {
			got[userProperty(m.Props.User, propMark)]++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var tries moments
	queues := make([]*fakeQueue, gateways)
	rigs := make([]*rig, gateways)
	for i := range gateways {
		queues[i] = newFakeQueue()
		b, err := New(Config{Name: "up", URL: "mqtt://" + link.Address(), StateTopic: "off", Route: []Route{{From: "#", To: "many/{gateway}"}},
			Connect: Connect{BackoffMin: conf.Duration(100 * time.Millisecond), BackoffMax: conf.Duration(2 * time.Second), Spread: conf.Duration(spread)}},
			Options{Gateway: fmt.Sprint("gw", i), Base: "fieldgate/gw", Buffer: &fakeStore{}, Cursor: queues[i], Broker: &fakeBroker{}})
		if err != nil {
			t.Fatal(err)
		}
		rigs[i] = &rig{Bridge: b, t: t}
		b.stableAfter = time.Nanosecond
		b.dial = func(ctx context.Context, b *Bridge, u *url.URL, in func(*mqtt.Message, func())) (connection, error) {
			tries.note(time.Now())
			return dialClient(ctx, b, u, in)
		}
		rigs[i].run()
	}
	all := func(state string) bool {
		for _, r := range rigs {
			if r.Stats().State != state {
				return false
			}
		}
		return true
	}
	feed := func() {
		for n := range each / 2 {
			for _, q := range queues {
				q.add(value(n), buffer.Normal)
			}
		}
	}
	until(t, "all are online", func() bool { return all(StateOnline) })
	feed()
	link.Cut()
	feed()
	wave := firstWave(t, rigs)
	if most := wave.within(spread / 10); most > gateways/4 {
		t.Errorf("after the common outage %d of %d gateways would come back within a tenth of the spread", most, gateways)
	}
	for _, r := range rigs {
		r.Kick() // the pauses after it are short
	}
	until(t, "all have tried several times", func() bool {
		for _, r := range rigs {
			if s := r.Stats(); s.State == StateOnline || s.Attempts < 4 {
				return false
			}
		}
		return true
	})
	tries.forget()
	link.Restore()
	until(t, "all are online again", func() bool { return all(StateOnline) })
	if most := tries.within(100 * time.Millisecond); most > gateways*3/4 {
		t.Errorf("%d attempts to connect within a tenth of a second", most)
	}
	until(t, "all is acknowledged", func() bool {
		for _, q := range queues {
			if q.left() > 0 {
				return false
			}
		}
		return true
	})
	mu.Lock()
	defer mu.Unlock()
	if len(got) != gateways*each {
		t.Errorf("%d messages of %d", len(got), gateways*each)
	}
	for id, n := range got {
		if n > 2 {
			t.Errorf("%s came %d times", id, n)
		}
	}
}

// firstWave is when each of the gateways, which have lost their connection just
// now, will try for the first time.
func firstWave(t *testing.T, rigs []*rig) *moments {
	t.Helper()
	var wave moments
	planned := make([]bool, len(rigs))
	until(t, "all have lost the upstream", func() bool {
		for i, r := range rigs {
			if s := r.Stats(); !planned[i] && s.State == StateWaiting {
				planned[i] = true
				wave.note(s.NextTry)
			}
		}
		return !slices.Contains(planned, false)
	})
	return &wave
}

// moments are times that several goroutines note.
type moments struct {
	mu sync.Mutex
	at []time.Time
}

func (m *moments) note(t time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = append(m.at, t)
}

func (m *moments) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = nil
}

// within is how many there are in the busiest span of a length.
func (m *moments) within(span time.Duration) (most int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.SortFunc(m.at, time.Time.Compare)
	first := 0
	for i := range m.at {
		for m.at[i].Sub(m.at[first]) > span {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}
