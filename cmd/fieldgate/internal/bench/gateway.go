package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
)

// GatewayOptions says how long the parts of Gateway take.
type GatewayOptions struct {
	Devices, Tags int           // tags of each device
	Starts        int           // how often the start is timed
	Settle        time.Duration // before memory and processor time are read
	Watch         time.Duration // how long processor time is summed
	Changes       int           // of a register, for each poll interval
	Progress      func(string)
}

// GatewayResult is what a whole gateway needs.
type GatewayResult struct {
	Devices   int             `json:"devices"`
	Tags      int             `json:"tags"`
	FirstPoll Start           `json:"first_poll"`
	AllPolled Start           `json:"all_polled"` // every device was asked at least once
	Idle      Memory          `json:"memory"`
	CPU       float64         `json:"cpu_percent"` // of one processor
	Messages  float64         `json:"messages_per_s"`
	Latency   []ChangeLatency `json:"latency"`
}

// Start sums up times from the start of the process.
type Start struct {
	Runs   int     `json:"runs"`
	Median float64 `json:"median_ms"`
	Max    float64 `json:"max_ms"`
}

// ChangeLatency is the way of a value: register changed, answer given to the
// poll, message at the subscriber.
type ChangeLatency struct {
	Poll       string  `json:"poll"`
	FromChange Latency `json:"change_to_subscriber"`
	FromAnswer Latency `json:"answer_to_subscriber"`
}

// Gateway measures `fieldgate run` with simulated devices in another process.
func Gateway(ctx context.Context, o GatewayOptions) (GatewayResult, error) {
	res := GatewayResult{Devices: o.Devices, Tags: o.Devices * o.Tags}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	var err error
	o.Progress("start")
	if res.FirstPoll, res.AllPolled, err = timeStarts(ctx, o); err != nil {
		return res, fmt.Errorf("time the start: %w", err)
	}
	r, err := newRig("")
	if err != nil {
		return res, err
	}
	defer r.close()
	p, err := newPlant(o.Devices, o.Tags)
	if err != nil {
		return res, err
	}
	if _, err := r.startSim(ctx, p); err != nil {
		return res, err
	}
	o.Progress("memory and processor time")
	if err := watchIdle(ctx, r, p, o, &res); err != nil {
		return res, fmt.Errorf("watch the gateway: %w", err)
	}
	o.Progress("latency")
	res.Latency, err = changeLatency(ctx, r, p, o.Changes)
	if err != nil {
		return res, fmt.Errorf("latency: %w", err)
	}
	return res, nil
}

// timeStarts starts the gateway several times with devices in this process,
// which sees the polls come. Every start finds an empty directory.
func timeStarts(ctx context.Context, o GatewayOptions) (first, all Start, err error) {
	var firsts, alls []time.Duration
	for range o.Starts {
		f, a, err := timeStart(ctx, o)
		if err != nil {
			return first, all, err
		}
		firsts, alls = append(firsts, f), append(alls, a)
	}
	return startOf(firsts), startOf(alls), nil
}

func startOf(times []time.Duration) Start {
	if len(times) == 0 {
		return Start{}
	}
	slices.Sort(times)
	return Start{len(times), ms(quantile(times, 0.5)), ms(times[len(times)-1])}
}

func timeStart(ctx context.Context, o GatewayOptions) (first, all time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, upLimit)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	r, err := newRig("")
	if err != nil {
		return 0, 0, err
	}
	defer r.close()
	p := plant{devices: o.Devices, tags: o.Tags}
	var probes []*probe
	for range o.Devices {
		pr, err := startProbe(ctx, &wg, "127.0.0.1:0")
		if err != nil {
			return 0, 0, err
		}
		probes = append(probes, pr)
		p.addresses = append(p.addresses, pr.address)
	}
	child, _, err := r.startPlant("start", p.devicesConfig())
	if err != nil {
		return 0, 0, err
	}
	for {
		if first, all = polledAfter(child.Began, probes); all > 0 {
			return first, all, nil
		}
		if err := child.wait(ctx, 5*time.Millisecond); err != nil {
			return 0, 0, err
		}
	}
}

// polledAfter is when the first and the last of the probes were first asked;
// zero while one was not.
func polledAfter(began time.Time, probes []*probe) (first, all time.Duration) {
	for i, p := range probes {
		at := p.firstRequest()
		if at.IsZero() {
			return 0, 0
		}
		d := at.Sub(began)
		if i == 0 || d < first {
			first = d
		}
		all = max(all, d)
	}
	return first, all
}

// startPlant runs a gateway for the devices and returns the broker's address.
func (r *rig) startPlant(name, devices string) (*Child, string, error) {
	broker, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	web, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	child, err := r.runGateway(name, gatewayConfig(r.dir+"/"+name, broker, web)+devices)
	return child, broker, err
}

func watchIdle(ctx context.Context, r *rig, p plant, o GatewayOptions, res *GatewayResult) error {
	child, broker, err := r.startPlant("idle", p.devicesConfig())
	if err != nil {
		return err
	}
	defer r.stop(child)
	if err := child.ready(ctx, broker); err != nil {
		return err
	}
	var count counter
	sub, err := subscribe(ctx, broker, "bench/#", func(*mqtt.Message) { count.add() })
	if err != nil {
		return err
	}
	defer sub.Close()
	if err := child.wait(ctx, o.Settle); err != nil {
		return err
	}
	before := count.get()
	meter, err := meterCPU(child.PID())
	if err != nil {
		return err
	}
	if err := child.wait(ctx, o.Watch); err != nil {
		return err
	}
	used, elapsed, err := meter.read()
	if err != nil {
		return err
	}
	res.CPU = 100 * used.Seconds() / elapsed.Seconds()
	res.Messages = float64(count.get()-before) / elapsed.Seconds()
	if res.Messages == 0 {
		return fmt.Errorf("no value came: %s", child.talk.String())
	}
	res.Idle, err = memory(child.PID())
	return err
}

// changeLatency adds a probe with each poll interval to the plant and changes
// its register at random moments.
func changeLatency(ctx context.Context, r *rig, p plant, changes int) ([]ChangeLatency, error) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	polls := []time.Duration{time.Second, 100 * time.Millisecond}
	var probes []*probe
	config := p.devicesConfig()
	for i, poll := range polls {
		pr, err := startProbe(ctx, &wg, "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		probes = append(probes, pr)
		config += deviceConfig(fmt.Sprintf("probe%d", i), pr.address, poll.String(), 1)
	}
	child, broker, err := r.startPlant("latency", config)
	if err != nil {
		return nil, err
	}
	defer r.stop(child)
	if err := child.ready(ctx, broker); err != nil {
		return nil, err
	}
	out := make([]ChangeLatency, len(polls))
	errs := make([]error, len(polls))
	var all sync.WaitGroup
	for i, poll := range polls {
		all.Go(func() {
			out[i], errs[i] = followChanges(ctx, child, broker, fmt.Sprintf("bench/probe%d/tag0", i), probes[i], poll, changes)
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func followChanges(ctx context.Context, child *Child, broker, topic string, p *probe, poll time.Duration, changes int) (ChangeLatency, error) {
	res := ChangeLatency{Poll: poll.String()}
	type arrival struct {
		number uint16
		at     time.Time
	}
	arrivals := make(chan arrival, 16)
	sub, err := subscribe(ctx, broker, topic, func(m *mqtt.Message) {
		at := time.Now()
		var v struct {
			Value *uint16 `json:"value"`
		}
		if json.Unmarshal(m.Payload, &v) == nil && v.Value != nil {
			select {
			case arrivals <- arrival{*v.Value, at}:
			default: // nobody waits for it any more
			}
		}
	})
	if err != nil {
		return res, err
	}
	defer sub.Close()
	var fromChange, fromAnswer []time.Duration
	for range changes {
		if err := child.wait(ctx, time.Duration(rand.Int64N(int64(poll)))); err != nil {
			return res, err
		}
		want := p.change()
		limit := time.After(upLimit)
		for got := false; !got; {
			select {
			case a := <-arrivals:
				if got = a.number == want; got {
					changed, told := p.times(want)
					fromChange, fromAnswer = append(fromChange, a.at.Sub(changed)), append(fromAnswer, a.at.Sub(told))
				}
			case <-limit:
				return res, fmt.Errorf("change %d of %s did not come within %v", want, topic, upLimit)
			case <-ctx.Done():
				return res, ctx.Err()
			}
		}
	}
	res.FromChange, res.FromAnswer = summarise(fromChange), summarise(fromAnswer)
	return res, nil
}

// subscribe is a client that hands over what comes.
func subscribe(ctx context.Context, address, filter string, on func(*mqtt.Message)) (*client.Conn, error) {
	c, err := client.Dial(ctx, client.Config{
		URL: "mqtt://" + address, CleanStart: true,
		OnMessage: func(m *mqtt.Message, ack func()) { on(m); ack() },
	})
	if err != nil {
		return nil, err
	}
	if _, err := c.Subscribe(ctx, mqtt.Subscription{Filter: filter}); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// counter counts from several goroutines.
type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) add() {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
}

func (c *counter) get() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}
