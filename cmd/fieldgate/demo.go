package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"fieldgate/cmd/fieldgate/internal/logs"
	"fieldgate/configs"
	"fieldgate/configs/conf"
	"fieldgate/drivers/sim"
	"fieldgate/mqtt"
	"fieldgate/mqtt/broker"
)

// processStart is what the demo's "first value after" counts from.
var processStart = time.Now()

// drainLimit is how long the demo's end waits for what is still under way.
const drainLimit = 60 * time.Second

func (a *app) demoCommand() *cobra.Command {
	var length time.Duration
	c := &cobra.Command{
		Use: "demo", Short: "See the main job in a minute: simulated devices, broker, queue, a cloud behind a flaky link", GroupID: "run", Args: cobra.NoArgs,
		Long: `Runs the whole gateway against simulated devices: a PLC on Modbus TCP, a meter on a Modbus RTU line, a scale on a
serial line (real sockets and pseudo-terminals), with the real broker, the real queue on disk, and a second broker in
the role of the cloud, whose link is cut and restored. Needs no configuration, no hardware and no network.
Exit code 1 if a sample was lost.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if length < 0 || length == 0 && c.Flags().Changed("for") {
				return usageError{fmt.Errorf("--for %s: a length of time above 0", length)}
			}
			return a.demo(c.Context(), length)
		},
	}
	c.Flags().DurationVar(&length, "for", 0, "end after this time (default: at Ctrl-C)")
	return c
}

// demo is the demo's parts.
type demo struct {
	a       *app
	dir     string
	plant   *sim.Plant
	cloud   *broker.Broker
	link    *link
	gateway *gateway
	account *account
	out     *demoPrinter

	mu      sync.Mutex
	outages int
	first   time.Duration
}

func (a *app) demo(ctx context.Context, length time.Duration) error {
	dir, err := os.MkdirTemp("", "fieldgate-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := &demo{a: a, dir: dir, out: newDemoPrinter(a)}
	d.account = newAccount("cloud/", d.noteFirst)
	err = d.run(ctx, length)
	if errors.Is(err, context.Canceled) {
		err = nil // Ctrl-C is the ordinary end
	}
	return err
}

// run starts the parts from the devices to the cloud, plays the outages, lets
// the queue drain and reports.
func (d *demo) run(ctx context.Context, length time.Duration) error {
	// The parts outlive ctx: at its end the queue must still drain.
	parts, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	failed := make(chan error, 4)
	launch := func(name string, f func(context.Context) error) {
		running.Go(func() {
			if err := f(parts); err != nil && parts.Err() == nil {
				failed <- fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	if err := d.startPlant(launch, failed); err != nil {
		return err
	}
	if err := d.startCloud(launch); err != nil {
		return err
	}
	if err := d.startGateway(launch); err != nil {
		return err
	}
	defer d.gateway.close()
	defer running.Wait()
	defer stop()
	d.out.intro(d, length)
	if err := d.play(ctx, length, failed); err != nil {
		return err
	}
	return d.finish()
}

func (d *demo) startPlant(launch func(string, func(context.Context) error), failed chan error) (err error) {
	if d.plant, err = sim.New(sim.DefaultConfig()); err != nil {
		return err
	}
	ready := make(chan struct{})
	launch("simulated devices", func(ctx context.Context) error { return d.plant.Run(ctx, func() { close(ready) }) })
	select {
	case <-ready:
		return nil
	case err := <-failed:
		return err
	}
}

// startCloud starts a second broker of ours in the role of the cloud, and the
// link to it.
func (d *demo) startCloud(launch func(string, func(context.Context) error)) (err error) {
	cfg := broker.Config{Listener: []broker.Listener{{Name: "cloud", Bind: "127.0.0.1:0", AllowAnonymous: true}}, SysInterval: new(conf.Duration)}
	if d.cloud, err = broker.New(cfg, broker.Options{Log: d.log()}); err != nil {
		return err
	}
	if err := d.cloud.Handle("#", d.account.deliver); err != nil {
		return err
	}
	if err := d.cloud.Listen(); err != nil {
		return err
	}
	if d.link, err = newLink(d.cloud.Addr("cloud").String()); err != nil {
		return err
	}
	launch("cloud", d.cloud.Run)
	launch("link", func(ctx context.Context) error {
		d.link.run(ctx)
		return nil
	})
	return nil
}

func (d *demo) startGateway(launch func(string, func(context.Context) error)) error {
	text := d.config()
	file, report := configs.LoadText(filepath.Join(d.dir, "fieldgate.toml"), text, configs.Options{})
	if !report.OK() {
		return fmt.Errorf("the demo's configuration: %w", report.Err())
	}
	if d.a.verbose {
		d.a.say("%s", text)
	}
	g, err := openGateway(file, gatewayOptions{socket: filepath.Join(d.dir, "control.sock"), log: d.log()})
	if err != nil {
		return err
	}
	if err := g.broker.Handle("#", d.account.produce); err != nil {
		g.close()
		return err
	}
	d.gateway = g
	launch("gateway", g.run)
	return nil
}

// config is what a user would write for these devices.
func (d *demo) config() string {
	return fmt.Sprintf(`[gateway]
id   = "demo"
name = "Simulated boiler house"

[buffer]
dir      = %q
min_free = "1MiB"

[web]
bind = %q

[[broker.listener]]
name = "local"
bind = %q
allow_anonymous = true

[[upstream]]
name    = "cloud"
url     = "mqtt://%s"
connect = { backoff_min = "200ms", backoff_max = "1s" }

[[upstream.route]]
from  = "demo/#"
to    = "cloud/{topic}"
types = ["sample"]

`, filepath.Join(d.dir, "state"), preferPort(8080), preferPort(1883), d.link.addr()) + d.plant.TOML()
}

// preferPort is the customary port of this machine, or a free one where that
// is taken.
func preferPort(port int) string {
	for _, address := range []string{fmt.Sprintf("127.0.0.1:%d", port), "127.0.0.1:0"} {
		l, err := net.Listen("tcp", address)
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	return fmt.Sprintf("127.0.0.1:%d", port) // the gateway will say what is wrong with it
}

func (d *demo) log() *slog.Logger {
	if !d.a.verbose {
		return slog.New(slog.DiscardHandler)
	}
	return logs.New(d.a.err, logs.Options{Level: slog.LevelDebug, Format: "text", Repeat: time.Minute, Color: d.a.colorOn(d.a.err)})
}

func (d *demo) noteFirst(m mqtt.Message) {
	d.mu.Lock()
	d.first = time.Since(processStart)
	d.mu.Unlock()
	d.out.event("first value   %s %s", m.Topic, m.Payload)
}

// play cuts and restores the link until the time is over.
func (d *demo) play(ctx context.Context, length time.Duration, failed <-chan error) error {
	period := 12 * time.Second
	if length > 0 {
		ctxEnd, cancel := context.WithTimeout(ctx, length)
		defer cancel()
		ctx = ctxEnd
		period = min(max(length/3, 5*time.Second), period)
	}
	cut := time.NewTimer(period / 2)
	restore := time.NewTimer(0)
	<-restore.C
	tick := time.NewTicker(d.out.every())
	defer tick.Stop()
	defer d.link.set(false)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-cut.C:
			d.outages++
			d.link.set(true)
			d.out.event("link cut      values go on; what the cloud must get waits on disk")
			restore.Reset(period * 2 / 5)
			cut.Reset(period)
		case <-restore.C:
			_, _, waiting, _ := d.account.totals()
			d.link.set(false)
			d.out.event("link is back  %d samples wait", waiting)
		case <-tick.C:
			d.out.state(d)
		}
	}
}

// finish stops the devices, waits for the queue to drain and reports.
func (d *demo) finish() error {
	d.out.event("the end       no new values; waiting for what is under way")
	for name := range setups(d.gateway.file) {
		if err := d.gateway.super.Remove(name, false); err != nil {
			return err
		}
	}
	again := make(chan os.Signal, 1)
	signal.Notify(again, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(again)
	deadline := time.After(drainLimit)
	for {
		if _, _, waiting, _ := d.account.totals(); waiting == 0 {
			return d.report()
		}
		select {
		case <-deadline:
			return d.report()
		case <-again: // nothing is lost yet, so there is nothing to report
			return codeError{code: exitInterrupt}
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// report prints the sum of it all; lost samples are exit code 1.
func (d *demo) report() error {
	produced, delivered, lost, repeated := d.account.totals()
	if d.a.json {
		err := d.a.printJSON(struct {
			Schema     string  `json:"schema"`
			Produced   int     `json:"produced"`
			Delivered  int     `json:"delivered"`
			Lost       int     `json:"lost"`
			Repeated   int     `json:"repeated"`
			Outages    int     `json:"outages"`
			FirstValue float64 `json:"first_value_ms"`
			Seconds    float64 `json:"seconds"`
		}{"fieldgate.demo/1", produced, delivered, lost, repeated, d.outages, millis(d.first), time.Since(processStart).Seconds()})
		if err != nil {
			return err
		}
	} else {
		d.out.sum(produced, delivered, lost, repeated, d.outages)
	}
	if lost > 0 || produced == 0 {
		return codeError{code: exitProblems}
	}
	return nil
}

// demoPrinter tells a person what happens; with --json it is silent.
type demoPrinter struct {
	a    *app
	w    io.Writer
	live bool // a terminal: the state line is written over

	mu    sync.Mutex
	dirty bool // a state line stands there
}

func newDemoPrinter(a *app) *demoPrinter {
	p := &demoPrinter{a: a, w: a.out, live: isTerminal(a.out)}
	if a.json || a.quiet {
		p.w, p.live = io.Discard, false
	}
	return p
}

func (p *demoPrinter) every() time.Duration {
	if p.live {
		return 250 * time.Millisecond
	}
	return 2 * time.Second
}

func (p *demoPrinter) line(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dirty {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.dirty = false
	}
	fmt.Fprintf(p.w, format+"\n", args...)
}

// event prints a line with the time since the start.
func (p *demoPrinter) event(format string, args ...any) {
	p.line("%6.1f s  %s", time.Since(processStart).Seconds(), fmt.Sprintf(format, args...))
}

func (p *demoPrinter) intro(d *demo, length time.Duration) {
	end := "Ctrl-C ends it"
	if length > 0 {
		end = "it ends after " + length.String()
	}
	p.line("%s a simulated boiler house; %s", p.a.paintOn(p.w, bold, "fieldgate demo:"), end)
	for _, dev := range d.plant.Devices() {
		p.line("  %-8s %s", dev.Name(), dev.Target())
	}
	local := d.gateway.broker.Addr("local").(*net.TCPAddr).Port
	p.line("  %-8s mqtt://127.0.0.1:%d    see it all: fieldgate sub -b mqtt://127.0.0.1:%d '#'", "broker", local, local)
	if web := d.gateway.web.Addr(); web != nil {
		p.line("  %-8s http://%s", "page", web)
	}
	p.line("  %-8s a second broker, behind a link that drops now and then", "cloud")
	p.line("")
}

// state prints where the samples are.
func (p *demoPrinter) state(d *demo) {
	s := d.gateway.Status()
	produced, delivered, waiting, _ := d.account.totals()
	link := p.a.paintOn(p.w, green, "up  ")
	if len(s.Upstream) > 0 && s.Upstream[0].State != "online" {
		link = p.a.paintOn(p.w, red, "DOWN")
	}
	text := fmt.Sprintf("%6.1f s  link %s     %5d samples   %5d in the cloud   %4d wait on disk or on the way   %d/%d devices ok",
		time.Since(processStart).Seconds(), link, produced, delivered, waiting, devicesUp(s.Devices), len(s.Devices))
	if !p.live {
		p.line("%s", text)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, "\r\x1b[K%s", text)
	p.dirty = true
}

func (p *demoPrinter) sum(produced, delivered, lost, repeated, outages int) {
	verdict := p.a.paintOn(p.w, green, "lost 0")
	if lost > 0 {
		verdict = p.a.paintOn(p.w, red, fmt.Sprintf("LOST %d", lost))
	}
	p.line("\n%d samples produced, %d delivered, %s, repeated %d, through %d outage%s of the link",
		produced, delivered, verdict, repeated, outages, plural(outages))
}
