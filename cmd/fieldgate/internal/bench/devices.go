package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/metrics"
	"time"

	"fieldgate/mqtt"
)

// DevicesOptions says how many devices Devices polls, and how long.
type DevicesOptions struct {
	Devices, Tags int           // tags of each device, polled once a second
	Settle        time.Duration // before anything is counted
	Watch         time.Duration // how long it is
	Progress      func(string)
}

// DevicesResult is what a gateway with many devices did in that time.
type DevicesResult struct {
	Devices  int     `json:"devices"`
	Tags     int     `json:"tags"` // of all devices
	Seconds  float64 `json:"seconds"`
	Polls    float64 `json:"polls"`
	Missed   float64 `json:"missed"`   // slots that were skipped
	Failures float64 `json:"failures"` // requests that were lost
	Messages float64 `json:"messages_per_s"`
	CPU      float64 `json:"cpu_percent"` // of one processor
	PerPoll  float64 `json:"cpu_us_per_poll"`
	SimCPU   float64 `json:"simulator_cpu_percent"`
	Allocs   float64 `json:"allocs_per_poll"`
	Bytes    float64 `json:"allocated_bytes_per_poll"`
	Files    int     `json:"open_files"`
	Memory   Memory  `json:"memory"`
}

// roomForTags is what a gateway for very many tags has beside its defaults: a
// retained message of each.
const roomForTags = "[broker]\nretain_limit = %d\n"

// Devices measures `fieldgate run` with many Modbus TCP devices, which are
// simulated in another process.
func Devices(ctx context.Context, o DevicesOptions) (DevicesResult, error) {
	res := DevicesResult{Devices: o.Devices, Tags: o.Devices * o.Tags}
	if o.Progress == nil {
		o.Progress = func(string) {}
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
	o.Progress("start the devices")
	sim, err := r.startSim(ctx, p)
	if err != nil {
		return res, err
	}
	child, broker, err := r.startPlant("devices", p.devicesConfig()+fmt.Sprintf(roomForTags, 2*res.Tags+1000))
	if err != nil {
		return res, err
	}
	if err := child.ready(ctx, broker); err != nil {
		return res, err
	}
	var count counter
	sub, err := subscribe(ctx, broker, "bench/#", func(*mqtt.Message) { count.add() })
	if err != nil {
		return res, err
	}
	defer sub.Close()
	o.Progress("settle")
	if err := child.wait(ctx, o.Settle); err != nil {
		return res, err
	}
	o.Progress("poll")
	w := watcher{child: child, sim: sim, socket: filepath.Join(r.dir, "devices.sock"), count: &count}
	if err := w.watch(ctx, o.Watch, &res); err != nil {
		return res, fmt.Errorf("%w; the gateway says: %s", err, child.talk.String())
	}
	return res, nil
}

// startSim starts the devices of a plant and waits until all can be reached.
func (r *rig) startSim(ctx context.Context, p plant) (*Child, error) {
	path, err := r.file("sim.toml", p.simulation())
	if err != nil {
		return nil, err
	}
	child, err := r.add(startSelf("sim", path))
	if err != nil {
		return nil, err
	}
	for _, a := range p.addresses {
		if err := child.ready(ctx, a); err != nil {
			return nil, err
		}
	}
	return child, nil
}

// watcher looks at a gateway from outside.
type watcher struct {
	child, sim *Child
	socket     string // of its control
	count      *counter
}

// Heap is what a Go process has allocated since its start.
type Heap struct {
	Mallocs uint64 `json:"mallocs"`
	Bytes   uint64 `json:"bytes"`
}

// ReadHeap is that of this process.
func ReadHeap() Heap {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/tiny/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return Heap{Mallocs: s[0].Value.Uint64() + s[1].Value.Uint64(), Bytes: s[2].Value.Uint64()}
}

// polled is what the watcher reads of a status document.
type polled struct {
	Devices []struct{ Polls, Overruns, Failures float64 }
}

func (p polled) sum() (polls, missed, failed float64) {
	for _, d := range p.Devices {
		polls, missed, failed = polls+d.Polls, missed+d.Overruns, failed+d.Failures
	}
	return polls, missed, failed
}

// watch counts for a while. The heap is looked at within the looks at
// everything else, so that these are not in it.
func (w *watcher) watch(ctx context.Context, span time.Duration, res *DevicesResult) error {
	var first, last polled
	var before, after Heap
	if err := errors.Join(w.ask(ctx, "/status", &first), w.ask(ctx, "/memory", &before)); err != nil {
		return err
	}
	messages := w.count.get()
	cpu, err := meterCPU(w.child.PID())
	if err != nil {
		return err
	}
	simCPU, err := meterCPU(w.sim.PID())
	if err != nil {
		return err
	}
	if err := w.child.wait(ctx, span); err != nil {
		return err
	}
	used, elapsed, err := cpu.read()
	if err != nil {
		return err
	}
	simUsed, _, err := simCPU.read()
	if err != nil {
		return err
	}
	res.Messages = float64(w.count.get()-messages) / elapsed.Seconds()
	if err := errors.Join(w.ask(ctx, "/memory", &after), w.ask(ctx, "/status", &last)); err != nil {
		return err
	}
	if res.Memory, err = memory(w.child.PID()); err != nil {
		return err
	}
	if res.Files, err = openFiles(w.child.PID()); err != nil {
		return err
	}
	p0, m0, f0 := first.sum()
	p1, m1, f1 := last.sum()
	if p1 == p0 {
		return errors.New("no device was polled")
	}
	res.Seconds, res.Polls, res.Missed, res.Failures = elapsed.Seconds(), p1-p0, m1-m0, f1-f0
	res.CPU, res.SimCPU = 100*used.Seconds()/elapsed.Seconds(), 100*simUsed.Seconds()/elapsed.Seconds()
	res.PerPoll = 1e6 * used.Seconds() / res.Polls
	res.Allocs, res.Bytes = float64(after.Mallocs-before.Mallocs)/res.Polls, float64(after.Bytes-before.Bytes)/res.Polls
	return nil
}

// ask gets a document from the gateway's control socket.
func (w *watcher) ask(ctx context.Context, path string, into any) error {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", w.socket)
	}
	c := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gateway"+path, nil)
	if err != nil {
		return err
	}
	answer, err := c.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: the gateway answers %s", path, answer.Status)
	}
	return json.NewDecoder(answer.Body).Decode(into)
}

// openFiles counts the open files of a process.
func openFiles(pid int) (int, error) {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(list), err
}
