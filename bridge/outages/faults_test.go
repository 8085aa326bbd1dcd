package outages

import (
	"testing"
	"time"

	"fieldgate/bridge"
)

// fault is a way in which a link or an upstream fails. begin and end are called
// while values keep coming.
type fault struct {
	name   string
	begin  func(*testing.T, *world)
	end    func(*testing.T, *world)
	notice bool // the gateway notices before the end
	once   bool // takes so long that it happens only once
}

// world is a gateway, an upstream, and the link between them.
type world struct {
	*site
	up       upstream
	gateway  *gateway
	consumer *consumer
	attach   func() // the consumer, after a start of the upstream
}

func (w *world) state() string { return w.gateway.Stats().State }

// away waits until the gateway knows that its connection is gone.
func (w *world) away(t *testing.T) {
	t.Helper()
	until(t, "the gateway notices", func() bool { return w.state() != bridge.StateOnline })
}

// restart kills the upstream and starts it again, with its consumer.
func (w *world) restart() {
	w.up.kill()
	if w.consumer.conn != nil && !w.up.lasting() {
		<-w.consumer.conn.Done() // it has read what was on its way
	}
	w.up.start()
	w.attach()
}

func faults() []fault {
	calm := func(t *testing.T, w *world) { must(t, w.link.Calm()) }
	return []fault{
		{name: "reset", begin: func(t *testing.T, w *world) { must(t, w.link.Reset()) }, end: calm, notice: true},
		{name: "short silence", begin: func(t *testing.T, w *world) { must(t, w.link.Silence()) }, end: func(t *testing.T, w *world) {
			time.Sleep(2 * time.Second)
			calm(t, w)
		}},
		// The gateway gives up after 30 s of unacknowledged data; the upstream still
		// has the connection when the gateway comes back.
		{name: "silence", begin: func(t *testing.T, w *world) { must(t, w.link.Silence()) }, end: calm, notice: true, once: true},
		// The upstream forgets the connection and cannot say so.
		{name: "half-open", begin: func(t *testing.T, w *world) {
			must(t, w.link.Silence())
			w.restart()
		}, end: calm},
		{name: "cable", begin: func(t *testing.T, w *world) { must(t, w.link.Cut()) }, end: func(t *testing.T, w *world) {
			time.Sleep(2 * time.Second)
			must(t, w.link.Mend())
		}},
		{name: "killed", begin: func(t *testing.T, w *world) { w.up.kill() }, end: func(t *testing.T, w *world) { w.restart() }, notice: true},
	}
}

// strict puts live values behind the backlog: all is one sequence.
var strict = bridge.Drain{Order: "strict"}

// TestFaults: an outage of each kind, while values keep coming. Nothing is
// lost, each route keeps its order, and no more is repeated than was not
// acknowledged.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			w := newWorld(t, s, newMosquitto(s), bridge.Config{Drain: strict})
			w.gateway.run()
			f.happen(t, w)
			w.settle(t)
		})
	}
}

func newWorld(t *testing.T, s *site, up upstream, cfg bridge.Config) *world {
	t.Helper()
	w := &world{site: s, up: up, consumer: &consumer{t: t}}
	w.attach = func() { w.consumer.attach(host(s.aside.Far(), up.aside()), up) }
	w.attach()
	if cfg.URL == "" {
		cfg.URL = "mqtt://" + host(s.link.Far(), up.port())
	}
	cfg.Version = int(up.version())
	w.gateway = newGateway(t, cfg)
	return w
}

// happen lets the fault happen twice, while values keep coming.
func (f fault) happen(t *testing.T, w *world) {
	t.Helper()
	w.gateway.online()
	feed := startFeed(w.gateway)
	defer feed.stop()
	times := 2
	if f.once {
		times = 1
	}
	for range times {
		feed.more(t, 100)
		f.begin(t, w)
		feed.more(t, 100)
		if f.notice {
			w.away(t)
		}
		f.end(t, w)
		feed.more(t, 100)
		w.gateway.online()
	}
}

// settle waits until everything has gone up, and checks it.
func (w *world) settle(t *testing.T) {
	t.Helper()
	w.gateway.drained()
	s := w.gateway.Stats()
	repeats := w.consumer.check(w.gateway.sent, int(s.Sent-s.Acked))
	t.Logf("%d messages on each route, %d connections, %d repeats", w.gateway.sent[0], s.Connects, repeats)
}

// feed publishes a value on each route every few milliseconds.
type feed struct {
	g    *gateway
	ask  chan chan int
	quit chan struct{}
	done chan struct{}
}

func startFeed(g *gateway) *feed {
	f := &feed{g: g, ask: make(chan chan int), quit: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(f.done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-f.quit:
				return
			case c := <-f.ask:
				c <- g.sent[0]
			case <-tick.C:
				g.publish(1)
			}
		}
	}()
	g.t.Cleanup(f.stop)
	return f
}

func (f *feed) count() int {
	c := make(chan int)
	f.ask <- c
	return <-c
}

// more waits until so many more values have been published.
func (f *feed) more(t *testing.T, n int) {
	t.Helper()
	from := f.count()
	until(t, "values are published", func() bool { return f.count() >= from+n })
}

func (f *feed) stop() {
	select {
	case <-f.quit:
	default:
		close(f.quit)
	}
	<-f.done
}
