package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"fieldgate/mqtt"
)

// How many clients a scenario has.
const (
	fanInPublishers   = 20
	fanOutSubscribers = 50
	pairCount         = 10
)

// Load is one run against a broker.
type Load struct {
	Address            string
	SubscribeAt        string // another broker that delivers; "": the same
	PID                int    // of the broker; 0: not known
	Username, Password string

	Scenario    string // fanin, fanout or pairs
	QoS         mqtt.QoS
	Payload     int     // bytes, at least 20
	Count       int64   // messages published in all
	Outstanding int64   // messages of a publisher that are not delivered yet
	Rate        float64 // messages per second of all publishers; 0: as fast as possible

	Quiet  time.Duration // nothing moves for so long: the run is over
	Linger time.Duration // for late repetitions
}

// LoadResult is what a run saw. Lost, repeated and out-of-order messages are
// counted against the numbers that each payload carries.
type LoadResult struct {
	Scenario     string   `json:"scenario"`
	QoS          int      `json:"qos"`
	Payload      int      `json:"payload"`
	Rate         float64  `json:"rate,omitempty"`
	Publishers   int      `json:"publishers"`
	Subscribers  int      `json:"subscribers"`
	Sent         int64    `json:"sent"`
	Acknowledged int64    `json:"acknowledged"`
	Delivered    int64    `json:"delivered"`
	Lost         int64    `json:"lost"`
	Repeated     int64    `json:"repeated"`
	OutOfOrder   int64    `json:"out_of_order"`
	Stray        int64    `json:"stray"`
	Seconds      float64  `json:"seconds"`
	PerSecond    float64  `json:"delivered_per_s"`
	Latency      Latency  `json:"latency"`
	CPU          float64  `json:"cpu_s,omitempty"`                // of the broker
	CPUPer       float64  `json:"cpu_us_per_delivered,omitempty"` // of the broker
	Memory       *Memory  `json:"memory,omitempty"`               // of the broker, at the end
	Problems     []string `json:"problems,omitempty"`
}

// OK says that nothing went wrong that the QoS forbids.
func (r LoadResult) OK() bool { return len(r.Problems) == 0 }

// loadRun is a run that goes on.
type loadRun struct {
	Load
	publishers  []*publisher
	subscribers []*subscriber
	epoch       time.Time
	leaving     atomic.Bool
}

// Run connects everybody, lets them work and counts.
func (l Load) Run(ctx context.Context) (LoadResult, error) {
	r := &loadRun{Load: l, epoch: time.Now()}
	defer r.hangUp()
	if err := r.connect(ctx); err != nil {
		return LoadResult{}, err
	}
	return r.run(ctx)
}

func (r *loadRun) hangUp() {
	for _, s := range r.subscribers {
		s.link.bye()
	}
	for _, p := range r.publishers {
		p.link.bye()
	}
}

// sizes is how many clients of each kind there are, and how many times a
// message is delivered.
func (l Load) sizes() (publishers, subscribers int, fan int64, err error) {
	switch l.Scenario {
	case "fanin":
		return fanInPublishers, 1, 1, nil
	case "fanout":
		return 1, fanOutSubscribers, fanOutSubscribers, nil
	case "pairs":
		return pairCount, pairCount, 1, nil
	}
	return 0, 0, 0, fmt.Errorf("scenario %q: one of fanin, fanout, pairs", l.Scenario)
}

func (r *loadRun) connect(ctx context.Context) error {
	publishers, subscribers, fan, err := r.sizes()
	if err != nil {
		return err
	}
	base := fmt.Sprintf("fieldgate-bench/%d-%d", os.Getpid(), r.epoch.UnixNano()%1e9)
	topic := func(i int) string { return fmt.Sprintf("%s/t/%d", base, i) }
	for i := range publishers {
		k, err := r.dial(ctx, r.Address, fmt.Sprintf("bp%d", i))
		if err != nil {
			return fmt.Errorf("publisher %d: %w", i, err)
		}
		share := r.Count / int64(publishers)
		if int64(i) < r.Count%int64(publishers) {
			share++
		}
		p, err := newPublisher(i, k, topic(i), r.QoS, r.Payload, share)
		if err != nil {
			k.Close()
			return err
		}
		p.fan, p.outstanding = fan, r.Outstanding
		if r.Rate > 0 {
			p.every = time.Duration(float64(publishers) / r.Rate * float64(time.Second))
			p.delay = p.every * time.Duration(i) / time.Duration(publishers)
		}
		r.publishers = append(r.publishers, p)
	}
	for i := range subscribers {
		k, err := r.dial(ctx, cmp.Or(r.SubscribeAt, r.Address), fmt.Sprintf("bs%d", i))
		if err != nil {
			return fmt.Errorf("subscriber %d: %w", i, err)
		}
		s := &subscriber{number: i, link: k, from: map[int]*publisher{}, epoch: r.epoch}
		r.subscribers = append(r.subscribers, s)
		filter, from := base+"/t/+", r.publishers
		switch r.Scenario {
		case "fanout":
			filter = topic(0)
		case "pairs":
			filter, from = topic(i), r.publishers[i:i+1]
		}
		for _, p := range from {
			s.tally.expect(p.number, p.count)
			s.from[p.number] = p
		}
		if err := k.subscribe(filter, r.QoS); err != nil {
			return err
		}
	}
	return nil
}

func (r *loadRun) dial(ctx context.Context, address, name string) (*link, error) {
	return dialLink(ctx, linkOptions{address: address, username: r.Username, password: r.Password,
		client: fmt.Sprintf("%s-%d-%d", name, os.Getpid(), r.epoch.UnixNano()%1e6)})
}

func (r *loadRun) run(ctx context.Context) (res LoadResult, err error) {
	var meter cpuMeter
	if r.PID > 0 {
		if meter, err = meterCPU(r.PID); err != nil {
			return res, err
		}
	}
	pubCtx, stop := context.WithCancel(ctx)
	defer stop()
	var readers, writers sync.WaitGroup
	defer readers.Wait()
	defer r.hangUp()
	for _, s := range r.subscribers {
		readers.Go(func() { s.run(&r.leaving) })
	}
	errs := make([]error, len(r.publishers))
	began := time.Now()
	for i, p := range r.publishers {
		readers.Go(p.readAcks)
		writers.Go(func() { errs[i] = p.run(pubCtx, r.epoch) })
	}
	ended := r.waitEnd(ctx, &writers)
	res.Seconds = ended.Sub(began).Seconds()
	if r.PID > 0 {
		used, _, err := meter.read()
		if err != nil {
			return res, err
		}
		res.CPU = used.Seconds()
		m, err := memory(r.PID)
		if err != nil {
			return res, err
		}
		res.Memory = &m
	}
	stop()
	writers.Wait()
	if ctx.Err() == nil {
		time.Sleep(r.Linger)
	}
	r.leaving.Store(true)
	r.hangUp()
	readers.Wait()
	r.sum(&res, errs)
	return res, ctx.Err()
}

// waitEnd waits until everything was sent, acknowledged and delivered, or
// until nothing moves any more. It returns when that was.
func (r *loadRun) waitEnd(ctx context.Context, writers *sync.WaitGroup) time.Time {
	written := make(chan struct{})
	go func() { writers.Wait(); close(written) }()
	_, _, fan, _ := r.sizes()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	moved, last := time.Now(), int64(-1)
	for {
		select {
		case <-ctx.Done():
			return time.Now()
		case <-tick.C:
		}
		var got, all int64
		for _, s := range r.subscribers {
			got += s.got.Load()
		}
		all = got
		for _, p := range r.publishers {
			all += p.sent.Load() + p.acked.Load()
		}
		if got == r.Count*fan {
			select {
			case <-written:
				return time.Now()
			default:
			}
		}
		if all != last {
			moved, last = time.Now(), all
		}
		if time.Since(moved) > r.Quiet {
			return moved
		}
	}
}

func (r *loadRun) sum(res *LoadResult, errs []error) {
	res.Scenario, res.QoS, res.Payload, res.Rate = r.Scenario, int(r.QoS), max(r.Payload, headSize), r.Rate
	res.Publishers, res.Subscribers = len(r.publishers), len(r.subscribers)
	bad := func(format string, args ...any) { res.Problems = append(res.Problems, fmt.Sprintf(format, args...)) }
	for i, p := range r.publishers {
		res.Sent += p.sent.Load()
		res.Acknowledged += p.acked.Load()
		if errs[i] != nil && !errors.Is(errs[i], context.Canceled) {
			bad("%v", errs[i])
		}
	}
	var times []time.Duration
	for _, s := range r.subscribers {
		res.Delivered += s.tally.got
		res.Repeated += s.tally.repeated
		res.OutOfOrder += s.tally.outOfOrder
		res.Stray += s.tally.stray
		for i, p := range s.from {
			res.Lost += s.tally.lost(i, p.sent.Load())
		}
		times = append(times, s.times...)
		if s.failed != nil {
			bad("%v", s.failed)
		}
	}
	res.Latency = summarise(times)
	if res.Seconds > 0 {
		res.PerSecond = float64(res.Delivered) / res.Seconds
	}
	if res.Delivered > 0 {
		res.CPUPer = res.CPU * 1e6 / float64(res.Delivered)
	}
	r.judge(res, bad)
}

// judge names what the QoS forbids (MQTT 5.0 §4.3, §4.6).
func (r *loadRun) judge(res *LoadResult, bad func(string, ...any)) {
	if res.Sent < r.Count {
		bad("stalled: %d of %d messages could be sent", res.Sent, r.Count)
	}
	if r.QoS > 0 && res.Lost > 0 {
		bad("%d messages lost at QoS %d", res.Lost, r.QoS)
	}
	if r.QoS > 0 && res.Acknowledged < res.Sent {
		bad("%d messages not acknowledged", res.Sent-res.Acknowledged)
	}
	if r.QoS == 2 && res.Repeated > 0 {
		bad("%d messages repeated at QoS 2", res.Repeated)
	}
	if res.OutOfOrder > 0 {
		bad("%d messages out of order", res.OutOfOrder)
	}
	if res.Stray > 0 {
		bad("%d messages that nobody sent", res.Stray)
	}
}
