package bench

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"fieldgate/mqtt"
)

// Bridge measures what it costs to forward messages to another broker: a
// forwarder takes them from publishers and sends them to a mosquitto, where
// subscribers count them. Only the forwarder's processor time is read.
type Bridge struct {
	Mosquitto string // the program
	Dir       string // for temporary files; "": where they go
	QoS       mqtt.QoS
	Payload   int
	Count     int64 // messages in each run
	Rounds    int
	Progress  func(step string)
}

// BridgeResult has the runs of both forwarders, by turns.
type BridgeResult struct {
	Ours      []LoadResult `json:"ours"`
	Mosquitto []LoadResult `json:"mosquitto"`
	Ratios    []float64    `json:"ratios"` // of processor time per message, by round
	Ratio     float64      `json:"ratio"`  // of the medians
}

// OK says that nothing was lost or came out of order on either side.
func (r BridgeResult) OK() bool {
	for _, l := range append(append([]LoadResult(nil), r.Ours...), r.Mosquitto...) {
		if !l.OK() {
			return false
		}
	}
	return true
}

// CPUPer is the median processor time per delivered message, in microseconds.
func CPUPer(runs []LoadResult) float64 {
	return medianOf(runs, func(r LoadResult) float64 { return r.CPUPer })
}

// PerSecond is the median of delivered messages per second.
func PerSecond(runs []LoadResult) float64 {
	return medianOf(runs, func(r LoadResult) float64 { return r.PerSecond })
}

func medianOf(runs []LoadResult, of func(LoadResult) float64) float64 {
	v := make([]float64, len(runs))
	for i, r := range runs {
		v[i] = of(r)
	}
	return median(v)
}

// Run measures both forwarders by turns.
func (b Bridge) Run(ctx context.Context) (BridgeResult, error) {
	var res BridgeResult
	for round := range b.Rounds {
		b.Progress(fmt.Sprintf("round %d of %d: ours", round+1, b.Rounds))
		ours, err := b.one(ctx, b.ours)
		if err != nil {
			return res, fmt.Errorf("our bridge: %w", err)
		}
		b.Progress(fmt.Sprintf("round %d of %d: mosquitto", round+1, b.Rounds))
		theirs, err := b.one(ctx, b.theirs)
		if err != nil {
			return res, fmt.Errorf("mosquitto's bridge: %w", err)
		}
		res.Ours, res.Mosquitto = append(res.Ours, ours), append(res.Mosquitto, theirs)
		if theirs.CPUPer > 0 {
			res.Ratios = append(res.Ratios, ours.CPUPer/theirs.CPUPer)
		}
	}
	if theirs := CPUPer(res.Mosquitto); theirs > 0 {
		res.Ratio = CPUPer(res.Ours) / theirs
	}
	return res, nil
}

// runLimit bounds a run that makes no end.
const runLimit = 3 * time.Minute

// forwarder starts a process that listens at address and forwards to upstream.
type forwarder func(ctx context.Context, r *rig, address, upstream string) (*Child, error)

func (b Bridge) one(ctx context.Context, start forwarder) (res LoadResult, err error) {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	r, err := newRig(b.Dir)
	if err != nil {
		return res, err
	}
	defer func() { _ = r.close() }()
	upstream, err := freeAddress()
	if err != nil {
		return res, err
	}
	up, err := b.mosquitto(r, "upstream", upstream)
	if err == nil {
		err = up.ready(ctx, upstream)
	}
	if err != nil {
		return res, err
	}
	address, err := freeAddress()
	if err != nil {
		return res, err
	}
	child, err := start(ctx, r, address, upstream)
	if err == nil {
		err = child.ready(ctx, address)
	}
	if err != nil {
		return res, err
	}
	if err := b.carries(ctx, address, upstream); err != nil {
		return res, fmt.Errorf("%w; %s", err, child.talk.String())
	}
	return Load{Address: address, SubscribeAt: upstream, PID: child.PID(), Scenario: "fanin", QoS: b.QoS, Payload: b.Payload, Count: b.Count,
		Outstanding: 40, Quiet: 5 * time.Second, Linger: 200 * time.Millisecond}.Run(ctx)
}

// carries waits until what is published at one broker arrives at the other.
func (b Bridge) carries(ctx context.Context, address, upstream string) error {
	ctx, cancel := context.WithTimeout(ctx, upLimit)
	defer cancel()
	for ctx.Err() == nil {
		l := Load{Address: address, SubscribeAt: upstream, Scenario: "fanin", Payload: headSize, Count: fanInPublishers, Quiet: 300 * time.Millisecond}
		if r, err := l.Run(ctx); err == nil && r.Lost == 0 {
			return nil
		}
	}
	return fmt.Errorf("nothing is forwarded from %s to %s within %s", address, upstream, upLimit)
}

func (b Bridge) ours(_ context.Context, r *rig, address, upstream string) (*Child, error) {
	config := brokerConfig(filepath.Join(r.dir, "data"), address, false, 1000)
	return r.runGateway("bridge", config+fmt.Sprintf("[[upstream]]\nname = \"up\"\nurl = \"mqtt://%s\"\n[[upstream.route]]\nfrom = \"fieldgate-bench/#\"\nqos = %d\n", upstream, b.QoS))
}

// theirs is mosquitto with its own bridge. Its limits of queued messages are
// off, for they would drop what waits.
func (b Bridge) theirs(_ context.Context, r *rig, address, upstream string) (*Child, error) {
	return b.mosquitto(r, "bridge", address, "connection up", "address "+upstream, fmt.Sprintf("topic fieldgate-bench/# out %d", b.QoS),
		"bridge_protocol_version mqttv50", "cleansession true", "restart_timeout 1 1", "notifications false")
}

func (b Bridge) mosquitto(r *rig, name, address string, lines ...string) (*Child, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	all := append([]string{"user root", "log_type error", "persistence false", "max_queued_messages 0", "max_inflight_messages 1000",
		"listener " + port + " 127.0.0.1", "allow_anonymous true"}, lines...)
	path, err := r.file(name+".conf", strings.Join(all, "\n")+"\n")
	if err != nil {
		return nil, err
	}
	return r.add(startChild(b.Mosquitto, "-c", path))
}

// FindMosquitto is the program, where Debian puts it or on the path.
func FindMosquitto() (string, error) {
	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("mosquitto is missing: apt-get install mosquitto, or run scripts/peers")
}
