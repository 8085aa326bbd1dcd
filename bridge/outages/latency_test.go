package outages

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fieldgate/bridge"
	"fieldgate/mqtt"
)

// narrow is a link for TestLiveUnderBacklog.
type narrow struct {
	rate  int           // bits a second
	delay time.Duration // of the way behind it, in one direction
	loss  int           // of a hundred packets, in each direction
	live  int           // values while idle, and again under the backlog
	gap   time.Duration // between them
}

func (n narrow) String() string {
	return fmt.Sprintf("%d kbit/s, %s, %d %% lost", n.rate/1000, n.delay, n.loss)
}

// queueOf is the queue before a narrow link: two seconds of it, as modems have.
func (n narrow) queueOf() int { return max(16_000, n.rate/4) }

// pace is what a link did.
type pace struct {
	idle, loaded quantiles
	beside       float64 // share of the link's rate that went up meanwhile
	alone        float64 // and without live values beside the backlog
}

type quantiles struct{ p50, p90, p99 time.Duration }

func (q quantiles) String() string {
	return fmt.Sprintf("%d / %d / %d ms", q.p50.Milliseconds(), q.p90.Milliseconds(), q.p99.Milliseconds())
}

func quantilesOf(times []time.Duration) quantiles {
	slices.Sort(times)
	at := func(q int) time.Duration { return times[(len(times)-1)*q/100] }
	return quantiles{at(50), at(90), at(99)}
}

// liveText is a value as the gateway publishes it, with its number.
func liveText(n int) string {
	return fmt.Sprintf(`{"value":%d,"ts":1767225600123,"quality":"good"}`, n)
}

// trickle publishes live values and returns how late they arrived.
func (w *world) trickle(t *testing.T, first int, n narrow) quantiles {
	t.Helper()
	var at []time.Time
	for i := range n.live {
		at = append(at, time.Now())
		must(t, w.gateway.local.Publish(t.Context(), mqtt.Message{Topic: "acme/live/n", Payload: []byte(liveText(first + i))}))
		time.Sleep(n.gap)
	}
	late := map[int]time.Duration{}
	until(t, "the live values have arrived", func() bool {
		for _, a := range w.consumer.on("up/acme/live/n") {
			number, _, _ := strings.Cut(strings.TrimPrefix(a.text, `{"value":`), ",")
			i, err := strconv.Atoi(number)
			must(t, err)
			if i -= first; i >= 0 && late[i] == 0 {
				late[i] = a.at.Sub(at[i])
			}
		}
		return len(late) == n.live
	})
	var times []time.Duration
	for _, d := range late {
		times = append(times, d)
	}
	return quantilesOf(times)
}

func (c *consumer) on(topic string) (list []arrival) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.got {
		if a.topic == topic {
			list = append(list, a)
		}
	}
	return list
}

// measure lets values go over a link while it is idle, and again while it is
// full of what has waited.
func (n narrow) measure(t *testing.T, cfg bridge.Config) (p pace) {
	t.Helper()
	s := newSite(t)
	m := newMosquitto(s)
	cfg.URL = "mqtt://" + s.delayed(n.delay, host("127.0.0.1", m.port()))
	w := newWorld(t, s, m, cfg)
	must(t, s.link.Shape(n.rate, n.queueOf()))
	if n.loss > 0 {
		must(t, s.link.Lose(n.loss))
	}
	w.gateway.run()
	w.gateway.online()
	p.idle = w.trickle(t, 0, n)
	w.gateway.stop()
	seconds := (n.gap*time.Duration(n.live) + 35*time.Second).Seconds()
	w.backlog(t, int(seconds*float64(n.rate)/8/50))
	w.gateway.run()
	w.gateway.online()
	time.Sleep(5 * time.Second) // the window grows
	end := w.fill(t, n)
	p.loaded = w.trickle(t, n.live, n)
	p.beside = end()
	time.Sleep(3 * time.Second) // then no live values are expected any more
	end = w.fill(t, n)
	time.Sleep(8 * time.Second)
	p.alone = end()
	if left := w.gateway.Stats().Backlog.Messages; left == 0 {
		t.Error("the backlog was gone before the measurement was")
	}
	return p
}

// fill begins to measure what share of the link's rate goes up; end says it.
func (w *world) fill(t *testing.T, n narrow) (end func() float64) {
	before, began := w.count(t), time.Now()
	return func() float64 {
		up := w.count(t).Sub(before)
		return float64(up.UpBytes+14*up.UpPackets) * 8 / time.Since(began).Seconds() / float64(n.rate) // the shaper counts the header of Ethernet
	}
}

// backlog stores so many values.
func (w *world) backlog(t *testing.T, n int) {
	t.Helper()
	msgs := make([]mqtt.Message, n)
	for i := range msgs {
		msgs[i] = mqtt.Message{Topic: "acme/a/n", Payload: []byte(liveText(i))}
	}
	must(t, w.gateway.local.Publish(t.Context(), msgs...))
}

// TestLiveUnderBacklog: values that come while the link is full of a backlog
// are not twice as late as they are on the idle link, and the backlog fills the
// link when it is alone. In the short form one slow link far away stands for
// all, where what a loaded machine takes is little beside the way.
func TestLiveUnderBacklog(t *testing.T) {
	t.Parallel()
	links := []narrow{{rate: 64_000, delay: 500 * time.Millisecond, live: 20, gap: 300 * time.Millisecond}}
	if long() {
		links = nil
		for _, loss := range []int{0, 1, 5, 20} {
			links = append(links,
				narrow{rate: 32_000, delay: 500 * time.Millisecond, loss: loss, live: 60, gap: 500 * time.Millisecond},
				narrow{rate: 128_000, delay: 200 * time.Millisecond, loss: loss, live: 100, gap: 300 * time.Millisecond},
				narrow{rate: 1_000_000, delay: 100 * time.Millisecond, loss: loss, live: 150, gap: 200 * time.Millisecond})
		}
	}
	for _, n := range links {
		t.Run(n.String(), func(t *testing.T) {
			t.Parallel()
			p := n.measure(t, bridge.Config{})
			t.Logf("%s: idle %v, under a backlog %v, ratio of p99 %.2f; the backlog filled %.0f %% beside live values, %.0f %% alone",
				n, p.idle, p.loaded, float64(p.loaded.p99)/float64(p.idle.p99), 100*p.beside, 100*p.alone)
			n.judge(t, p)
		})
	}
}

// judge knows how much of a link TCP can use at all: where every fifth packet
// is lost in both directions, it stands still most of the time.
func (n narrow) judge(t *testing.T, p pace) {
	t.Helper()
	idle, loaded := p.idle.p90, p.loaded.p90
	if long() {
		idle, loaded = p.idle.p99, p.loaded.p99
	}
	if loaded > 2*idle {
		t.Errorf("late by %s under a backlog, by %s on the idle link", loaded, idle)
	}
	if n.loss <= 1 && p.alone < 0.9 {
		t.Errorf("the backlog fills %.0f %% of the link", 100*p.alone)
	}
}
