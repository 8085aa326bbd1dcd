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
	diary     diary
	killed    []time.Time
	plc       *counter
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
	rounds := 30
	if long() {
		rounds = 500
	}
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
	s.overflow()
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
	s.plc = newCounter(t)
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
`, s.plc.section("50ms"), s.near.url(), s.far.url()))
	s.pubs = []*publisher{
		newPublisher(s.port, "one-3", mqtt.V311, 1), newPublisher(s.port, "one-5", mqtt.V5, 1),
		newPublisher(s.port, "two-3", mqtt.V311, 2), newPublisher(s.port, "two-5", mqtt.V5, 2),
	}
	for _, p := range s.pubs[2:] {
		p.size = 800 // or the queue for far would not overflow
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
			s.diary.note("link to near cut")
		case 1:
			s.cuts++
			s.near.stop()
			s.diary.note("near stopped")
			s.near.start()
			s.diary.note("near started")
		default:
			s.near.link.Restore()
			s.diary.note("link to near restored")
		}
	}
	<-end
	s.kill()
	s.kills++
	s.killed = append(s.killed, time.Now())
	s.diary.note("gateway killed (%d); it had said:\n%s", s.kills, s.proc.Everything())
	s.burst += receiveMaximum + s.near.since(time.Now().Add(-2*time.Second))
	s.start()
	s.diary.note("gateway started")
}

// overflow goes on until the queue for far has had to drop something.
func (s *besieged) overflow() {
	s.t.Helper()
	for end := time.Now().Add(proctest.Patience); dropped(s.queues()["far"]) == 0; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Error("the queue for far does not overflow: the test shows nothing")
			return
		}
	}
}

// drain lets both queues run empty, and checks what the gateway says of itself.
func (s *besieged) drain() {
	s.t.Helper()
	all := s.queues()
	q := all["far"]
	for name, q := range all {
		if q.Messages > 0 && name != "near" && name != "far" {
			s.t.Errorf("%d messages are in %s; nobody has refused any", q.Messages, name)
		}
	}
	two := 0
	for _, p := range s.pubs[2:] {
		two += len(p.acked)
	}
	if got := uint64(q.Messages) + dropped(q); got != uint64(two) {
		s.t.Errorf("the queue for far holds %d and has dropped %d, together %d; %d were acknowledged", q.Messages, dropped(q), got, two)
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
	proctest.Within(10*time.Second, s.nearHasAll) // of the last ones there may be some on the way
}

// nearHasAll reports whether near has what was acknowledged to the publishers.
func (s *besieged) nearHasAll() bool {
	near, _, _ := s.near.once()
	for _, p := range s.pubs {
		if len(p.missing(numbers(near, p.topic))) > 0 {
			return false
		}
	}
	return true
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
		got := numbers(near, p.topic)
		p.check(t, "near", got, p.qos == 2)
		for _, n := range head(p.missing(got)) {
			t.Logf("around the acknowledgement of %d of %s:\n%s", n, p.topic, s.diary.around(p.acked[n]))
		}
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

// compareSamples: within one life of the gateway no sample is missing, but for
// those that no commit had reached when it was killed.
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
		for v := low; v < high; v++ {
			if read := s.plc.when(v); !values[v] && s.stored(read) {
				s.t.Errorf("life %d: sample %d of %d to %d is missing\n%s", epoch, v, low, high, s.diary.around(read))
			}
		}
	}
	return total
}

// stored reports that a sample of that moment must have been committed before
// the gateway was killed: so was a message that was published well after it,
// for the upstream that was away, and acknowledged.
func (s *besieged) stored(read time.Time) bool {
	for _, kill := range s.killed {
		if kill.Before(read) {
			continue
		}
		for _, p := range s.pubs[2:] {
			for n, acked := range p.acked {
				if acked.Before(kill) && p.began[n].After(read.Add(time.Second/2)) {
					return true
				}
			}
		}
		return false
	}
	return true // nobody killed it any more
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
