package serial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"fieldgate/configs/conf"
	"fieldgate/drivers"
	"fieldgate/drivers/port"
)

// The pauses between attempts to open a lost line. They grow by doubling and
// are spread by a fifth either way, so that ten sensors behind one hub do not
// try in step. A missing port costs next to nothing to look for, and whoever
// plugs an adapter in again waits in front of it; a network costs its other users.
const (
	backoffMin    = 500 * time.Millisecond
	backoffPort   = 2 * time.Second
	backoffServer = 30 * time.Second
)

// dialTimeout is how long a serial server may take to accept.
const dialTimeout = 10 * time.Second

// Driver reads one instrument. One goroutine, that of Run, owns the line and
// everything but the counters and the queue of reads out of turn.
type Driver struct {
	// Log gets one line for each change of state. Set it before Run; nil is silence.
	Log *slog.Logger

	p       *program
	tags    []*liveTag
	open    func(context.Context) (line, error)
	backoff func(attempt int) time.Duration
	stats   counters
	orders  orders
}

// liveTag is a tag with what has become of it.
type liveTag struct {
	*tag
	pipeline *drivers.Pipeline
	last     time.Time // of the last sample
	stale    bool      // reported as bad since then, for the line or the sensor is silent
}

var (
	_ drivers.Driver  = (*Driver)(nil)
	_ drivers.Statser = (*Driver)(nil)
)

// errStopped is why a driver that is not running cannot be asked.
var errStopped = errors.New("the driver is stopped")

// New makes a driver of a section that Validate has nothing against; else the
// first problem is the error. It touches no hardware.
func New(cfg Config) (*Driver, error) {
	var first error
	p := compile(cfg, func(problem conf.Problem) {
		if first == nil && problem.Code[0] == 'E' {
			first = fmt.Errorf("serial %s: %s: %s", cfg.Name, problem.Key, problem.Text)
		}
	})
	if first != nil {
		return nil, first
	}
	d := &Driver{p: p, open: p.line.open, backoff: p.line.backoff}
	for _, t := range p.tags {
		pipeline, err := drivers.NewPipeline(t.rules, t.raw)
		if err != nil {
			return nil, fmt.Errorf("serial %s: tag %s: %w", cfg.Name, t.Name, err)
		}
		d.tags = append(d.tags, &liveTag{tag: t, pipeline: pipeline})
	}
	d.stats.start(cfg.Name, p.line.String())
	return d, nil
}

// Name is the sensor's name in the file.
func (d *Driver) Name() string { return d.p.name }

// Tags lists the values of the instrument in file order.
func (d *Driver) Tags() []drivers.Tag {
	out := make([]drivers.Tag, len(d.tags))
	for i, t := range d.tags {
		out[i] = t.Tag
	}
	return out
}

// Stats counts since New. It may be called at any time.
func (d *Driver) Stats() drivers.BusStats { return d.stats.snapshot() }

// Run reads the instrument until ctx ends, and opens the line again whenever
// it is lost. It returns nil: nothing that happens to a line is cured by a restart.
func (d *Driver) Run(ctx context.Context, report func([]drivers.Sample)) error {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		if attempt > 0 && !sleep(ctx, d.backoff(attempt-1)) {
			break
		}
		l, err := d.open(ctx)
		if err != nil {
			d.orders.end(err)
			d.lost(ctx, err, report)
			continue
		}
		d.log().Info("serial line open", "device", d.p.name, "line", d.p.line.String())
		d.stats.opened()
		s := newSession(d, l, report)
		err = s.run(ctx)
		d.orders.end(err)
		if s.framer.counts.frames > 0 {
			attempt = 0 // the line has worked: begin again with the shortest pause
		}
		if errors.Is(err, errSilent) {
			d.stats.closed(err)
			continue // its tags say offline already, which is the truth
		}
		d.lost(ctx, err, report)
	}
	d.orders.end(errStopped)
	d.stats.closed(nil)
	return nil
}

// lost reports every tag as bad once, and says why once.
func (d *Driver) lost(ctx context.Context, err error, report func([]drivers.Sample)) {
	if ctx.Err() != nil {
		return
	}
	if d.stats.closed(err) {
		d.log().Warn("serial line lost", "device", d.p.name, "line", d.p.line.String(), "error", err)
	}
	var samples []drivers.Sample
	for _, t := range d.tags {
		if !t.stale {
			t.stale = true
			samples = append(samples, t.bad(drivers.ReasonPort))
		}
	}
	if len(samples) > 0 {
		report(samples)
	}
}

func (d *Driver) log() *slog.Logger {
	if d.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return d.Log
}

func (l lineSettings) backoff(attempt int) time.Duration {
	longest := backoffPort
	if l.tcp != "" {
		longest = backoffServer
	}
	pause := min(longest, backoffMin<<min(attempt, 10))
	return time.Duration(float64(pause) * (0.8 + 0.4*rand.Float64()))
}

// sleep waits; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// line is what a driver needs of a port or a connection.
type line interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

func (l lineSettings) open(ctx context.Context) (line, error) {
	if l.tcp == "" {
		return port.Open(l.port)
	}
	dialer := net.Dialer{
		Timeout: dialTimeout,
		// A serial server that vanished without a word must not look like a silent sensor for two hours.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	conn, err := dialer.DialContext(ctx, "tcp", l.tcp)
	if err != nil {
		return nil, fmt.Errorf("serial server %s: %w; check its address, and that no other program holds its only connection", l.tcp, err)
	}
	return conn, nil
}

// String is the line for people: "/dev/ttyUSB0 9600 8N1".
func (l lineSettings) String() string {
	if l.tcp != "" {
		return "tcp://" + l.tcp
	}
	return fmt.Sprintf("%s %d %s", l.port.Path, l.port.Baud, l.port.Mode)
}
