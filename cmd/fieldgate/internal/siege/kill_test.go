package siege

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"fieldgate/cmd/fieldgate/internal/proctest"
	"fieldgate/mqtt"
)

// The upstream's Receive Maximum, in our own broker.
const receiveMaximum = 100

// besieged is the scene of TestKill.
type besieged struct {
	*gateway
	rnd *rand.Rand

	// near is up most of the time and gets everything; far gets only what the
	// publishers of QoS 2 send, and only at the end, so that its queue
	// overflows.
	near, far *upstream
	pubs      []*publisher
	away      *subscriber // connected only at the end
	there     *subscriber // connected whenever the gateway runs
	kills     int
	cuts      int
	burst     int // receipts that the near upstream may see again because of the kills
}

// TestKill kills the gateway at random points, with four publishers of QoS 1
// and 2 in both versions of MQTT, a Modbus device, an upstream whose link and
// broker come and go, and one that is away so long that its queue overflows.
//
// Afterwards nothing that was acknowledged is missing, at the upstream and for
// a session that was away; what was published with QoS 2 is there exactly once;
// repeats are no more than promised and can be told; and for the upstream that
// was away produced = delivered + reported, to the message.
func TestKill(t *testing.T) {
	if !long() {
		t.Skip("runs with scripts/check --long until the loss that it finds is mended: see the known limits in buffer/DESIGN.md")
	}
	const rounds = 500
	s := newBesieged(t)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, p := range s.pubs {
		running.Go(func() { p.run(ctx, t) })
	}
	watching, leave := context.WithCancel(t.Context())
	defer leave()
	var watch sync.WaitGroup
	watch.Go(func() { s.there.run(watching) })
	for range rounds {
		s.round()
	}
	stop()
	running.Wait()
	s.drain()
	s.compare()
	watched := 0
	for _, p := range s.pubs {
		watched += p.sent
	}
	proctest.Eventually(t, "the subscriber has seen all", func() bool { return len(s.there.all()) >= watched || t.Failed() })
	leave()
	watch.Wait()
	s.away.until(t, watched)
	s.compareSessions()
	if out, err := s.command("queue", "verify"); err != nil {
		t.Errorf("queue verify: %v %s", err, out)
	}
}

func newBesieged(t *testing.T) *besieged {
	s := &besieged{rnd: seeded(t), near: newUpstream(t), far: newUpstream(t)}
	s.far.link.Cut()
	plc := newCounter(t)
	s.gateway = newGateway(t, "max_size = \"2MiB\"\nmin_free = \"1MiB\"\ncommit = \"200ms\"", fmt.Sprintf(`
[publish]
on = "poll"
%s
[[upstream]]
name = "near"
url = %q
connect = { backoff_min = "50ms", backoff_max = "200ms" }
[[upstream.route]]
from = "line/#"
[[upstream.route]]
from = "gw/plc/reads"
qos = 1
[[upstream]]
name = "far"
url = %q
connect = { backoff_min = "50ms", backoff_max = "200ms" }
[[upstream.route]]
from = "line/two-3"
[[upstream.route]]
from = "line/two-5"
`, plc.section("50ms"), s.near.url(), s.far.url()))
	s.pubs = []*publisher{
		newPublisher(s.port, "one-3", mqtt.V311, 1), newPublisher(s.port, "one-5", mqtt.V5, 1),
		newPublisher(s.port, "two-3", mqtt.V311, 2), newPublisher(s.port, "two-5", mqtt.V5, 2),
	}
	s.start()
	s.away = newSubscriber(t, s.port, "away", "line/#")
	s.there = newSubscriber(t, s.port, "there", "line/#")
	return s
}

// round is a life of the gateway: something happens to the upstream, or
// nothing, and then it is killed and started again.
func (s *besieged) round() {
	life := between(s.rnd, 100*time.Millisecond, 1300*time.Millisecond)
	end := time.After(life)
	for range s.rnd.IntN(3) {
		time.Sleep(between(s.rnd, 0, life/3))
		switch s.rnd.IntN(4) {
		case 0:
			s.cuts++
			s.near.link.Cut()
		case 1:
			s.cuts++
			s.near.stop()
			s.near.start()
		default:
			s.near.link.Restore()
		}
	}
	<-end
	s.kill()
	s.kills++
	s.burst += receiveMaximum + s.near.since(time.Now().Add(-2*time.Second))
	s.start()
}

// drain lets both queues run empty, and checks what the gateway says of itself.
func (s *besieged) drain() {
	s.t.Helper()
	q := s.queues()["far"]
	two := 0
	for _, p := range s.pubs[2:] {
		two += len(p.acked)
	}
	if got := uint64(q.Messages) + dropped(q); got != uint64(two) {
		s.t.Errorf("the queue for far holds %d and has dropped %d, together %d; %d were acknowledged", q.Messages, dropped(q), got, two)
	}
	if dropped(q) == 0 {
		s.t.Error("the queue for far did not overflow: the test shows nothing")
	}
	s.near.link.Restore()
	s.far.link.Restore()
	proctest.Eventually(s.t, "both queues are empty", func() bool {
		q := s.queues()
		if q["far"].Messages > 0 || q["near"].Messages > 50 { // the device goes on
			return false
		}
		_, reported, _ := s.far.once()
		return reported >= dropped(q["far"])
	})
}

// compare holds the upstreams' records against the publishers'.
func (s *besieged) compare() {
	t := s.t
	t.Helper()
	near, lost, repeats := s.near.once()
	if lost > 0 {
		t.Errorf("%d messages for near were dropped", lost)
	}
	if most := s.burst + s.cuts*receiveMaximum; repeats > most {
		t.Errorf("%d repeats at near, at most %d are allowed", repeats, most)
	}
	total, two := 0, 0
	for _, p := range s.pubs {
		p.check(t, "near", numbers(near, p.topic), p.qos == 2)
		total += len(p.acked)
		if p.qos == 2 {
			two += len(p.acked)
		}
	}
	far, reported, again := s.far.once()
	for _, p := range s.pubs[2:] {
		got := numbers(far, p.topic)
		inOrder(t, "far", p.topic, got)
	}
	if uint64(len(far))+reported != uint64(two) {
		t.Errorf("%d were published for far; %d came and %d are reported as missing", two, len(far), reported)
	}
	samples := s.compareSamples(near)
	t.Logf("%d kills, %d cuts: %d messages acknowledged, %d samples; %d repeats at near, %d at far, %d of %d reported as missing there",
		s.kills, s.cuts, total, samples, repeats, again, reported, two)
	if total < 100*s.kills {
		t.Errorf("only %d messages were acknowledged", total)
	}
}

// compareSamples: within one life of the gateway no sample is missing; at its
// end those of the last commit interval may be.
func (s *besieged) compareSamples(near []receipt) (total int) {
	s.t.Helper()
	lives := map[int]map[int]bool{}
	for _, r := range near {
		if r.topic != "gw/plc/reads" {
			continue
		}
		var doc struct {
			Value   *float64
			Quality string
		}
		if err := json.Unmarshal([]byte(r.text), &doc); err != nil {
			s.t.Fatalf("%s: %v", r.text, err)
		}
		if doc.Value == nil {
			continue
		}
		if lives[r.epoch] == nil {
			lives[r.epoch] = map[int]bool{}
		}
		lives[r.epoch][int(*doc.Value)] = true
		total++
	}
	for epoch, values := range lives {
		low, high := 1<<62, 0
		for v := range values {
			low, high = min(low, v), max(high, v)
		}
		if n := high - low + 1; n != len(values) {
			s.t.Errorf("life %d: %d of %d samples between %d and %d are missing", epoch, n-len(values), n, low, high)
		}
	}
	return total
}

func (s *besieged) compareSessions() {
	s.t.Helper()
	for _, sub := range []*subscriber{s.away, s.there} {
		for _, p := range s.pubs {
			got := numbers(sub.all(), p.topic)
			p.check(s.t, sub.cfg.ClientID, got, p.qos == 2)
			if p.qos == 2 {
				inOrder(s.t, sub.cfg.ClientID, p.topic, got)
			}
		}
	}
}
