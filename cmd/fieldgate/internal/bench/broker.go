package bench

import (
	"context"
	"fmt"
	"path/filepath"
)

// Broker is our own broker in a process of its own, for the load to run
// against.
type Broker struct {
	Address string
	rig     *rig
	child   *Child
}

// brokerConfig is a gateway without devices, upstreams and page. The limits of
// clients are those that a bench needs; the others are the defaults.
func brokerConfig(dir, address string, persist bool, maxQueued int) string {
	return fmt.Sprintf(`[gateway]
id = "bench"
[buffer]
dir = %q
min_free = "1MiB"
[web]
bind = ""
[broker]
persist = %v
max_clients = 20000
max_queued = %d
[[broker.listener]]
name = "bench"
bind = %q
allow_anonymous = true
max_connects = 100000
`, dir, persist, maxQueued, address)
}

// StartBroker runs `fieldgate run` with only a broker, in a temporary
// directory under dir ("": the system's). Close it.
func StartBroker(ctx context.Context, dir string, persist bool, maxQueued int) (*Broker, error) {
	r, err := newRig(dir)
	if err != nil {
		return nil, err
	}
	b := &Broker{rig: r}
	if b.Address, err = freeAddress(); err == nil {
		b.child, err = r.runGateway("broker", brokerConfig(filepath.Join(r.dir, "data"), b.Address, persist, maxQueued))
	}
	if err == nil {
		err = b.child.ready(ctx, b.Address)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// PID is the number of its process.
func (b *Broker) PID() int { return b.child.PID() }

// Close ends it and removes what it wrote.
func (b *Broker) Close() error { return b.rig.close() }
